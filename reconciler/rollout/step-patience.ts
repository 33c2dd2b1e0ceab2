import type { Operation } from '../journal/operation.ts'

const minute = 60_000

/**
 * How long a step may take before it counts as hanging. Generous, for the answer to a hang is a restart that cuts the
 * step: it must never hit one that only takes long.
 */
export type Patience = {
  /** Milliseconds, from the beginning of the step or from its last progress. */
  ms: number
  /** True when bytes that move begin the time anew. */
  renewedByProgress: boolean
}

/** A container may take its whole grace to stop, and several are stopped one after the other. */
const ordinary = 30 * minute
/** A database builds its indexes at the end of a load, and says nothing meanwhile. */
const dataMoves = 60 * minute
/** A check that hangs has a time limit of its own, and the last one may have just begun. */
const afterHealth = 10 * minute

/** What each step waits for, by its name; one that is not named here is an ordinary one. */
const movesData = [
  'preflight',
  'back up',
  'safety backup',
  'prove backup',
  'put back data',
  'put back databases',
  'put away',
]

/**
 * The patience with one step, from what the operation itself was promised: the time of its health checks, the time
 * limit of its job. Steps that move data or pull an image may take as long as bytes move.
 *
 * @param step its name in the journal
 */
export function patienceWith({ intent }: Pick<Operation, 'intent'>, step: string): Patience {
  if (movesData.includes(step) || step.startsWith('verify in '))
    return { ms: dataMoves, renewedByProgress: true }
  const policies = [intent.health, intent.oldHealth, ...Object.values(intent.ownerHealth ?? {})]
  // One after the other in the worst case.
  const health = policies.reduce((sum, policy) => sum + (policy?.within ?? 0), 0)
  if (step.startsWith('check health')) return { ms: health + afterHealth, renewedByProgress: false }
  if (step === 'run' && intent.job !== undefined)
    return { ms: intent.job.timeout + ordinary, renewedByProgress: false }
  return { ms: ordinary + health, renewedByProgress: false }
}
