import { reasonOf } from '../errors.ts'
import type { NewOperation, Operation } from '../journal/operation.ts'
import { checkHealth } from './check-health.ts'
import { finish } from './settle.ts'
import { mustStop, stepsOf, type Work } from './step.ts'

/** A container that stands stopped is started again and checked. There is nothing to go back to when that fails. */
export async function startStopped(work: Work, wanted: NewOperation): Promise<Operation> {
  return mend(work, work.journal.beginOperation(wanted, work.now()), async (operation) => {
    await startMembers(work, operation)
  })
}

/**
 * A service left the desired state: stopped and kept, or removed when host.yaml says `prune: true`. Never its volumes.
 */
export async function takeLeave(work: Work, wanted: NewOperation, prune: boolean): Promise<Operation> {
  return mend(work, work.journal.beginOperation(wanted, work.now()), async (operation) => {
    await partWithMembers(work, operation, prune)
  })
}

/**
 * Goes on with a start or a removal that was cut short: every act of both is safe to repeat, so that the journal
 * tells what became of it. What it was about to do to a service that left stands in its steps.
 */
export async function resumeMend(work: Work, operation: Operation): Promise<Operation> {
  if (operation.kind === 'start') return mend(work, operation, () => startMembers(work, operation))
  const prune = work.journal.begun(operation.id, 'remove')
  if (!prune && !work.journal.begun(operation.id, 'stop'))
    return finish(work, operation, 'untouched', 'Samovar was cut short before anything was done')
  return mend(work, operation, () => partWithMembers(work, operation, prune))
}

async function mend(
  work: Work,
  operation: Operation,
  act: (operation: Operation) => Promise<void>,
): Promise<Operation> {
  try {
    await act(operation)
    return finish(work, operation, 'applied', operation.reason)
  } catch (error) {
    if (mustStop(work, error)) return operation
    return finish(work, operation, 'untouched', reasonOf(error))
  }
}

async function startMembers(work: Work, operation: Operation): Promise<void> {
  const step = stepsOf(work, operation)
  const [main, ...followers] = operation.intent.members
  await step('start', async () => {
    if (main?.current != null) await work.engine.startAgain(main.current)
    // Their network went with the container it belonged to; they find the new one when they start.
    for (const { current } of followers) {
      if (current === null) continue
      await work.engine.stop(current)
      await work.engine.startAgain(current)
    }
    return undefined
  })
  await step('check health', () => checkHealth(work, operation))
}

async function partWithMembers(work: Work, operation: Operation, prune: boolean): Promise<void> {
  const step = stepsOf(work, operation)
  for (const { current, service } of operation.intent.members) {
    if (current === null) continue
    if (prune) await step('remove', async () => void (await work.engine.remove(current)))
    else {
      await step('stop', async () => {
        const kept = await work.engine.describe(operation.id, current, service)
        await work.engine.retire(kept)
      })
    }
  }
}
