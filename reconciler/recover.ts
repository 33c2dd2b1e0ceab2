import { isWaitedFor } from './compose/service-facts.ts'
import { SamovarError } from './errors.ts'
import type { Operation } from './journal/operation.ts'
import { maskOf } from './load.ts'
import { load, type Memory } from './look.ts'
import { newerCommit } from './newer-commit.ts'
import type { Parts } from './parts.ts'
import { forgetHold } from './rollout/hold-requests.ts'
import { settleRollback } from './rollout/settle.ts'
import { resume } from './rollout.ts'
import { rewriteMounted } from './secrets/rewrite.ts'
import { type PassOptions, workOf } from './work.ts'

/**
 * What a crash or a stop cut short comes before anything else. An engine that is away is found here, before an
 * attempt is counted.
 */
export async function recover(parts: Parts, memory: Memory, options: PassOptions): Promise<Operation[]> {
  const done: Operation[] = []
  const cut = parts.journal.unfinished()
  if (cut.length === 0) forgetHold(parts.settings)
  for (const operation of cut) {
    const project = parts.journal.note('project') ?? ''
    const running = await parts.engine.observe(project)
    const { loaded } = await load(parts, memory, operation.commit).catch(() => ({ loaded: null }))
    // After a reboot what goes on here may have to start containers whose secrets were on a tmpfs.
    if (loaded !== null) await rewriteMounted(parts, { loaded, running })
    const work = workOf(parts, options, {
      project,
      root: loaded?.root ?? '',
      endsByItself: (service) => loaded !== null && isWaitedFor(loaded.model, service),
      secrets: loaded === null ? null : maskOf(loaded),
    })
    const services = operation.intent.members.map((member) => member.service)
    // A fix that arrived meanwhile must not wait for the end of what it fixes.
    const newer =
      loaded === null ? null : newerCommit(parts, memory, { loaded, services, hint: options.hint })
    work.newer = newer?.signal ?? work.newer
    options.busy(services)
    const resumed = await resume(work, operation).finally(() => newer?.end())
    if (resumed.kind === 'rollback') settleRollback(parts.journal, resumed)
    done.push(resumed)
    options.ended?.(resumed)
    options.busy([])
  }
  return done
}

/** Nothing new is begun while an operation is open: both would work on the same containers. */
export function notFinished(open: Operation, options: PassOptions): SamovarError {
  return options.stopping.aborted
    ? new SamovarError('interrupted', 'Samovar was told to stop')
    : new SamovarError(
        'engine-unreachable',
        `the roll-out of ${open.service} (${open.id}) could not be finished yet`,
      )
}
