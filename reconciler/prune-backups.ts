import { type BackupList, listBackups } from './backup/list-backups.ts'
import type { OpenStore } from './backup/open-stores.ts'
import { type PruneReport, protectedBackups, prune } from './backup/prune.ts'
import { inForce } from './data-operations.ts'
import type { Host } from './desired-state.ts'
import type { Memory } from './look.ts'
import type { Parts } from './parts.ts'
import { manifestCache } from './settings.ts'

export type ListedNow = { host: Host; stores: OpenStore[]; listed: BackupList }

/** Every backup in every store that the desired state in force names; nothing when it names none. */
export async function backupsNow(parts: Parts, memory: Memory): Promise<ListedNow> {
  const { host } = (await inForce(parts, memory)).state
  if (host.backup === null) return { host, stores: [], listed: { backups: [], remains: [], problems: [] } }
  const stores = await parts.backups.open(host.backup.stores)
  const listed = await listBackups(stores, host.name, manifestCache(parts.settings.stateDir))
  return { host, stores, listed }
}

/**
 * Removes what `keep` of each store does not keep. What the journal still refers to stays, whatever `keep` says.
 *
 * @returns what became of every backup; `problems` also has the stores that did not answer
 */
export async function pruneBackups(
  parts: Parts,
  memory: Memory,
  options: { dryRun: boolean },
): Promise<PruneReport> {
  const { host, stores, listed } = await backupsNow(parts, memory)
  const report = await prune(stores, listed, {
    now: parts.now(),
    timezone: host.timezone,
    protected: () => protectedBackups(parts.journal),
    dryRun: options.dryRun,
  })
  const problems = [...listed.problems, ...report.problems]
  if (!options.dryRun && problems.length === 0) forgetRemoved(parts, report)
  return { pruned: report.pruned, problems }
}

/** What is in no store any more is no backup; the journal need not remember it. */
function forgetRemoved({ journal }: Parts, { pruned }: PruneReport): void {
  const kept = new Set(pruned.filter((each) => each.action === 'kept').map((each) => each.id))
  for (const { id } of pruned) if (!kept.has(id)) journal.forgetBackup(id)
}
