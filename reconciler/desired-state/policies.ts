import type {
  DataPart,
  HealthCheck,
  HealthPolicy,
  Host,
  SecretReference,
  ServicePolicy,
  UpdatePolicy,
} from '../desired-state.ts'
import { splitHostAndPort } from './formats.ts'
import { parseDuration } from './quantities.ts'

/** What applies where a file says nothing. schemas/*.json and docs/desired-state.md name the same values. */
const defaults = {
  timezone: 'UTC',
  poll: '3m',
  keep: 2,
  policy: 'manual',
  accept: 'minor',
  minimumAge: '0s',
  within: '2m',
  steady: '10s',
  soak: '10m',
  every: '2s',
  timeout: '5s',
} as const

/** host.yaml as the schema let it pass. */
export type HostFile = {
  name: string
  project: string
  compose: string[]
  timezone?: string
  poll?: string
  variables?: Record<string, string | SecretReference>
  windows?: Record<string, { opens: string; for: string }>
  jobs?: Record<string, { run: { service: string }; then?: { reload?: string; restart?: string } }>
  prune?: boolean
  images?: { keep?: number }
}

/** A service file as the schema let it pass. */
export type ServiceFile = {
  image?: string
  tag?: string
  digest?: string
  update?: Partial<Pick<UpdatePolicy, 'policy' | 'accept'>> & {
    tags?: string
    minimumAge?: string
    window?: string
  }
  data?: { postgres?: string; database?: string; user?: string; volume?: string; exclude?: string[] }[]
  backup?: { before?: 'update' | 'none'; while?: 'stopped' | 'running' }
  health?: { within?: string; steady?: string; soak?: string; checks?: CheckFile[] }
  revert?: Partial<ServicePolicy['revert']>
}

export type CheckFile = {
  http?: string
  status?: number
  header?: Record<string, string>
  body?: string
  json?: Record<string, string | number | boolean | null>
  ca?: string
  tcp?: string
  command?: string[]
  in?: string
  container?: 'healthy'
  every?: string
  timeout?: string
}

/** host.yaml with every default filled in. */
export function hostOf(file: HostFile): Host {
  const windows = withoutNotes(file.windows ?? {})
  return {
    name: file.name,
    project: file.project,
    compose: file.compose,
    timezone: file.timezone ?? defaults.timezone,
    poll: milliseconds(file.poll ?? defaults.poll),
    variables: Object.fromEntries(withoutNotes(file.variables ?? {})),
    windows: Object.fromEntries(
      windows.map(([name, window]) => [name, { opens: window.opens, for: milliseconds(window.for) }]),
    ),
    prune: file.prune ?? false,
    images: { keep: file.images?.keep ?? defaults.keep },
  }
}

/** A service file with every default filled in. */
export function serviceOf(service: string, path: string, file: ServiceFile): ServicePolicy {
  const data = (file.data ?? []).map(dataPartOf)
  return {
    service,
    file: path,
    image: file.image ?? '',
    tag: file.tag ?? '',
    digest: file.digest ?? null,
    update: {
      policy: file.update?.policy ?? defaults.policy,
      accept: file.update?.accept ?? defaults.accept,
      tags: file.update?.tags ?? null,
      minimumAge: milliseconds(file.update?.minimumAge ?? defaults.minimumAge),
      window: file.update?.window ?? null,
    },
    data,
    health: healthOf(service, file.health ?? {}),
    revert: {
      data: file.revert?.data ?? (data.length > 0 && file.backup?.before !== 'none' ? 'restore' : 'keep'),
      repository: file.revert?.repository ?? 'pull-request',
    },
  }
}

/** Entries of a mapping whose keys are names; `x-` keys are notes and anchors. */
export function withoutNotes<T>(mapping: Record<string, T>): [string, T][] {
  return Object.entries(mapping).filter(([name]) => !name.startsWith('x-'))
}

function dataPartOf(part: NonNullable<ServiceFile['data']>[number]): DataPart {
  if (part.volume !== undefined) return { volume: part.volume, exclude: part.exclude ?? [] }
  return { postgres: part.postgres ?? '', database: part.database ?? '', user: part.user ?? '' }
}

function healthOf(service: string, health: NonNullable<ServiceFile['health']>): HealthPolicy {
  return {
    within: milliseconds(health.within ?? defaults.within),
    steady: milliseconds(health.steady ?? defaults.steady),
    soak: milliseconds(health.soak ?? defaults.soak),
    checks: (health.checks ?? []).map((check) => checkOf(service, check)),
  }
}

function checkOf(service: string, check: CheckFile): HealthCheck {
  const pace = {
    every: milliseconds(check.every ?? defaults.every),
    timeout: milliseconds(check.timeout ?? defaults.timeout),
  }
  if (check.tcp !== undefined)
    return { ...pace, kind: 'tcp', ...(splitHostAndPort(check.tcp) ?? { host: '', port: 0 }) }
  if (check.command !== undefined) {
    return { ...pace, kind: 'command', command: check.command, service: check.in ?? service }
  }
  if (check.http === undefined) return { ...pace, kind: 'container' }
  return {
    ...pace,
    kind: 'http',
    url: check.http,
    status: check.status ?? null,
    header: check.header ?? {},
    body: check.body ?? null,
    json: check.json ?? {},
    ca: check.ca ?? null,
  }
}

/** The schema has refused what is no duration. */
function milliseconds(text: string): number {
  return parseDuration(text) ?? 0
}
