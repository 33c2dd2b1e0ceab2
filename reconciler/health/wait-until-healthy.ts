import { sentenceOf } from '../errors.ts'
import { type Clock, durationInWords, realClock } from './clock.ts'
import { type Check, type CheckResult, runCheck } from './health-check.ts'

export type HealthOutcome =
  | { healthy: true; ms: number }
  /** `said` is what the check said last and for how long. */
  | { healthy: false; check: string; said: string; ms: number }
  /** The signal fired first; the text is its reason. */
  | { preempted: string; ms: number }

/** Told whenever a check says something else than before. */
export type HealthProgress = {
  check: string
  ok: boolean
  said: string
  /** Milliseconds since the wait began. */
  ms: number
  /** Names of the checks that do not pass now. */
  waitingFor: string[]
}

export type HealthWait = {
  checks: Check[]
  /** Milliseconds from now within which all checks must have passed for `steady` milliseconds. */
  within: number
  steady: number
  /** A newer commit or the end of the process; its reason becomes `preempted`. */
  signal: AbortSignal
  onProgress?: (progress: HealthProgress) => void
  clock?: Clock
}

/** How one check stands: what it said last, since when it says yes or no without a break, its last failure. */
type Standing = {
  check: Check
  result: CheckResult | null
  since: number
  seenAt: number
  failed: string | null
}
type Wait = HealthWait & {
  clock: Clock
  began: number
  standings: Standing[]
  /** Fires when all have begun to pass, so that a check with a slow pace wakes for the end of `steady`. */
  rescheduled: AbortController
}

/**
 * Waits until all checks have passed for `steady` without a break, at most `within`. Every check runs at its own pace
 * beside the others and once more when the steady time is over, so that a slow pace cannot hide a late failure.
 * Ends at once when a check fails for good or the signal fires, also while a check hangs. Never throws.
 */
export async function waitUntilHealthy(options: HealthWait): Promise<HealthOutcome> {
  const clock = options.clock ?? realClock
  const began = clock.now()
  const standings = options.checks.map(
    (check): Standing => ({ check, result: null, since: began, seenAt: began, failed: null }),
  )
  const wait: Wait = { ...options, clock, began, standings, rescheduled: new AbortController() }
  if (options.signal.aborted) return preempted(wait)
  const over = new AbortController()
  const stop = AbortSignal.any([over.signal, options.signal])
  const { promise, resolve, reject } = Promise.withResolvers<HealthOutcome>()
  const fired = () => resolve(preempted(wait))
  options.signal.addEventListener('abort', fired, { once: true })
  const expired = clock.sleep(options.within, stop).then(() => resolve(outOfTime(wait)))
  const loops = standings.map((standing) => keepChecking(wait, standing, stop, resolve).catch(reject))
  if (standings.length === 0) resolve({ healthy: true, ms: 0 })
  try {
    return await promise
  } finally {
    over.abort()
    options.signal.removeEventListener('abort', fired)
    await Promise.all([expired, ...loops])
  }
}

async function keepChecking(
  wait: Wait,
  standing: Standing,
  stop: AbortSignal,
  done: (outcome: HealthOutcome) => void,
): Promise<void> {
  while (!stop.aborted) {
    const result = await runCheck(standing.check, stop, wait.clock)
    if (stop.aborted) return
    note(wait, standing, result)
    const ms = wait.clock.now() - wait.began
    if (!result.ok && result.final === true) {
      done({ healthy: false, check: standing.check.name, said: result.said, ms })
    } else if (isSteady(wait)) {
      done({ healthy: true, ms })
    }
    await rest(wait, standing, stop)
  }
}

function note(wait: Wait, standing: Standing, result: CheckResult): void {
  const now = wait.clock.now()
  const before = standing.result
  const passedBefore = passingSince(wait) !== null
  standing.result = result
  standing.seenAt = now
  if (before === null || before.ok !== result.ok) standing.since = now
  if (!result.ok) standing.failed = result.said
  if (!passedBefore && passingSince(wait) !== null) {
    wait.rescheduled.abort()
    wait.rescheduled = new AbortController()
  }
  if (before?.ok === result.ok && before.said === result.said) return
  const waitingFor = wait.standings.filter((each) => each.result?.ok !== true).map((each) => each.check.name)
  wait.onProgress?.({
    check: standing.check.name,
    ok: result.ok,
    said: result.said,
    ms: now - wait.began,
    waitingFor,
  })
}

/** When all pass: the moment since which they all do, else null. */
function passingSince(wait: Wait): number | null {
  if (!wait.standings.every((standing) => standing.result?.ok === true)) return null
  return Math.max(...wait.standings.map((standing) => standing.since))
}

function isSteady(wait: Wait): boolean {
  const since = passingSince(wait)
  return since !== null && wait.standings.every((standing) => standing.seenAt >= since + wait.steady)
}

/** Sleeps for the check's own pace, but no longer than to the end of the steady time. */
async function rest(wait: Wait, standing: Standing, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const since = passingSince(wait)
    const toSteady = since === null ? 0 : since + wait.steady - standing.seenAt
    const pause = toSteady > 0 ? Math.min(standing.check.every, toSteady) : standing.check.every
    const left = Math.ceil(standing.seenAt + pause - wait.clock.now())
    if (left <= 0) return
    await wait.clock.sleep(left, AbortSignal.any([stop, wait.rescheduled.signal]))
  }
}

function preempted(wait: Wait): HealthOutcome {
  return { preempted: sentenceOf(wait.signal.reason), ms: wait.clock.now() - wait.began }
}

function outOfTime(wait: Wait): HealthOutcome {
  const now = wait.clock.now()
  const ms = now - wait.began
  const since = passingSince(wait)
  if (since !== null) return { ...notSteady(wait, now - since), ms }
  const failing = wait.standings.filter((standing) => standing.result?.ok === false)
  const last = failing.toSorted((a, b) => b.seenAt - a.seenAt)[0]
  if (last?.result) {
    const said = `${last.result.said}, for ${durationInWords(now - last.since)}`
    return { healthy: false, check: last.check.name, said, ms }
  }
  const silent = wait.standings.find((standing) => standing.result === null)
  return { healthy: false, check: silent?.check.name ?? '', said: `no answer for ${durationInWords(ms)}`, ms }
}

function notSteady(wait: Wait, passed: number): { healthy: false; check: string; said: string } {
  const failed = wait.standings.filter((standing) => standing.failed !== null)
  const last = (failed.length > 0 ? failed : wait.standings).toSorted((a, b) => b.since - a.since)[0]
  const before = last?.failed ? `; before that: ${last.failed}` : ''
  const said = `passed for ${durationInWords(passed)} only, ${durationInWords(wait.steady)} asked${before}`
  return { healthy: false, check: last?.check.name ?? '', said }
}
