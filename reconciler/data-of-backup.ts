import type { Manifest } from './backup/manifest.ts'
import { dataIntentOf, surroundingsOf } from './data-of.ts'
import { SamovarError } from './errors.ts'
import type { DataIntent } from './journal/operation.ts'
import type { Loaded } from './load.ts'

/**
 * What is in a backup, as an operation carries it. Who must stand still is of today: those who use the data now, not
 * those who used it then.
 */
export function dataOfBackup(loaded: Loaded, manifest: Manifest, key: string): DataIntent {
  const known = manifest.services.filter((service) => loaded.state.services[service] !== undefined)
  const now = dataIntentOf(loaded, known.length > 0 ? known : manifest.services, 'manual')
  if (now === null || loaded.state.host.backup === null)
    throw new SamovarError(
      'not-found',
      `backup ${manifest.id} is of ${manifest.services.join(', ')}, which has no data in the desired state now`,
      { next: 'Put the service and its `data:` back into the desired state first.' },
    )
  const databases = manifest.parts.flatMap((part) =>
    part.kind === 'database' ? [{ server: part.server, database: part.database, user: part.user }] : [],
  )
  const volumes = manifest.parts.flatMap((part) => {
    if (part.kind !== 'volume') return []
    const volumeName = loaded.model.volumes[part.volume]?.name ?? part.volumeName
    return [{ volume: part.volume, volumeName, exclude: part.exclude }]
  })
  const backup = { id: manifest.id, key, dataFrom: Date.parse(manifest.dataFrom) }
  return withUsers(loaded, { ...now, restore: true, backup }, { databases, volumes })
}

/** Who must stand still follows from the parts that are really put back, and from who uses them today. */
function withUsers(
  loaded: Loaded,
  data: DataIntent,
  parts: Pick<DataIntent, 'databases' | 'volumes'>,
): DataIntent {
  const { volumeUsers } = surroundingsOf(loaded)
  const users = parts.volumes.flatMap(({ volume }) => volumeUsers[volume] ?? [])
  const servers = new Set([...data.databases, ...parts.databases].map((each) => each.server))
  return {
    ...data,
    ...parts,
    stop: [...new Set([...data.stop, ...users.filter((each) => !servers.has(each))])],
    stopAfterDumps: [...new Set(users.filter((each) => servers.has(each)))],
  }
}

/** `--service`: the parts that this service names as its data. */
export function onlyOf(loaded: Loaded, data: DataIntent, service: string | null): DataIntent {
  if (service === null) return data
  const own = loaded.state.services[service]?.data ?? []
  const databases = data.databases.filter((each) =>
    own.some(
      (part) => 'postgres' in part && part.postgres === each.server && part.database === each.database,
    ),
  )
  const volumes = data.volumes.filter((each) =>
    own.some((part) => 'volume' in part && part.volume === each.volume),
  )
  if (databases.length + volumes.length > 0) return withUsers(loaded, data, { databases, volumes })
  throw new SamovarError('not-found', `backup ${data.backup?.id} has no data of ${service}`, {
    next: '`samovar backups` shows the services of each backup.',
  })
}
