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
