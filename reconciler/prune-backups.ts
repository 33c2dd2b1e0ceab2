import { type PruneReport, protectedBackups, prune } from './backup/prune.ts'
import type { Memory } from './look.ts'
import type { Parts } from './parts.ts'
import { backupsNow } from './stored-backups.ts'

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
