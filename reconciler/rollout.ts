import { reasonOf, SamovarError, sentenceOf } from './errors.ts'
import type { Decision, NewOperation, Operation } from './journal/operation.ts'
import { backUp, prove } from './rollout/back-up.ts'
import { checkHealth, checkHeld, checkOldHealth, verifyOld } from './rollout/check-health.ts'
import { lostInWords } from './rollout/data.ts'
import { holdNoLonger, holdRequests, isStillHeld, stopsForTheCopy } from './rollout/hold-requests.ts'
import { resumeMend } from './rollout/mend.ts'
import { create, isSameImage, preflight } from './rollout/prepare.ts'
import {
  halfPutBack,
  isServer,
  putAway,
  putBack,
  putBackInOwnServer,
  swapsItsServer,
} from './rollout/put-back.ts'
import { resumeRestore } from './rollout/restore.ts'
import { resumeJob } from './rollout/run-job.ts'
import { captureEvidence, finish, quarantine, soak } from './rollout/settle.ts'
import { type Body, mustStop, onlyOnce, type Step, stepsOf, type Work } from './rollout/step.ts'
import {
  bringBack,
  goOnAsBefore,
  quiesce,
  removeCandidates,
  setAside,
  start,
  startQuiesced,
} from './rollout/swap.ts'
import { resumeBackup, resumeVerify } from './rollout/take-backup.ts'

/** How often an operation is taken up again after its process died, before it goes back instead. */
const mostAttempts = 3

/**
 * The roll-out of one service, as a runbook: get ready, copy its data and prove the copy, swap, check, then keep or put
 * back, the data too.
 *
 * Every step is written into the journal before it acts and looks at the host before it changes something, so that
 * going through the list again after a crash does only what is missing. A failure before `set aside` leaves the
 * service untouched; from there on the old container comes back, on the data that it knows.
 */
export async function rollOut(work: Work, wanted: NewOperation, body: Body): Promise<Operation> {
  const operation = work.journal.beginOperation(wanted, work.now())
  try {
    return await carryOut(work, operation, body)
  } finally {
    await holdNoLonger(work, operation)
  }
}

/** Goes on with an operation that a crash or a stop cut short. */
export async function resume(work: Work, operation: Operation): Promise<Operation> {
  // Emptying a large volume goes on in its container when nobody waits for it any more.
  if (hasData(operation)) await work.engine.removeScratch(operation.id)
  work.journal.markCut(operation.id)
  operation.attempts += 1
  if (operation.kind === 'backup') return resumeBackup(work, operation)
  if (operation.kind === 'verify') return resumeVerify(work, operation)
  if (operation.kind === 'restore') return resumeRestore(work, operation)
  if (operation.kind === 'job') return resumeJob(work, operation)
  if (operation.kind === 'start' || operation.kind === 'remove') {
    if (operation.attempts <= mostAttempts) return resumeMend(work, operation)
    return finish(work, operation, 'untouched', `Samovar was cut short ${mostAttempts} times during this`)
  }
  if (operation.decision === 'forward' && !work.journal.begun(operation.id, 'set aside')) {
    decide(work, operation, 'leave', 'Samovar was cut short before anything was replaced')
  } else if (operation.decision === 'forward' && operation.attempts > mostAttempts) {
    decide(work, operation, 'revert', `Samovar was cut short ${mostAttempts} times during this roll-out`)
  } else if (operation.decision === 'revert' && operation.attempts > 2 * mostAttempts) {
    const failed = `${operation.reason}; going back was cut short again and again`
    finish(work, operation, 'stuck', `${failed}${halfPutBack(work, operation)}`)
    await holdNoLonger(work, operation)
    return operation
  }
  try {
    return await carryOut(work, operation, null)
  } finally {
    await holdNoLonger(work, operation)
  }
}

async function carryOut(work: Work, operation: Operation, body: Body | null): Promise<Operation> {
  const step = stepsOf(work, operation)
  if (operation.decision === 'forward') {
    try {
      if (body !== null) {
        await step('preflight', () => preflight(work, operation))
        if (isSameImage(work, operation))
          return finish(work, operation, 'applied', 'the same image for this platform: nothing was replaced')
        await step('create', () => create(work, operation, body))
        if (stopsForTheCopy(operation)) await hold(work, operation, step)
        await step('quiesce', () => quiesce(work, operation))
        if (operation.intent.data !== undefined) {
          await step('back up', () => backUp(work, operation, body.configuration))
          await step('prove backup', () => prove(work, operation))
        }
      }
      if (body === null || !stopsForTheCopy(operation)) await hold(work, operation, step)
      await step('set aside', () => setAside(work, operation))
      await step('start', () => start(work, operation))
      await step('check health', () => checkHealth(work, operation))
      decide(work, operation, 'keep', '')
    } catch (error) {
      if (replacedAnything(work, operation) && mustStop(work, error)) return operation
      decide(work, operation, replacedAnything(work, operation) ? 'revert' : 'leave', reasonOf(error), error)
    }
  }
  switch (operation.decision) {
    case 'keep':
      return keep(work, operation, step)
    case 'leave':
      return leave(work, operation, step)
    case 'revert':
      return revert(work, operation, step)
    case 'forward':
      throw new Error('a roll-out ended without a decision')
    default:
      return operation.decision satisfies never
  }
}

