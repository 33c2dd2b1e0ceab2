import { expect, test } from 'vitest'
import { heldBack, hold, moment } from '../../reconciler/plan/hold.ts'
import { change, digestOf, noon, standing, target } from './given.ts'

const windows = { nightly: { opens: '0 3 * * *', for: 3_600_000 } }
const fingerprint = `${digestOf('1.0.0')} made so`
const minutes = 60_000

const paused = { paused: new Set(['web']) }
const stuck = { stuck: [{ service: 'web', operation: '20261122-110000-abcd', reason: 'it broke' }] }
const quarantined = {
  quarantined: [
    {
      service: 'web',
      digest: digestOf('1.0.0'),
      configuration: 'made so',
      reason: 'HTTP 503',
      operation: 'x',
    },
  ],
}
const setback = (other: object = {}) => ({
  setbacks: [
    {
      service: 'web',
      target: fingerprint,
      count: 3,
      nextAt: noon + 5 * minutes,
      reason: 'no pull',
      ...other,
    },
  ],
})

const held = (about: object = {}, of: object = {}, what: object = {}) =>
  hold(target(of), change(what), standing({ windows, ...about }))

test('what nothing speaks against is done', () => {
  expect(held()).toBeNull()
})

test.each([
  [paused, 'paused by a person; next: samovar resume web'],
  [stuck, 'stuck: it broke; next: look at it (samovar show 20261122-110000-abcd), then samovar retry web'],
  [
    quarantined,
    `quarantined: 1.0.0@${digestOf('1.0.0').slice(0, 19)} was reverted (HTTP 503); next: push a fix, or samovar retry web`,
  ],
  [setback(), 'tried 3 times (no pull); next try at Sun 2026-11-22 13:05, or samovar retry web'],
])('what waits says why and what to do next: %j', (about, sentence) => {
  expect(held(about)).toBe(sentence)
})

test('a service that cannot be rolled out as it is says so', () => {
  expect(held({}, { problem: 'the tag 9.9.9 does not exist' })).toBe('the tag 9.9.9 does not exist')
})

test('a pause comes before everything else, and a stuck service before its quarantine', () => {
  expect(held({ ...paused, ...stuck, ...quarantined, ...setback() })).toContain('paused')
  expect(held({ ...stuck, ...quarantined, ...setback() })).toContain('stuck')
  expect(held({ ...quarantined, ...setback() })).toContain('quarantined')
})

test('quarantine is for that image with that configuration only, and not for another service', () => {
  expect(held(quarantined, { configuration: 'made otherwise' })).toBeNull()
  expect(held(quarantined, { image: { name: 'web', tag: '1.0.1', digest: digestOf('1.0.1') } })).toBeNull()
  expect(held(quarantined, { service: 'api' })).toBeNull()
})

test('a quarantined version that runs nevertheless is started when it stopped', () => {
  expect(held(quarantined, {}, { action: 'start' })).toBeNull()
})

test('a growing pause ends at its moment, and does not count for another target', () => {
  expect(held(setback({ nextAt: noon }))).toBeNull()
  expect(held(setback({ target: 'another' }))).toBeNull()
})

test('--now ignores windows and growing pauses, but neither a pause, a quarantine nor what is stuck', () => {
  const now = { ignoreWindows: true }
  expect(held({ ...now, ...setback() }, { window: 'nightly' })).toBeNull()
  for (const about of [paused, stuck, quarantined]) expect(held({ ...now, ...about })).not.toBeNull()
})

test('a window holds what a commit changes, and says when it opens', () => {
  expect(held({}, { window: 'nightly' })).toBe(
    'waits for the window "nightly", which opens at Mon 2026-11-23 03:00; next: wait, or samovar apply --now',
  )
  expect(held({ now: Date.UTC(2026, 10, 23, 2, 30) }, { window: 'nightly' })).toBeNull()
})

const exams = { opens: '0 8 23 11 *', for: 24 * 3_600_000, kind: 'deny' as const }
const monday = Date.UTC(2026, 10, 23, 12)

test('an open window that denies holds every service, and says which it is, until when, and when it starts', () => {
  const denied = { windows: { ...windows, exams }, now: monday }
  expect(held(denied)).toBe(
    'the window "exams" denies changes until Tue 2026-11-24 08:00 and it starts then; next: wait, or samovar apply --now',
  )
  expect(held(denied, { window: 'nightly' })).toBe(
    'the window "exams" denies changes until Tue 2026-11-24 08:00; starts at Wed 2026-11-25 03:00; next: wait, or samovar apply --now',
  )
  expect(held({ ...denied, ignoreWindows: true })).toBeNull()
  expect(held(denied, {}, { drift: true })).toBeNull()
  expect(held(denied, {}, { action: 'create' })).toBeNull()
  expect(held({ ...denied, now: Date.UTC(2026, 10, 24, 7) })).toBeNull()
})

test('one that denies for ever says so, and what to do', () => {
  const never = { opens: '0 0 * * *', for: 48 * 3_600_000, kind: 'deny' as const }
  expect(heldBack(target(), change(), standing({ windows: { never } }))).toEqual({
    reason:
      'the window "never" denies changes, without an end; no moment is in sight at which it could start; next: change the windows in host.yaml, or samovar apply --now',
    startsAt: null,
  })
})

test('what would not be over in time says how long it takes and when it starts', () => {
  const takes = new Map([['web', 20 * minutes]])
  const late = { windows: { ...windows, exams }, takes, now: Date.UTC(2026, 10, 23, 2, 45) }
  expect(held(late, { window: 'nightly' })).toBe(
    'would take about 20 min, and the window "nightly" closes at Mon 2026-11-23 04:00; starts at Wed 2026-11-25 03:00; next: wait, or samovar apply --now',
  )
  expect(held({ ...late, now: Date.UTC(2026, 10, 23, 6, 45) })).toBe(
    'would take about 20 min, and the window "exams" denies changes from Mon 2026-11-23 08:00; starts at Tue 2026-11-24 08:00; next: wait, or samovar apply --now',
  )
})

test('what fits into no opening says that it starts nevertheless, and when', () => {
  const takes = new Map([['web', 180 * minutes]])
  expect(held({ takes }, { window: 'nightly' })).toBe(
    'waits for the window "nightly", which opens at Mon 2026-11-23 03:00; starts at Mon 2026-11-23 03:00, when a long opening begins: it takes about 3 h and fits into none; next: wait, or samovar apply --now',
  )
})

test('the next try after a failure is at the first moment after the pause at which its window is open', () => {
  const failed = standing({ windows, ...setback() })
  expect(heldBack(target({ window: 'nightly' }), change(), failed)).toEqual({
    reason: 'tried 3 times (no pull); next try at Mon 2026-11-23 03:00, or samovar retry web',
    startsAt: Date.UTC(2026, 10, 23, 2),
  })
  expect(heldBack(target(), change(), failed)?.startsAt).toBe(noon + 5 * minutes)
})

test('a window does not hold what has to be mended', () => {
  expect(held({}, { window: 'nightly' }, { drift: true })).toBeNull()
  expect(held({}, { window: 'nightly' }, { action: 'create' })).toBeNull()
  expect(held({}, { window: 'nightly' }, { action: 'start' })).toBeNull()
})

test.each([
  ['Europe/Berlin', 'Sun 2026-11-22 13:00'],
  ['America/New_York', 'Sun 2026-11-22 07:00'],
  ['Asia/Kolkata', 'Sun 2026-11-22 17:30'],
])('moments are told in the time zone of the host: %s', (timezone, expected) => {
  expect(moment(noon, timezone)).toBe(expected)
})
