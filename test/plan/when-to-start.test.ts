import { expect, test } from 'vitest'
import { expectedTime } from '../../reconciler/plan/expected-time.ts'
import { moment } from '../../reconciler/plan/hold.ts'
import { whenToStart } from '../../reconciler/plan/when-to-start.ts'
import { stretchAt, type WindowRule } from '../../reconciler/plan/windows.ts'

const minute = 60_000
const hour = 60 * minute
const berlin = 'Europe/Berlin'
const weekly: WindowRule = { opens: '15 3 * * 0', for: 2 * hour }
const night: WindowRule = { opens: '0 3 * * *', for: hour }
const deny = (opens: string, length: number): WindowRule => ({ opens, for: length, kind: 'deny' })

/** `starts now` or the moment of the start, for windows by name. */
function start(rules: Record<string, WindowRule>, at: string, takes = 0): string {
  const all = Object.entries(rules).map(([name, rule]) => ({ name, rule }))
  const isDenying = ({ rule }: { rule: WindowRule }) => rule.kind === 'deny'
  const windows = {
    allow: all.filter((each) => !isDenying(each)),
    deny: all.filter(isDenying),
    timezone: berlin,
  }
  const found = whenToStart(windows, Date.parse(at), takes)
  const when = found.at === null ? 'never' : moment(found.at, berlin)
  const why =
    found.obstacle === null ? 'now' : `${found.obstacle.kind} by ${found.obstacle.window.name}: ${when}`
  return found.fits ? why : `${why}, too long`
}

test('without windows everything starts at once, however long it takes', () => {
  expect(start({}, '2026-11-22T12:00:00+01:00', 1000 * hour)).toBe('now')
})

test('a window that opens inside one that denies opens for nothing: what waits starts in the next', () => {
  const frozen = deny('0 0 28 11 *', 48 * hour)
  expect(start({ weekly, frozen }, '2026-11-27T12:00:00+01:00')).toBe(
    'closed by weekly: Sun 2026-12-06 03:15',
  )
  expect(start({ weekly, frozen }, '2026-11-29T03:15:00+01:00')).toBe(
    'denied by frozen: Sun 2026-12-06 03:15',
  )
})

test('one that denies and ends while the other is open lets it start then, to the minute', () => {
  const early = deny('0 2 * * 0', 2 * hour)
  expect(start({ weekly, early }, '2026-11-29T03:30:00+01:00')).toBe('denied by early: Sun 2026-11-29 04:00')
  expect(start({ weekly, early }, '2026-11-29T03:59:59+01:00')).toBe('denied by early: Sun 2026-11-29 04:00')
  expect(start({ weekly, early }, '2026-11-29T04:00:00+01:00')).toBe('now')
})

test('several that deny and overlap are over when the last of them is', () => {
  const rules = { exams: deny('0 8 23 11 *', 5 * 24 * hour), party: deny('0 18 27 11 *', 16 * hour) }
  expect(start(rules, '2026-11-27T20:00:00+01:00')).toBe('denied by party: Sat 2026-11-28 10:00')
  expect(start(rules, '2026-11-24T08:00:00+01:00')).toBe('denied by exams: Sat 2026-11-28 10:00')
})

test('a window of sixteen days is open for sixteen days, over a change of the clock, too', () => {
  const fair = deny('0 8 20 10 *', 16 * 24 * hour)
  expect(start({ fair }, '2026-10-21T00:00:00+02:00')).toBe('denied by fair: Thu 2026-11-05 07:00')
  expect(start({ fair }, '2026-11-05T07:00:00+01:00')).toBe('now')
})

test('a window that is longer than the time between two openings never closes', () => {
  const always = { opens: '0 4 * * *', for: 30 * hour }
  expect(start({ always }, '2026-11-22T12:00:00+01:00', 500 * hour)).toBe('now')
  expect(stretchAt(always, berlin, Date.parse('2026-11-22T12:00:00+01:00')).until).toBe(
    Number.POSITIVE_INFINITY,
  )
  expect(start({ always: { ...always, kind: 'deny' } }, '2026-11-22T12:00:00+01:00')).toBe(
    'denied by always: never, too long',
  )
})

test('two windows that open at the same time and last otherwise are two', () => {
  const long = { ...night, for: 2 * hour }
  expect(start({ night }, '2026-11-22T04:30:00+01:00')).toBe('closed by night: Mon 2026-11-23 03:00')
  expect(start({ long }, '2026-11-22T04:30:00+01:00')).toBe('now')
  expect(start({ night }, '2026-11-22T04:30:00+01:00')).toBe('closed by night: Mon 2026-11-23 03:00')
})

test('what would not be over in time waits for the next opening', () => {
  expect(start({ night }, '2026-11-22T03:50:00+01:00', 10 * minute)).toBe('now')
  expect(start({ night }, '2026-11-22T03:50:01+01:00', 10 * minute)).toBe(
    'too short by night: Mon 2026-11-23 03:00',
  )
})

test('what would not be over before a window denies waits until that is over, also when it names no window', () => {
  const office = deny('0 9 * * 1-5', 8 * hour)
  expect(start({ office }, '2026-11-23T08:49:00+01:00', 10 * minute)).toBe('now')
  expect(start({ office }, '2026-11-23T08:51:00+01:00', 10 * minute)).toBe(
    'too short by office: Mon 2026-11-23 17:00',
  )
})

test('what fits into one of the coming openings waits for that one', () => {
  const busy = deny('30 3 * * 1-6', hour)
  expect(start({ night, busy }, '2026-11-23T03:00:00+01:00', 45 * minute)).toBe(
    'too short by busy: Sun 2026-11-29 03:00',
  )
})

test.each([
  [
    'waits until an opening begins',
    '2026-11-22T12:00:00+01:00',
    'closed by night: Mon 2026-11-23 03:00, too long',
  ],
  ['starts when it begins', '2026-11-23T03:00:00+01:00', 'now, too long'],
  ['starts in its first half', '2026-11-23T03:29:59+01:00', 'now, too long'],
  ['not later', '2026-11-23T03:30:00+01:00', 'too short by night: Tue 2026-11-24 03:00, too long'],
])('what fits into no opening does not wait for ever: it %s', (_, now, expected) => {
  expect(start({ night }, now, 3 * hour)).toBe(expected)
})

test('what fits into no opening starts with the longest one, not with a rest between two that deny', () => {
  const busy = deny('10 3 * * 1-6', hour)
  expect(start({ night, busy }, '2026-11-23T03:00:00+01:00', 3 * hour)).toBe(
    'too short by busy: Sun 2026-11-29 03:00, too long',
  )
})

test('a roll-out is expected to take as long as the longest of the last, else all that its policy allows', () => {
  const policy = { within: 2 * minute, lastBackup: 5_000 }
  expect(expectedTime({ ...policy, times: [30_000, 90_000, 60_000] })).toBe(90_000)
  expect(expectedTime({ ...policy, times: [] })).toBe(250_000)
})