async function keep(work: Work, operation: Operation, step: Step): Promise<Operation> {
  try {
    await step('start dependents', () => startQuiesced(work, operation))
    await letThrough(work, operation, step)
    await step('soak', () => soak(work, operation))
    return finish(work, operation, 'applied', operation.reason)
  } catch (error) {
    if (mustStop(work, error)) return operation
    // The new version is proven and runs; what could not be put away stays visible under its set-aside name.
    return finish(work, operation, 'applied', `then: ${sentenceOf(error)}`)
  }
}

async function leave(work: Work, operation: Operation, step: Step): Promise<Operation> {
  try {
    if (hasData(operation)) {
      await work.engine.removeScratch(operation.id)
      await step('go on as before', () => goOnAsBefore(work, operation))
    }
    await step('take away', () => removeCandidates(work, operation))
    if (!hasData(operation)) await step('start dependents', () => startQuiesced(work, operation))
    await letThrough(work, operation, step)
    return finish(work, operation, 'untouched', operation.reason)
  } catch (error) {
    if (mustStop(work, error)) return operation
    return finish(work, operation, 'stuck', `${operation.reason}; and then: ${sentenceOf(error)}`)
  }
}

async function revert(work: Work, operation: Operation, step: Step): Promise<Operation> {
  const once = onlyOnce(work, operation, step)
  try {
    await step('capture evidence', () => captureEvidence(work, operation))
    await hold(work, operation, step, 'hold requests again')
    await step('stop new', () => removeCandidates(work, operation))
    const dataToo = mustPutBack(work, operation)
    if (dataToo) await once('put back data', () => putBack(work, operation))
    if (dataToo && swapsItsServer(operation)) {
      // Only a running server takes its databases; who lives in its network and works on them must not run yet.
      await step('bring back server', () => bringBack(work, operation, isServer(operation)))
      await once('put back databases', () => putBackInOwnServer(work, operation))
    }
    await step('bring back', () => bringBack(work, operation))
    await step('start dependents', () => startQuiesced(work, operation))
    await step('check health again', () => checkOldHealth(work, operation))
    await letThrough(work, operation, step)
    await step('verify digest', () => verifyOld(work, operation))
    await step('quarantine', () => quarantine(work, operation))
    if (dataToo) await step('put away', () => putAway(work, operation))
    const wentBack = operation.intent.members.some((member) => member.kept !== null)
    // Without an old version there was nothing to go back to: what was made is taken away again.
    return finish(work, operation, wentBack ? 'reverted' : 'untouched', withData(operation, dataToo))
  } catch (error) {
    if (mustStop(work, error)) return operation
    const failed = `${operation.reason}; going back failed: ${sentenceOf(error)}`
    return finish(work, operation, 'stuck', `${failed}${halfPutBack(work, operation)}`)
  }
}

/** A step of its own only where a service wishes it. */
async function hold(
  work: Work,
  operation: Operation,
  step: Step,
  name: 'hold requests' | 'hold requests again' = 'hold requests',
): Promise<void> {
  if (operation.intent.hold === undefined) return
  await step(name, () => holdRequests(work, operation, name === 'hold requests again'))
}

/** What was swapped let them through when it answered; here those wait whose services were only stopped meanwhile. */
async function letThrough(work: Work, operation: Operation, step: Step): Promise<void> {
  if (isStillHeld(work, operation)) await step('let requests through', () => checkHeld(work, operation))
}

const hasData = (operation: Operation): boolean => operation.intent.data !== undefined

/** As long as the new version never started, nothing wrote to the data. */
const mustPutBack = (work: Work, operation: Operation): boolean =>
  operation.intent.data?.restore === true &&
  operation.intent.data.backup !== null &&
  work.journal.begun(operation.id, 'start')

function withData(operation: Operation, dataToo: boolean): string {
  const { data } = operation.intent
  if (!dataToo || data?.backup === null || data === undefined) return operation.reason
  const from = new Date(data.backup.dataFrom).toISOString()
  return `${operation.reason}; its data was put back from backup ${data.backup.id} of ${from}, ${lostInWords(data)} of writes before the stop were lost`
}

const replacedAnything = (work: Work, operation: Operation): boolean =>
  work.journal.begun(operation.id, 'set aside')

/** What does not speak against what was rolled out: a lost engine, a newer commit, a name that somebody else has. */
const blameless = new Set([
  'pre-empted',
  'interrupted',
  'engine-unreachable',
  'changed',
  'state-locked',
  'name-taken',
])

function decide(work: Work, operation: Operation, decision: Decision, reason: string, cause?: unknown): void {
  operation.decision = decision
  operation.reason = work.mask(reason)
  // An old container that could not be stopped says nothing about the new version either: that never started.
  const neverStarted = cause !== undefined && !work.journal.begun(operation.id, 'start')
  operation.intent.blameless = neverStarted || (cause instanceof SamovarError && blameless.has(cause.code))
  work.journal.saveOperation(operation)
}
