import type { Operation } from '../journal/operation.ts'
import type { Quarantine } from '../journal/standing.ts'
import { type Judgement, retain } from '../plan/retention.ts'
import { manifestName, parseKey } from './backup-id.ts'
import {
  type BackupList,
  type Copy,
  faultOf,
  isWhole,
  type ListedBackup,
  type Remains,
} from './list-backups.ts'
import type { BackupClass } from './manifest.ts'
import type { OpenStore } from './open-stores.ts'
import type { Store } from './store.ts'

export type PruneOptions = {
  /** Milliseconds since 1970. */
  now: number
  timezone: string
  /** Asked again before each removal: an operation may have begun meanwhile. */
  protected: () => ReadonlyMap<string, string>
  /** Everything is judged, nothing is removed. */
  dryRun: boolean
}

/** What became of one backup, or of what is left of one, in one store. */
export type Pruned = {
  store: string
  id: string
  class: BackupClass
  /** Empty for remains: who knows whose they are. */
  services: string[]
  /** Milliseconds since 1970: of a backup its beginning, of remains the newest object. */
  createdAt: number
  bytes: number
  action: 'kept' | 'removed'
  reasons: string[]
}

export type PruneReport = {
  /** Store by store, newest first. */
  pruned: Pruned[]
  /** Stores where something could not be removed; the next run tries again. */
  problems: { store: string; error: Error }[]
}

type Refers = {
  unfinished(): Operation[]
  quarantined(): Quarantine[]
  operation(id: string): Operation | null
  dirty(): { service: string; backup: string }[]
}

const day = 86_400_000

/** Backups that must stay, whatever a policy says, and why: what the journal still refers to. */
export function protectedBackups(journal: Refers): Map<string, string> {
  const reasons = new Map<string, string>()
  const protect = (operation: Operation | null, reason: string): void => {
    for (const id of [operation?.backup, operation?.intent.data?.backup?.id])
      if (id !== null && id !== undefined && !reasons.has(id)) reasons.set(id, reason)
  }
  for (const { service, backup } of journal.dirty())
    reasons.set(backup, `the data of ${service} is only half put back from it`)
  for (const operation of journal.unfinished())
    protect(operation, `operation ${operation.id} is not finished`)
  for (const { service, operation } of journal.quarantined())
    protect(journal.operation(operation), `the quarantine of ${service} refers to it`)
  return reasons
}

/**
 * Removes from every store what its policy does not keep, and what is left of backups without a manifest once it is
 * a day old. The manifest goes first: what is cut short then is no backup that lacks parts, but remains.
 *
 * A store that did not answer is left alone, and so are backups whose manifest cannot be read (a later version of
 * Samovar may have written it).
 */
export async function prune(
  stores: OpenStore[],
  listed: BackupList,
  options: PruneOptions,
): Promise<PruneReport> {
  const report: PruneReport = { pruned: [], problems: [] }
  for (const open of stores) {
    try {
      await pruneStore(open, listed, { options, report })
    } catch (error) {
      report.problems.push({ store: open.store.name, error: error as Error })
    }
  }
  return report
}

type Running = { options: PruneOptions; report: PruneReport }

async function pruneStore(
  { store, policy }: OpenStore,
  { backups, remains }: BackupList,
  running: Running,
): Promise<void> {
  const { now, timezone, protected: protectedNow } = running.options
  const here = backups.flatMap((backup) =>
    backup.copies.filter((copy) => copy.store === store.name).map((copy) => ({ backup, copy })),
  )
  const retained = here.map(({ backup, copy }) => ({
    id: backup.manifest.id,
    services: backup.manifest.services,
    class: backup.manifest.class,
    createdAt: backup.createdAt,
    good: isWhole(copy),
  }))
  const judged = retain(retained, policy.keep, { now, timezone, protected: protectedNow() })
  for (const [index, { backup, copy }] of here.entries()) {
    const judgement = judged[index]
    if (judgement === undefined) continue
    const about = { id: judgement.id, keys: copy.keys, kept: rowOf(backup, copy, judgement) }
    await settle(store, { ...about, keep: judgement.keep }, running)
  }
  for (const each of remains.filter((one) => one.store === store.name)) {
    const young = now - each.changedAt < day
    const reason = `no manifest${young ? ', but not a day old: it may be on its way' : ''}`
    const about = { id: each.id, keys: each.keys, kept: rowOfRemains(each, reason) }
    await settle(store, { ...about, keep: young }, running)
  }
}

/** Keeps or removes, and writes down which. */
async function settle(
  store: Store,
  about: { id: string; keys: string[]; keep: boolean; kept: Pruned },
  { options, report }: Running,
): Promise<void> {
  const needed = options.protected().get(about.id)
  if (about.keep || needed !== undefined) {
    const reasons = about.keep || needed === undefined ? about.kept.reasons : [needed]
    report.pruned.push({ ...about.kept, reasons })
    return
  }
  if (!options.dryRun) await removeAll(store, about.keys)
  report.pruned.push({ ...about.kept, action: 'removed' })
}

async function removeAll(store: Store, keys: string[]): Promise<void> {
  const own = keys.filter((key) => parseKey(key) !== null)
  const isManifest = (key: string): boolean => key.endsWith(`/${manifestName}`)
  const manifest = own.filter(isManifest)
  if (manifest.length > 0) await store.remove(manifest)
  await store.remove(own.filter((key) => !isManifest(key)))
}

function rowOf(backup: ListedBackup, copy: Copy, { reasons }: Judgement): Pruned {
  const { id, class: kind, services } = backup.manifest
  const fault = isWhole(copy) ? [] : [faultOf(copy)]
  return {
    store: copy.store,
    id,
    class: kind,
    services,
    createdAt: backup.createdAt,
    bytes: backup.bytes,
    action: 'kept',
    reasons: [...reasons, ...fault],
  }
}

const rowOfRemains = (remains: Remains, reason: string): Pruned => ({
  store: remains.store,
  id: remains.id,
  class: remains.class,
  services: [],
  createdAt: remains.changedAt,
  bytes: remains.bytes,
  action: 'kept',
  reasons: [reason],
})
