import { expect, test } from 'vitest'
import { hold, moment } from '../../reconciler/plan/hold.ts'
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
    'waits for the window "nightly", which opens at Mon 2026-11-23 03:00; samovar apply --now does it at once',
  )
  expect(held({ now: Date.UTC(2026, 10, 23, 2, 30) }, { window: 'nightly' })).toBeNull()
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
