import type { HealthCheck, HealthPolicy } from '../desired-state.ts'
import { SamovarError, sentenceOf } from '../errors.ts'
import { durationInWords } from '../health/clock.ts'
import { type Check, makeChecks } from '../health/health-check.ts'
import { type HealthOutcome, waitUntilHealthy } from '../health/wait-until-healthy.ts'
import { readHold } from '../hold-requests.ts'
import type { Operation } from '../journal/operation.ts'
import { containerOf } from '../plan/plan.ts'
import { letThrough } from './hold-requests.ts'
import type { Work } from './step.ts'

/** The new version through its checks; fails with what the last failing check said and for how long. */
export async function checkHealth(work: Work, operation: Operation): Promise<string> {
  const outcome = await wait(work, operation, {
    health: firstHealth(work, operation),
    tag: operation.to?.tag ?? '',
    isOld: false,
    signal: AbortSignal.any([work.newer, work.stopping]),
    onServing: () => noteServing(work, operation),
  })
  if ('preempted' in outcome) throw cutShort(work, outcome.preempted)
  if (!outcome.healthy) {
    operation.intent.failedCheck = { name: outcome.check, said: work.mask(outcome.said) }
    throw new SamovarError('health-check-failed', `health check failed: ${outcome.said}`)
  }
  noteServing(work, operation)
  return `healthy after ${durationInWords(outcome.ms)}`
}

/**
 * While a stack is brought up for the first time nobody is behind the door, or in front of it: the proxy's check leads to
 * Gitea, and Gitea's through the proxy. What is new is then judged by itself, and by its own checks when all of it stands.
 */
function firstHealth({ isFirstStart }: Work, { from, intent: { health } }: Operation): HealthPolicy {
  if (isFirstStart !== true || from !== null) return health
  const alone = health.checks.filter((check) => check.kind === 'container' || check.kind === 'command')
  return { ...health, checks: alone, steady: Math.min(health.steady, 2000) }
}

/** The old version through the checks it was proven with; `reverted` is not said before they pass. */
export async function checkOldHealth(work: Work, operation: Operation): Promise<string> {
  operation.downtimeMs = null
  const wasRunning = operation.intent.members[0]?.kept?.opaque['wasRunning'] === true
  if (!wasRunning) return 'it was not running before'
  const outcome = await wait(work, operation, {
    health: operation.intent.oldHealth ?? operation.intent.health,
    tag: operation.from?.tag ?? '',
    isOld: true,
    signal: work.stopping,
    onServing: () => noteServing(work, operation),
  })
  if ('preempted' in outcome) throw cutShort(work, outcome.preempted)
  if (!outcome.healthy) {
    throw new SamovarError(
      'health-check-failed',
      `the old version was brought back, but is not healthy: ${outcome.said}`,
    )
  }
  return `healthy after ${durationInWords(outcome.ms)}`
}

/** Every service whose data was put back, through its own checks, as the version that runs. */
export async function checkRestored(work: Work, operation: Operation): Promise<string> {
  const said: string[] = []
  for (const [service, health] of Object.entries(operation.intent.ownerHealth ?? {})) {
    const current = containerOf(service, await work.engine.observe(work.project))
    if (current === null) {
      said.push(`${service} has no container yet`)
      continue
    }
    const alone = { ...operation, service, intent: { ...operation.intent, members: [], health } }
    const about = { health, tag: current.image.tag, isOld: true, signal: work.stopping, onServing: () => {} }
    const outcome = await wait(work, alone, about)
    if ('preempted' in outcome) throw cutShort(work, outcome.preempted)
    if (!outcome.healthy)
      throw new SamovarError(
        'health-check-failed',
        `the data is back, but ${service} is not healthy: ${outcome.said}`,
      )
    said.push(`${service} healthy after ${durationInWords(outcome.ms)}`)
  }
  return said.join(', ')
}

/**
 * A service that runs, through its checks.
 *
 * @throws SamovarError `interrupted`; `health-check-failed` with what the failing check said
 */
export async function checkRunning(
  work: Work,
  operation: Operation,
  { service, health }: { service: string; health: HealthPolicy },
): Promise<string> {
  const tag = containerOf(service, await work.engine.observe(work.project))?.image.tag ?? ''
  const alone = { ...operation, service, intent: { ...operation.intent, members: [], health } }
  const about = { health, tag, isOld: true, signal: work.stopping, onServing: () => {} }
  const outcome = await wait(work, alone, about)
  if ('preempted' in outcome) throw cutShort(work, outcome.preempted)
  if (!outcome.healthy) throw new SamovarError('health-check-failed', outcome.said)
  return `healthy after ${durationInWords(outcome.ms)}`
}

