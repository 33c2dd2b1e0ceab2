import type { Operation, OperationResult } from '../journal/operations.ts'
import { nextTry } from '../plan/setback.ts'
import type { Work } from './step.ts'

const evidenceLines = 40

/** The last lines the new version wrote, before it is taken away. Kept in the step's own record. */
export async function captureEvidence(work: Work, operation: Operation): Promise<string> {
  const candidate = operation.intent.members[0]?.candidate
  if (candidate === null || candidate === undefined) return ''
  const lines = await work.engine.logs(candidate.instance, evidenceLines).catch(() => [])
  return work.secretsKnown ? lines.join('\n') : 'not recorded: the secrets of its commit are not known'
}

/** The old containers stay, stopped, for the time of the soak; with `soak: 0s` they go now. */
export async function soak(work: Work, operation: Operation): Promise<string | undefined> {
  for (const member of operation.intent.members) {
    if (member.kept === null) continue
    if (operation.intent.health.soak === 0) await work.engine.discard(member.kept)
    else {
      work.journal.keep({
        operation: operation.id,
        service: member.service,
        kept: member.kept,
        discardAt: work.now() + operation.intent.health.soak,
      })
    }
  }
  return undefined
}

/** Never tried again until the desired state changes or a person says `retry`. */
export async function quarantine(work: Work, operation: Operation): Promise<string | undefined> {
  if (operation.intent.blameless === true || operation.to === null)
    return 'not quarantined: the image is not to blame'
  work.journal.quarantine({
    service: operation.service,
    digest: operation.to.digest,
    configuration: operation.intent.configuration,
    operation: operation.id,
    reason: operation.reason,
    at: work.now(),
  })
  return undefined
}

/** The last record of an operation. What did not hold makes the next try wait; what held clears that. */
export function finish(work: Work, operation: Operation, result: OperationResult, reason: string): Operation {
  const target = `${operation.to?.digest ?? ''} ${operation.intent.configuration}`
  operation.result = result
  operation.reason = work.mask(reason)
  operation.finishedAt = work.now()
  if (result !== 'applied' || operation.intent.drift) {
    const before = work.journal.setbacks().find((each) => each.service === operation.service)
    const { count, nextAt } = nextTry(before, target, work.now())
    const why = reason === '' ? 'it had drifted' : reason
    work.journal.rememberSetback({
      service: operation.service,
      target,
      count,
      lastAt: work.now(),
      nextAt,
      reason: why,
    })
  } else {
    work.journal.forgetSetback(operation.service)
  }
  work.journal.saveOperation(operation)
  return operation
}

/**
 * A rollback puts what ran before it into quarantine first, so that no pass rolls it forward again. When the rollback
 * did not hold, that version runs on, and must not be held back when it has to be mended.
 */
export function settleRollback(journal: Work['journal'], operation: Operation): void {
  if (operation.result === 'applied' || operation.result === 'running') return
  const ran = journal.lastApplied(operation.service)
  if (ran !== null) journal.liftQuarantine(operation.service, ran.id)
}
