import { sentenceOf } from '../errors.ts'
import type { NewOperation, Operation } from '../journal/operations.ts'
import { checkHealth } from './check-health.ts'
import { finish } from './settle.ts'
import { stepsOf, type Work } from './step.ts'

/** A container that stands stopped is started again and checked. There is nothing to go back to when that fails. */
export async function startStopped(work: Work, wanted: NewOperation): Promise<Operation> {
  const operation = work.journal.beginOperation(wanted, work.now())
  const step = stepsOf(work, operation)
  try {
    for (const { current } of operation.intent.members) {
      if (current !== null) await step('start', async () => void (await work.engine.startAgain(current)))
    }
    await step('check health', () => checkHealth(work, operation))
    return finish(work, operation, 'applied', operation.reason)
  } catch (error) {
    return finish(work, operation, 'untouched', sentenceOf(error))
  }
}

/**
 * A service left the desired state: stopped and kept, or removed when host.yaml says `prune: true`. Never its volumes.
 */
export async function takeLeave(work: Work, wanted: NewOperation, prune: boolean): Promise<Operation> {
  const operation = work.journal.beginOperation(wanted, work.now())
  const step = stepsOf(work, operation)
  try {
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
    return finish(work, operation, 'applied', operation.reason)
  } catch (error) {
    return finish(work, operation, 'untouched', sentenceOf(error))
  }
}
