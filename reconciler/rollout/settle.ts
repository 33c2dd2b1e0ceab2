import type { Operation, OperationResult } from '../journal/operation.ts'
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
    const why = operation.reason === '' ? 'it had drifted' : operation.reason
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
  if (result === 'applied' && operation.kind === 'replace') recordFollowers(work, operation)
  return operation
}

/**
 * A rollback puts what ran before it into quarantine first, so that no pass rolls it forward again. When the rollback
 * did not hold, that version runs on, and must not be held back when it has to be mended.
 */
export function settleRollback(journal: Work['journal'], operation: Operation): void {
  if (operation.result !== 'reverted' && operation.result !== 'untouched') return
  const ran = journal.lastApplied(operation.service)
  if (ran !== null) journal.liftQuarantine(operation.service, ran.id)
}

/** Who was swapped with the service has a history of its own: what it runs now, and could go back to. */
function recordFollowers(work: Work, operation: Operation): void {
  const [, ...followers] = operation.intent.members
  for (const member of followers) {
    const { service, configuration, before, image, checks } = member
    const own = work.journal.beginOperation(
      {
        service,
        kind: 'replace',
        commit: operation.commit,
        from: before,
        to: image,
        intent: {
          ...operation.intent,
          members: [member],
          quiesced: [],
          health: { ...operation.intent.health, checks },
          oldHealth: null,
          configuration,
        },
      },
      operation.startedAt,
    )
    work.journal.saveOperation({
      ...own,
      result: 'applied',
      decision: 'keep',
      finishedAt: operation.finishedAt,
      downtimeMs: operation.downtimeMs,
      reason: `together with ${operation.service}`,
    })
  }
}
