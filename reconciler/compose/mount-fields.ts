import type { ContainerBody } from '../engine/container-body.ts'

type Mount = {
  type: string
  source: string
  readOnly: boolean
  options: string[]
}

/** Modes of a bind that say what happens anyway. */
const usualOptions = new Set(['rw', 'ro', 'rprivate', ''])

function clean(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path
}

function bindMount(bind: string): [string, Mount] {
  const [source = '', target = '', modes = ''] = bind.split(':')
  const options = modes.split(',')
  return [
    clean(target),
    {
      type: source.startsWith('/') ? 'bind' : 'volume',
      source,
      readOnly: options.includes('ro'),
      options: options.filter((option) => !usualOptions.has(option)),
    },
  ]
}

type OnTheWire = {
  Type?: string
  Source?: string
  Target?: string
  ReadOnly?: boolean
  BindOptions?: Record<string, unknown> | null
  VolumeOptions?: Record<string, unknown> | null
  TmpfsOptions?: Record<string, unknown> | null
}

const optionNames: Record<string, string> = { NoCopy: 'nocopy', NonRecursive: 'nonrecursive' }

/** That the Engine may make up a missing path does not change what is mounted. */
function optionsOf(mount: OnTheWire): string[] {
  const all = { ...mount.BindOptions, ...mount.VolumeOptions, ...mount.TmpfsOptions }
  return Object.entries(all).flatMap(([key, value]) => {
    if (
      key === 'CreateMountpoint' ||
      !value ||
      (typeof value === 'object' && Object.keys(value).length === 0)
    )
      return []
    if (key === 'Propagation') return usualOptions.has(String(value)) ? [] : [String(value)]
    if (value === true) return [optionNames[key] ?? key.toLowerCase()]
    return [`${key.toLowerCase()}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`]
  })
}

function wireMount(mount: OnTheWire): [string, Mount] {
  const { Type, Source, Target, ReadOnly } = mount
  const options = optionsOf(mount)
  return [
    clean(Target ?? ''),
    { type: Type ?? 'volume', source: Source ?? '', readOnly: ReadOnly ?? false, options },
  ]
}

function textOf({ type, source, readOnly, options }: Mount): string {
  const kind = type === 'tmpfs' ? 'tmpfs' : source || 'anonymous volume'
  return [kind, ...(readOnly ? ['read-only'] : []), ...options.toSorted()].join(' ')
}

/** What is mounted where: `volumes./data`, `tmpfs./run`. The two ways to say it to the Engine come out the same. */
export function mountFields(body: ContainerBody): [string, unknown][] {
  const { Binds, Mounts } = body.HostConfig
  const mounts = [
    ...(Binds ?? []).map(bindMount),
    ...(Mounts ?? []).map((mount) => wireMount(mount as OnTheWire)),
  ]
  const mounted = new Map(mounts)
  const tmpfs = Object.entries((body.HostConfig['Tmpfs'] ?? {}) as Record<string, string>)
  const anonymous = Object.keys(body.Volumes ?? {}).map(clean)
  return [
    ...[...mounted].map(([target, mount]): [string, unknown] => [`volumes.${target}`, textOf(mount)]),
    ...tmpfs.map(([target, options]): [string, unknown] => [`tmpfs.${clean(target)}`, options || 'default']),
    ...anonymous
      .filter((target) => !mounted.has(target) && !tmpfs.some(([path]) => clean(path) === target))
      .map((target): [string, unknown] => [`volumes.${target}`, 'anonymous volume']),
  ]
}
