import { assert, double, integer, property } from 'fast-check'
import { expect, test } from 'vitest'
import { nextPoll } from '../../reconciler/git/next-poll.ts'

test('the next look comes within a tenth of the interval', () => {
  expect(nextPoll(180_000, 0)).toBe(162_000)
  expect(nextPoll(180_000, 0.5)).toBe(180_000)
  assert(
    property(
      integer({ min: 1000, max: 1e9 }),
      double({ min: 0, max: 0.999, noNaN: true }),
      (interval, random) => {
        expect(Math.abs(nextPoll(interval, random) - interval)).toBeLessThanOrEqual(interval / 10 + 1)
      },
    ),
  )
})
