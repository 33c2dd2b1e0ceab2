import type { BackupClass } from './backup/manifest.ts'
import type { DataIntent } from './journal/operation.ts'
import type { Loaded } from './load.ts'
import { type DataUnit, type Surroundings, unitOf } from './plan/data-unit.ts'

/**
 * The data that goes with services, as an operation carries it; null when they have none, or host.yaml names no store.
 *
 * @param services the one that is worked on first, then those that are swapped with it
 */
export function dataIntentOf(loaded: Loaded, services: string[], kind: BackupClass): DataIntent | null {
  const { host, services: policies } = loaded.state
  const unit = unitOfAll(loaded, services)
  if (host.backup === null || unit === null) return null
  // Of a unit whose service left the desired state the others speak.
  const speakers = (policies[services[0] ?? ''] === undefined ? unit.owners : services)
    .map((service) => policies[service])
    .filter((policy) => policy !== undefined)
  return {
    host: host.name,
    class: kind,
    owners: unit.owners,
    databases: unit.databases,
    volumes: unit.volumes.map((each) => ({ ...each, volumeName: volumeName(loaded, each.volume) })),
    while: unit.while,
    stop: unit.stop,
    stopAfterDumps: unit.stopAfterDumps,
    stores: host.backup.stores,
    restore: speakers.some((policy) => policy.revert.data === 'restore'),
    failed: [...services, ...unit.owners].some((service) => policies[service]?.revert.failed === 'keep')
      ? 'keep'
      : 'drop',
    stopped: [],
    paused: [],
    eraser: null,
    backup: null,
    lostMs: null,
  }
}

/** The same before a roll-out; null also when the desired state says that none is wanted. */
export function dataBeforeUpdate(loaded: Loaded, services: string[]): DataIntent | null {
  if (services.every((service) => loaded.state.services[service]?.backup.before === 'none')) return null
  return dataIntentOf(loaded, services, 'before-update')
}

/** Why a service cannot be rolled out with its data, or null. */
export function dataProblem(loaded: Loaded, service: string): string | null {
  const { host, services: policies } = loaded.state
  const policy = policies[service]
  if (host.backup !== null || policy === undefined || policy.backup.before === 'none') return null
  const unit = unitOfAll(loaded, [service])
  if (unit === null) return null
  return `${service} has data (of ${unit.owners.join(', ')}), and host.yaml names no store to back it up to; next: add \`backup: { stores: [...] }\` to host.yaml, or \`backup: { before: none }\` to ${policy.file}`
}

function unitOfAll(loaded: Loaded, services: string[]): DataUnit | null {
  const unit = unitOf(services, loaded.state.services, surroundingsOf(loaded))
  return unit.databases.length + unit.volumes.length > 0 ? unit : null
}

/** What the Compose model knows about who mounts what and who needs whom. */
export function surroundingsOf({ model }: Loaded): Surroundings {
  const volumeUsers: Record<string, string[]> = {}
  const dependsOn: Record<string, string[]> = {}
  for (const [service, { volumes, depends_on }] of Object.entries(model.services)) {
    dependsOn[service] = Object.keys(depends_on ?? {})
    for (const mount of volumes ?? [])
      if (mount.type === 'volume' && mount.source !== undefined)
        volumeUsers[mount.source] = [...(volumeUsers[mount.source] ?? []), service]
  }
  return { volumeUsers, dependsOn }
}

const volumeName = (loaded: Loaded, volume: string): string =>
  loaded.model.volumes[volume]?.name ?? `${loaded.model.project}_${volume}`
