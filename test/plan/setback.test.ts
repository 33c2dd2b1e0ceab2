import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nextTry, type SetbackCount } from '../../reconciler/plan/setback.ts'
import { noon } from './given.ts'

const hour = 3_600_000

/** Seconds until each next try, when a service fails as soon as it is tried. */
function pauses(times: number, target = (_time: number) => 'same'): number[] {
  let before: SetbackCount | undefined
  let now = noon
  return Array.from({ length: times }, (_, time) => {
    const { count, nextAt } = nextTry(before, target(time), now)
    before = { target: target(time), count, lastAt: now }
    const pause = (nextAt - now) / 1000
    now = nextAt
    return pause
  })
}

test('the pauses double from 15 seconds up to an hour', () => {
  expect(pauses(11)).toEqual([15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600])
})

test('another target starts the count anew', () => {
  expect(pauses(5, (time) => (time < 3 ? 'one' : 'other'))).toEqual([15, 30, 60, 15, 30])
})

test('an hour of quiet after its pause starts the count anew, a minute less does not', () => {
  const before = { target: 'same', count: 3, lastAt: noon }
  expect(nextTry(before, 'same', noon + 60_000 + hour)).toMatchObject({ count: 1 })
  expect(nextTry(before, 'same', noon + hour)).toMatchObject({ count: 4 })
})

test('however often it failed, the next try comes, within an hour', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100_000 }), fc.nat(hour), (count, later) => {
      const now = noon + later
      const { nextAt } = nextTry({ target: 'same', count, lastAt: noon }, 'same', now)
      expect(nextAt).toBeGreaterThan(now)
      expect(nextAt - now).toBeLessThanOrEqual(hour)
    }),
  )
})
