import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../../reconciler/health/clock.ts'

export type PretendClock = Clock & {
  /** Lets time pass, sleeper by sleeper, until the work is done; throws when everybody waits for nothing. */
  runOut<T>(work: Promise<T>): Promise<T>
  /** Sleeps that nobody cut short or slept through. */
  sleeping(): number
  /** Calls back when that moment comes. */
  at(ms: number, callback: () => void): void
}

type Sleeper = { until: number; wake: () => void }

/** A clock that jumps from one sleeper to the next, so that a story of minutes takes no time. */
export function pretendClock(): PretendClock {
  let now = 0
  const sleepers = new Set<Sleeper>()
  const sleepUntil = (until: number, wake: () => void) => {
    const sleeper = { until, wake }
    sleepers.add(sleeper)
    return sleeper
  }
  const sleep = (ms: number, signal: AbortSignal) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    if (signal.aborted) resolve()
    const sleeper = sleepUntil(now + ms, resolve)
    if (signal.aborted) sleepers.delete(sleeper)
    signal.addEventListener('abort', () => {
      sleepers.delete(sleeper)
      resolve()
    })
    return promise
  }
  const runOut = async <T>(work: Promise<T>): Promise<T> => {
    let done = false
    const watched = work.finally(() => {
      done = true
    })
    watched.catch(() => {})
    for (let turn = 0; !done; turn++) {
      await nextTurn()
      if (done || turn % 3 !== 2) continue
      const next = [...sleepers].toSorted((a, b) => a.until - b.until)[0]
      if (next === undefined) throw new Error('everybody waits and nobody sleeps')
      sleepers.delete(next)
      now = Math.max(now, next.until)
      next.wake()
    }
    return watched
  }
  return { now: () => now, sleep, runOut, sleeping: () => sleepers.size, at: sleepUntil }
}
