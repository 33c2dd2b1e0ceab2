import { expect, test } from 'vitest'
import type { Check, CheckResult } from '../../reconciler/health/health-check.ts'
import {
  type HealthOutcome,
  type HealthProgress,
  type HealthWait,
  waitUntilHealthy,
} from '../../reconciler/health/wait-until-healthy.ts'
import { type PretendClock, pretendClock } from './pretend-clock.ts'

const bad = (said: string): CheckResult => ({ ok: false, said })
const good: CheckResult = { ok: true, said: 'HTTP 200' }

/** A check whose answer depends on how many seconds the wait is old. */
function checkBySecond(
  clock: PretendClock,
  answer: (second: number) => CheckResult | Promise<CheckResult>,
  more: Partial<Check> = {},
): Check {
  const run = async () => answer(clock.now() / 1000)
  return { name: 'door', every: 1000, timeout: 5000, run, ...more }
}

function story(clock: PretendClock, checks: Check[], more: Partial<HealthWait> = {}): Promise<HealthOutcome> {
  const signal = new AbortController().signal
  return clock.runOut(waitUntilHealthy({ checks, within: 60_000, steady: 5000, signal, clock, ...more }))
}

const never = () => new Promise<CheckResult>(() => {})

test('a service is healthy only after all checks have passed for the steady time', async () => {
  const clock = pretendClock()
  const door = checkBySecond(clock, (second) => (second < 10 ? bad('HTTP 502') : good))
  expect(await story(clock, [door])).toEqual({ healthy: true, ms: 15_000 })
  expect(clock.sleeping()).toBe(0)
})

test('a flapping service is not healthy: the steady time begins anew after each failure', async () => {
  const clock = pretendClock()
  const door = checkBySecond(clock, (second) => (second % 4 === 3 ? bad('HTTP 502') : good))
  const outcome = await story(clock, [door])
  expect(outcome).toMatchObject({ healthy: false, check: 'door', ms: 60_000 })
  expect(outcome).toHaveProperty(
    'said',
    expect.stringMatching(/^passed for . s only, 5 s asked; before that: HTTP 502$|^HTTP 502/),
  )
})

test('out of time, it says what the failing check said last and for how long', async () => {
  const clock = pretendClock()
  const fine = checkBySecond(clock, () => good, { name: 'inside' })
  const door = checkBySecond(clock, () => bad('HTTP 502 (https://git.example.com/), expected 200'))
  expect(await story(clock, [fine, door])).toEqual({
    healthy: false,
    check: 'door',
    said: 'HTTP 502 (https://git.example.com/), expected 200, for 60 s',
    ms: 60_000,
  })
})

test('the steady time has to be over within the time asked, not only begun', async () => {
  const clock = pretendClock()
  const door = checkBySecond(clock, (second) => (second < 58 ? bad('HTTP 502') : good))
  expect(await story(clock, [door])).toMatchObject({
    healthy: false,
    said: 'passed for 2 s only, 5 s asked; before that: HTTP 502',
  })
})

test('a check with a slow pace is looked at again at the end of the steady time', async () => {
  const clock = pretendClock()
  const slow = checkBySecond(clock, (second) => (second === 0 ? good : bad('HTTP 500')), {
    name: 'slow',
    every: 30_000,
  })
  const quick = checkBySecond(clock, (second) => (second < 3 ? bad('starting') : good), { name: 'quick' })
  expect(await story(clock, [slow, quick])).toMatchObject({ healthy: false, check: 'slow' })
  const other = pretendClock()
  const calm = checkBySecond(other, () => good, { name: 'calm', every: 30_000 })
  const late = checkBySecond(other, (second) => (second < 3 ? bad('starting') : good), { name: 'late' })
  expect(await story(other, [calm, late])).toEqual({ healthy: true, ms: 8000 })
})

test('without a steady time the first good look is enough', async () => {
  const clock = pretendClock()
  expect(await story(clock, [checkBySecond(clock, () => good)], { steady: 0 })).toEqual({
    healthy: true,
    ms: 0,
  })
})

test('a check that can never pass again ends the wait at once', async () => {
  const clock = pretendClock()
  const gone: CheckResult = { ok: false, said: 'container exited with code 1', final: true }
  const container = checkBySecond(clock, (second) => (second < 2 ? good : gone), { name: 'container' })
  const door = checkBySecond(clock, never)
  expect(await story(clock, [door, container])).toEqual({
    healthy: false,
    check: 'container',
    said: 'container exited with code 1',
    ms: 2000,
  })
  expect(clock.sleeping()).toBe(0)
})

test('a newer commit ends the wait at once, also while a check hangs and does not listen', async () => {
  const clock = pretendClock()
  const newer = new AbortController()
  clock.at(7300, () => newer.abort('commit 1a2b3c is newer'))
  const door = checkBySecond(clock, never, { timeout: 50_000 })
  expect(await story(clock, [door], { signal: newer.signal })).toEqual({
    preempted: 'commit 1a2b3c is newer',
    ms: 7300,
  })
  expect(clock.sleeping()).toBe(0)
})

test('a signal that fired before the wait is heard before any check runs', async () => {
  const clock = pretendClock()
  let runs = 0
  const door = checkBySecond(clock, () => {
    runs++
    return good
  })
  const outcome = await story(clock, [door], { signal: AbortSignal.abort(new Error('told to stop')) })
  expect(outcome).toEqual({ preempted: 'told to stop', ms: 0 })
  expect(runs).toBe(0)
})

test('a hanging check is cut at its own timeout and holds up no other check', async () => {
  const clock = pretendClock()
  const seen: HealthProgress[] = []
  const hanging = checkBySecond(clock, never, { name: 'hanging', timeout: 5000 })
  const quick = checkBySecond(clock, () => good, { name: 'quick' })
  const outcome = await story(clock, [hanging, quick], { onProgress: (progress) => seen.push(progress) })
  expect(outcome).toMatchObject({ check: 'hanging', said: 'no answer within 5 s (hanging), for 55 s' })
  expect(seen).toEqual([
    { check: 'quick', ok: true, said: 'HTTP 200', ms: 0, waitingFor: ['hanging'] },
    {
      check: 'hanging',
      ok: false,
      said: 'no answer within 5 s (hanging)',
      ms: 5000,
      waitingFor: ['hanging'],
    },
  ])
})

test('a check that never answered at all is named', async () => {
  const clock = pretendClock()
  const door = checkBySecond(clock, never, { timeout: 90_000 })
  expect(await story(clock, [door])).toMatchObject({ check: 'door', said: 'no answer for 60 s' })
})

test('a check that throws counts as failed and says why', async () => {
  const clock = pretendClock()
  const door = checkBySecond(clock, () => {
    throw new Error('the engine does not answer')
  })
  expect(await story(clock, [door])).toMatchObject({ said: 'the engine does not answer (door), for 60 s' })
})

test('in real time nothing is left ticking after the end', async () => {
  const active = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = active()
  const check: Check = { name: 'door', every: 60_000, timeout: 60_000, run: async () => good }
  const signal = new AbortController().signal
  const outcome = await waitUntilHealthy({ checks: [check], within: 60_000, steady: 20, signal })
  expect(outcome).toMatchObject({ healthy: true })
  // The runner's own timers come and go; what the wait left would be two of a minute each.
  expect(active()).toBeLessThanOrEqual(before)
})
