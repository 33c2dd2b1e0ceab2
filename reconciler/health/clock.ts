import { setTimeout as sleepFor } from 'node:timers/promises'

/** Time as the health checks see it, handed in so that stories of minutes run in milliseconds. */
export type Clock = {
  /** Milliseconds; only differences mean something. */
  now(): number
  /** Resolves after that many milliseconds, or at once when the signal fires; never throws. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** Monotonic, so that a correction of the system's time neither ends nor stretches a wait. */
export const realClock: Clock = {
  now: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await sleepFor(ms, undefined, { signal })
    } catch {
      // Cut short by the signal, which the caller looks at.
    }
  },
}

/** A duration for a sentence: `400 ms`, `60 s`, `5 min`, `5 min 3 s`. */
export function durationInWords(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  const rest = seconds % 60
  return `${Math.floor(seconds / 60)} min${rest === 0 ? '' : ` ${rest} s`}`
}
