import { expect, test } from 'vitest'
import {
  type FingerprintChange,
  fingerprintOf,
  fingerprintOfPlan,
  isAsTold,
} from '../../reconciler/pull-requests/plan-fingerprint.ts'
import { imageOf, running, target } from '../plan/given.ts'
import { digestOf, noon } from './told-plans.ts'

const change = (other: Partial<FingerprintChange> = {}): FingerprintChange => ({
  service: 'web',
  action: 'replace',
  from: { name: 'web', tag: '1.0.0', digest: digestOf('a') },
  to: { name: 'web', tag: '1.1.0', digest: digestOf('b') },
  configuration: 'c1',
  fields: ['environment.A'],
  drift: false,
  ...other,
})
const other = change({ service: 'other' })
const told = fingerprintOf([change(), other])

test('the same is the same, in whatever order, and whatever of the same kind of field it is', () => {
  expect(fingerprintOf([other, change()])).toBe(told)
  expect(isAsTold(told, told)).toBe(true)
  expect(fingerprintOf([change({ fields: ['environment.B', 'environment.C'] }), other])).toBe(told)
  expect(told.length).toBeLessThan(60)
})

test.each([
  ['another service', [change({ service: 'third' }), other]],
  ['one more', [change(), other, change({ service: 'third' })]],
  ['one less', [change()]],
  ['another action', [change({ action: 'create' }), other]],
  ['another version before', [change({ from: { name: 'web', tag: '0.9', digest: digestOf('a') } }), other]],
  ['another tag', [change({ to: { name: 'web', tag: '1.1.1', digest: digestOf('b') } }), other]],
  ['the tag moved', [change({ to: { name: 'web', tag: '1.1.0', digest: digestOf('c') } }), other]],
  ['another image', [change({ to: { name: 'evil', tag: '1.1.0', digest: digestOf('b') } }), other]],
  ['another configuration', [change({ configuration: 'c2' }), other]],
  ['another kind of field', [change({ fields: ['labels.A'] }), other]],
])('%s is another plan', (_what, changes) => {
  expect(isAsTold(told, fingerprintOf(changes))).toBe(false)
})

test('what was not known before the merge is left out, for that service alone', () => {
  const unknown = fingerprintOf([
    change({ to: { name: 'web', tag: '1.1.0', digest: '' }, configuration: null }),
    other,
  ])
  expect(isAsTold(unknown, told)).toBe(true)
  expect(isAsTold(unknown, fingerprintOf([change(), change({ ...other, configuration: 'c2' })]))).toBe(false)
  const half = fingerprintOf([change({ configuration: null }), other])
  expect(isAsTold(half, fingerprintOf([change({ to: { ...imageOf('1.1.0') } }), other]))).toBe(false)
})

const considered = {
  commit: 'c',
  targets: [target({ image: imageOf('1.1.0'), imageId: null, window: 'weekly' })],
  running: [running()],
  looks: new Map(),
  prune: false,
  standing: {
    ...{ now: noon, timezone: 'UTC', windows: { weekly: { opens: '0 3 * * *', for: 60_000 } } },
    ...{ takes: new Map<string, number>(), ownContainer: null },
    ...{ ignoreWindows: false, paused: new Set<string>(), stuck: [], quarantined: [], dirty: [] },
    ...{ setbacks: [], lastApplied: new Map<string, string>() },
  },
}

test('windows, pauses, quarantine, failed tries and what stands stopped meanwhile make no other plan', () => {
  const free = fingerprintOfPlan({
    ...considered,
    targets: considered.targets.map((each) => ({ ...each, window: null })),
  })
  const { standing } = considered
  const digest = imageOf('1.1.0').digest
  const about = { service: 'web', operation: 'o', reason: 'r', configuration: 'made so', digest }
  const held = [
    considered,
    { ...considered, standing: { ...standing, paused: new Set(['web']) } },
    { ...considered, standing: { ...standing, quarantined: [about] } },
    { ...considered, standing: { ...standing, stuck: [about] } },
    { ...considered, standing: { ...standing, dirty: [{ service: 'web', backup: 'b' }] } },
    { ...considered, running: [running({ state: 'exited', exitCode: 1 })] },
    { ...considered, targets: considered.targets.map((each) => ({ ...each, problem: 'no support' })) },
  ]
  for (const each of held) expect(fingerprintOfPlan(each)).toBe(free)
  expect(free).not.toBe(fingerprintOf([]))
})

test('repairs of the host are no part of it', () => {
  const good = { ...considered, targets: [target()] }
  const lastApplied = new Map([['web', `${imageOf('1.0.0').digest} made so`]])
  const standing = { ...considered.standing, lastApplied }
  expect(fingerprintOfPlan({ ...good, standing, running: [] })).toBe(fingerprintOf([]))
})
