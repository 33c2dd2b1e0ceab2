import fc from 'fast-check'
import { expect, test } from 'vitest'
import { moment } from '../../reconciler/plan/hold.ts'
import { windowAt } from '../../reconciler/plan/windows.ts'

const minute = 60_000
const hour = 60 * minute
const berlin = 'Europe/Berlin'
const weekly = { opens: '15 3 * * 0', for: 2 * hour }
const at = (text: string) => Date.parse(text)

test.each([
  ['a minute before it opens', '2026-11-22T03:14:59+01:00', false],
  ['when it opens', '2026-11-22T03:15:00+01:00', true],
  ['in its last second', '2026-11-22T05:14:59+01:00', true],
  ['when its time is over', '2026-11-22T05:15:00+01:00', false],
  ['on another day', '2026-11-23T03:30:00+01:00', false],
])('a weekly window %s', (_, moment_, open) => {
  expect(windowAt(weekly, berlin, at(moment_)).open).toBe(open)
})

test.each([
  ['the clock goes forward before it', weekly, '2026-03-28T12:00:00+01:00', 'Sun 2026-03-29 03:15'],
  ['the clock goes back before it', weekly, '2026-10-24T12:00:00+02:00', 'Sun 2026-10-25 03:15'],
])('a window opens at its time on the wall when %s', (_, rule, now, opens) => {
  expect(moment(windowAt(rule, berlin, at(now)).opensAt, berlin)).toBe(opens)
})

test('a window lasts as long as it says, also when the clock changes in it', () => {
  const night = { opens: '0 1 * * *', for: 3 * hour }
  // 01:00 to 05:00 on the wall: the hour from 02:00 to 03:00 does not exist on that day.
  const spring = at('2026-03-29T01:00:00+01:00')
  expect(windowAt(night, berlin, spring + 3 * hour - minute).open).toBe(true)
  expect(windowAt(night, berlin, spring + 3 * hour).open).toBe(false)
  // 01:00 to 03:00: the hour from 02:00 to 03:00 comes twice.
  const autumn = at('2026-10-25T01:00:00+02:00')
  expect(windowAt(night, berlin, autumn + 3 * hour - minute).open).toBe(true)
  expect(windowAt(night, berlin, autumn + 3 * hour).open).toBe(false)
})

test('a window that opens in an hour that does not exist opens when the clock goes forward', () => {
  const { opensAt } = windowAt({ opens: '30 2 * * *', for: hour }, berlin, at('2026-03-28T12:00:00+01:00'))
  expect(moment(opensAt, berlin)).toBe('Sun 2026-03-29 03:00')
})

test('a window that opens in an hour that comes twice opens once', () => {
  const rule = { opens: '30 2 * * *', for: hour / 2 }
  const first = at('2026-10-25T02:30:00+02:00')
  expect(windowAt(rule, berlin, first - minute).opensAt).toBe(first)
  expect(windowAt(rule, berlin, first)).toMatchObject({
    open: true,
    opensAt: at('2026-10-26T02:30:00+01:00'),
  })
  expect(windowAt(rule, berlin, first + hour).open).toBe(false)
})

test.each([
  ['Africa/Cairo', '2026-04-24'],
  ['America/Santiago', '2026-09-06'],
  ['Atlantic/Azores', '2026-03-29'],
  ['Australia/Lord_Howe', '2026-10-04'],
])(
  'where the clock changes at midnight or by half an hour a window opens every day: %s',
  (timezone, date) => {
    const rule = { opens: '0 0 * * *', for: hour }
    let now = at(`${date}T00:00:00Z`) - 48 * hour
    const days = Array.from({ length: 5 }, () => {
      now = windowAt(rule, timezone, now).opensAt
      expect(windowAt(rule, timezone, now).open).toBe(true)
      return moment(now, timezone).slice(4, 14)
    })
    expect(new Set(days).size).toBe(5)
  },
)

test('at any moment of a year, a window is open exactly when it opened less than its length ago', () => {
  const rules = fc.record({
    opens: fc.constantFrom('15 3 * * 0', '0 2 * * *', '30 2 * * *', '*/20 * * * *', '0 0 1 * *'),
    for: fc.integer({ min: 5, max: 300 }).map((minutes) => minutes * minute),
  })
  const moments = fc.integer({ min: at('2026-01-01T00:00:00Z'), max: at('2027-01-01T00:00:00Z') })
  const zones = fc.constantFrom(
    ...[berlin, 'America/New_York', 'Australia/Lord_Howe', 'Africa/Cairo', 'America/Santiago', 'UTC'],
  )
  fc.assert(
    fc.property(rules, moments, zones, (rule, now, zone) => {
      const { open, opensAt } = windowAt(rule, zone, now)
      expect(opensAt).toBeGreaterThan(now)
      expect(windowAt(rule, zone, opensAt)).toMatchObject({ open: true })
      expect(windowAt(rule, zone, opensAt - 1).opensAt).toBe(opensAt)
      // Between now and the next opening nothing opens: an open window closes within its length, a closed one stays so.
      if (!open) expect(windowAt(rule, zone, Math.floor((now + opensAt) / 2)).open).toBe(false)
      if (open && opensAt > now + rule.for) expect(windowAt(rule, zone, now + rule.for).open).toBe(false)
    }),
  )
})
