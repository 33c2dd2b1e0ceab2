import { timeOfId } from './backup/backup-id.ts'
import { type BackupList, type ListedBackup, listBackups } from './backup/list-backups.ts'
import type { OpenStore } from './backup/open-stores.ts'
import type { Host } from './desired-state.ts'
import { SamovarError } from './errors.ts'
import { inForce } from './in-force.ts'
import type { Loaded } from './load.ts'
import type { Memory } from './look.ts'
import type { Parts } from './parts.ts'
import { manifestCache } from './settings.ts'

export type ListedNow = { host: Host; stores: OpenStore[]; listed: BackupList }

/** Every backup in every store that the desired state in force names; nothing when it names none. */
export async function backupsNow(parts: Parts, memory: Memory): Promise<ListedNow> {
  return backupsAt(parts, (await inForce(parts, memory)).state.host)
}

/** The same for a host.yaml that was read already. */
export async function backupsAt(parts: Parts, host: Host): Promise<ListedNow> {
  if (host.backup === null) return { host, stores: [], listed: { backups: [], remains: [], problems: [] } }
  const stores = await parts.backups.open(host.backup.stores)
  const listed = await listBackups(stores, host.name, manifestCache(parts.settings.stateDir))
  return { host, stores, listed }
}

/** Every backup that the stores have of this host. @throws SamovarError `store-failed` when no store answers */
export async function backupsOf(parts: Parts, loaded: Loaded): Promise<ListedBackup[]> {
  const { host } = loaded.state
  if (host.backup === null)
    throw new SamovarError('not-found', 'host.yaml names no store, so there are no backups', {
      next: 'Add `backup: { stores: [...] }` to host.yaml.',
    })
  const { stores, listed } = await backupsAt(parts, host)
  const silent = listed.problems.filter((each) => each.silent)
  const [first] = silent
  if (first !== undefined && silent.length === stores.length) throw first.error
  return listed.backups
}

/** By its id, or by how that begins or ends: nobody types a whole one. */
export function oneNamed(listed: ListedBackup[], id: string): ListedBackup {
  if (id.length < 4)
    throw new SamovarError('not-found', `"${id}" is too short for the name of a backup`, {
      next: '`samovar backups` lists them; the last six letters are enough.',
    })
  const found = listed.filter(({ manifest }) => manifest.id.startsWith(id) || manifest.id.endsWith(id))
  const [one, ...more] = found
  if (one !== undefined && more.length === 0) return one
  if (one === undefined)
    throw new SamovarError('not-found', `there is no backup ${id}`, { next: '`samovar backups` lists them.' })
  throw new SamovarError('not-found', `${found.length} backups are called ${id}`, {
    next: `Give more of its name: ${found.map(({ manifest }) => manifest.id).join(', ')}`,
  })
}

/** The newest backup of every set of services. */
export function newestOfEach(listed: ListedBackup[]): ListedBackup[] {
  const newest = new Map<string, ListedBackup>()
  for (const each of listed) {
    const name = each.manifest.services.toSorted().join()
    const before = newest.get(name)
    if (before === undefined || timeOf(before) < timeOf(each)) newest.set(name, each)
  }
  return [...newest.values()]
}

const timeOf = (listed: ListedBackup): number => timeOfId(listed.manifest.id) ?? 0
