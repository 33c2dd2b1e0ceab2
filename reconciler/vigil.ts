import { durationInWords } from './health/clock.ts'
import type { Progress } from './rollout/step.ts'
import { type Patience, patienceWith } from './rollout/step-patience.ts'

/** A pass without a step fetches, renders, looks and prunes, each with a time limit of its own. */
const besideSteps: Patience = { ms: 60 * 60_000, renewedByProgress: true }

/** What the daemon does at this moment, and whether that still gets anywhere. */
export type Vigil = {
  /** Sees every step on its way to whoever shows it. */
  over(progress: Progress): Progress
  /** `gitea: step check health, 12 s`, or null when no pass is under way. */
  doing(): string | null
  /** Why the current work counts as hanging, or null: this is what the watchdog asks. */
  hangs(): string | null
}

type Work = { what: string; began: number; sign: number; patience: Patience }

/**
 * Keeps watch over the work of a daemon. A timer that ticks proves only that the event loop turns; a roll-out that
 * waits for an answer which never comes ticks as well. So each step has a patience (rollout/step-patience.ts).
 *
 * @param about.now milliseconds of a monotonic clock
 * @param about.busySince when the pass under way began, or null between passes; another value is another pass
 */
export function keepVigil(about: { now: () => number; busySince: () => number | null }): Vigil {
  const { now } = about
  let work: Work | null = null
  let pass: Work | null = null
  let passBegan: number | null = null
  const beginning = (what: string, patience: Patience): Work => {
    const at = now()
    return { what, began: at, sign: at, patience }
  }
  const sign = () => {
    for (const each of [work, pass]) if (each?.patience.renewedByProgress === true) each.sign = now()
  }
  const current = (): Work | null => {
    const since = about.busySince()
    if (since !== passBegan) pass = since === null ? null : beginning('a pass', besideSteps)
    passBegan = since
    if (since === null) work = null
    return work ?? pass
  }
  return {
    over: (progress) => ({
      step(operation, name, phase, ...more) {
        sign()
        work =
          phase === 'begun'
            ? beginning(`${operation.service}: step ${name}`, patienceWith(operation, name))
            : null
        progress.step(operation, name, phase, ...more)
      },
      pull(...seen) {
        sign()
        progress.pull(...seen)
      },
      data(...seen) {
        sign()
        progress.data(...seen)
      },
      health: (...seen) => progress.health(...seen),
    }),
    doing() {
      const doing = current()
      return doing === null ? null : `${doing.what}, ${durationInWords(now() - doing.began)}`
    },
    hangs() {
      const doing = current()
      if (doing === null || now() - doing.sign <= doing.patience.ms) return null
      const { what, began, patience } = doing
      const quiet = patience.renewedByProgress ? ' without any progress' : ''
      return `${what} goes on for ${durationInWords(now() - began)}; it may take ${durationInWords(patience.ms)}${quiet}`
    },
  }
}