/** What runs now is inspected: the image id of before, running. */
export async function verifyOld(work: Work, operation: Operation): Promise<string> {
  const kept = operation.intent.members.map((member) => member.kept).filter((each) => each !== null)
  for (const each of kept) {
    const seen = await work.engine.inspect(each.instance)
    const wanted = operation.intent.members.find((member) => member.service === each.service)?.oldImageId
    if (each.opaque['wasRunning'] === true && seen.state !== 'running')
      throw new SamovarError('health-check-failed', `${each.name} was brought back, but is ${seen.state}`)
    if (seen.image.id !== wanted)
      throw new SamovarError('changed', `${each.name} runs ${seen.image.id}, expected ${wanted}`)
  }
  return kept.length === 0 ? 'nothing ran before' : `${operation.from?.digest ?? ''} runs`
}

/** Who was only stopped meanwhile answers again, or does not: that changes nothing of how the roll-out ended. */
export async function checkHeld(work: Work, operation: Operation): Promise<string> {
  const said: string[] = []
  const { hold, oldHealth, health: ownHealth } = operation.intent
  const own = { service: operation.service, tag: operation.from?.tag ?? '', health: oldHealth ?? ownHealth }
  // Where nothing was replaced nobody has looked at the service itself after it was stopped for its copy.
  const held = operation.decision === 'leave' ? [own] : []
  for (const { service, tag, health } of [...held, ...(hold?.others ?? [])]) {
    const intent = { ...operation.intent, members: [], health, downSince: null }
    const signal = AbortSignal.any([work.newer, work.stopping])
    const about = { health: { ...health, steady: 0 }, tag, isOld: true, signal, onServing: () => {} }
    const outcome = await wait(work, { ...operation, service, intent }, about).catch((error: unknown) => ({
      healthy: false as const,
      said: sentenceOf(error),
    }))
    if ('preempted' in outcome) said.push(`${service} was not waited for`)
    else said.push(outcome.healthy ? `${service} answers` : `${service} does not answer: ${outcome.said}`)
  }
  letThrough(work, operation, true)
  return said.join(', ')
}

type Wait = { health: HealthPolicy; tag: string; isOld: boolean; signal: AbortSignal; onServing: () => void }

async function wait(work: Work, operation: Operation, what: Wait): Promise<HealthOutcome> {
  const instanceOf = async (service: string): Promise<string> => {
    const current = containerOf(service, await work.engine.observe(work.project))
    if (current === null) throw new SamovarError('not-found', `there is no container for ${service}`)
    return current.instance
  }
  const pass = readHold(work.holdDir, operation.id)?.token ?? null
  const checksOf = async (service: string, checks: HealthCheck[], tag: string): Promise<Check[]> => {
    const { restarts } = await work.engine.inspect(await instanceOf(service))
    // Of a container that somebody else made by its id nobody knows the tag: what asks for it is left out.
    const usable = tag === '' ? checks.filter((check) => !JSON.stringify(check).includes('{tag}')) : checks
    return makeChecks(usable, {
      service,
      tag,
      engine: work.engine,
      instanceOf,
      restartsAtStart: restarts,
      root: work.root,
      endsByItself: work.endsByItself(service),
      pass,
    })
  }
  const [, ...followers] = operation.intent.members
  const checks = await Promise.all([
    checksOf(operation.service, what.health.checks, what.tag),
    ...followers.map((member) =>
      checksOf(member.service, member.checks, what.isOld ? (member.before?.tag ?? '') : member.image.tag),
    ),
  ])
  return waitUntilHealthy({
    checks: checks.flat(),
    within: what.health.within,
    steady: what.health.steady,
    signal: what.signal,
    clock: work.clock,
    onProgress: (progress) => {
      if (progress.waitingFor.length === 0) what.onServing()
      else if (operation.intent.downSince != null) operation.downtimeMs = null
      work.progress.health(operation, progress)
    },
  })
}

/** Downtime ends when all checks have begun to pass; should they fail again, the next passing moment counts. */
function noteServing(work: Work, operation: Operation): void {
  letThrough(work, operation)
  const { downSince } = operation.intent
  // What did not run before has no downtime: nobody knows since when it was missed.
  if (downSince === null || downSince === undefined) return
  operation.downtimeMs ??= work.now() - downSince + (operation.intent.data?.frozenMs ?? 0)
}

function cutShort(work: Work, reason: string): SamovarError {
  return work.stopping.aborted
    ? new SamovarError('interrupted', 'Samovar was told to stop while the service was being checked')
    : new SamovarError('pre-empted', `cut short: ${reason}`)
}
