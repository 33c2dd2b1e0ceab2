import type { ComposeFile, ComposeModel, ComposeService, FileReference, ServiceVolume } from './model.ts'
import { isAtLeast, modeOf, numberOf } from './quantities.ts'

type MountParts = { Binds?: string[]; Mounts?: Record<string, unknown>[]; Tmpfs?: Record<string, string> }

/** Newer versions of Compose print only `false`. */
function createsHostPath(volume: ServiceVolume, composeVersion: string): boolean {
  return volume.bind?.create_host_path ?? isAtLeast(composeVersion, '5')
}

/** A named volume whose driver binds a folder of the host is attached the old way by Compose. */
function isBindingVolume(model: ComposeModel, volume: ServiceVolume): boolean {
  if (volume.type !== 'volume' || !volume.source) return false
  return model.volumes[volume.source]?.driver_opts?.['o'] === 'bind'
}

function bindText(source: string, volume: ServiceVolume): string {
  const { selinux, propagation } = volume.bind ?? {}
  const nocopy = volume.volume?.nocopy ? 'nocopy' : undefined
  const options = [volume.read_only ? 'ro' : 'rw', selinux, propagation, nocopy].filter((option) => option)
  return `${source}:${volume.target}:${options.join(',')}`
}

function bindOptions(volume: ServiceVolume, creates: boolean): Record<string, unknown> | undefined {
  if (volume.bind === undefined) return undefined
  const { propagation, recursive } = volume.bind
  return {
    ...(propagation && { Propagation: propagation }),
    ...(recursive === 'disabled' && { NonRecursive: true }),
    ...(recursive === 'writable' && { ReadOnlyNonRecursive: true }),
    ...(recursive === 'readonly' && { ReadOnlyForceRecursive: true }),
    ...(creates && { CreateMountpoint: true }),
  }
}

function volumeOptions({ volume }: ServiceVolume): Record<string, unknown> | undefined {
  if (volume === undefined) return undefined
  return {
    ...(volume.nocopy && { NoCopy: true }),
    ...(volume.subpath && { Subpath: volume.subpath }),
    ...(volume.labels && { Labels: volume.labels }),
  }
}

function mountOf(model: ComposeModel, volume: ServiceVolume, creates: boolean): Record<string, unknown> {
  const source =
    volume.type === 'volume' ? (model.volumes[volume.source ?? '']?.name ?? volume.source) : volume.source
  const ofBind = volume.type === 'bind' ? bindOptions(volume, creates) : undefined
  const ofVolume = volume.type === 'volume' ? volumeOptions(volume) : undefined
  const { size, mode } = volume.tmpfs ?? {}
  return {
    Type: volume.type,
    ...(source && { Source: source }),
    Target: volume.target.replace(/(?<=.)\/+$/, ''),
    ...(volume.read_only && { ReadOnly: true }),
    ...(ofBind && { BindOptions: ofBind }),
    ...(ofVolume && { VolumeOptions: ofVolume }),
    ...(volume.tmpfs && {
      TmpfsOptions: {
        ...(size !== undefined && { SizeBytes: numberOf(size) }),
        ...(mode !== undefined && { Mode: modeOf(mode) }),
      },
    }),
  }
}

/** Where a secret or configuration file appears in the container. */
export function targetOf(reference: FileReference, base: string): string {
  const target = reference.target ?? reference.source
  return target.startsWith('/') ? target : `${base}${target}`
}

function fileMounts(references: FileReference[], files: Record<string, ComposeFile>, base: string) {
  return references.map((reference) => ({
    Type: 'bind',
    Source: files[reference.source]?.file,
    Target: targetOf(reference, base),
    ReadOnly: true,
  }))
}

/**
 * Everything a service mounts. Secrets and configs are read-only binds of their files, which is what Compose makes
 * of them outside of Swarm; the rendered model has a file for each. A service's own volume wins over them.
 */
export function mountsOf(model: ComposeModel, body: ComposeService): MountParts {
  const binds: string[] = []
  const mounts: Record<string, unknown>[] = []
  for (const volume of body.volumes ?? []) {
    const creates = createsHostPath(volume, model.composeVersion)
    if (volume.type === 'bind' && creates && !volume.bind?.recursive)
      binds.push(bindText(volume.source ?? '', volume))
    else if (isBindingVolume(model, volume)) {
      binds.push(bindText(model.volumes[volume.source ?? '']?.name ?? '', volume))
    } else mounts.push(mountOf(model, volume, creates))
  }
  const taken = new Set((body.volumes ?? []).map((volume) => volume.target))
  const files = [
    ...fileMounts(body.secrets ?? [], model.secrets, '/run/secrets/'),
    ...fileMounts(body.configs ?? [], model.configs, '/'),
  ]
  mounts.push(...files.filter((mount) => !taken.has(mount.Target)))
  const tmpfs = (body.tmpfs ?? [])
    .map((entry) => entry.split(/:(.*)/s))
    .map(([path, options]) => [path, options ?? ''])
  return {
    ...(binds.length > 0 && { Binds: binds }),
    ...(mounts.length > 0 && { Mounts: mounts }),
    ...(tmpfs.length > 0 && { Tmpfs: Object.fromEntries(tmpfs) }),
  }
}
