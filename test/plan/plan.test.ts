import { describe, expect, test } from 'vitest'
import type { InstanceState } from '../../reconciler/engine/engine.ts'
import { containerOf, membersOf, needLook } from '../../reconciler/plan/plan.ts'
import { actions, change, digestOf, imageOf, noon, plan, running, standing, target } from './given.ts'

const better = { image: imageOf('1.1.0'), imageId: 'id of 1.1.0' }
const oneHour = 3_600_000

describe('what differs', () => {
  test('a service that is as it should be needs nothing', () => {
    expect(plan().changes).toEqual([change({ action: 'none' })])
  })

  test('a service without a container is created', () => {
    const { changes } = plan({ running: [] })
    expect(changes).toMatchObject([
      {
        action: 'create',
        reasons: [{ field: 'container', before: 'none', after: 'site-web-1' }],
        current: null,
      },
    ])
  })

  test('another image replaces it, and the reason names both versions with their digests', () => {
    const { changes } = plan({ targets: [target(better)] })
    const [from, to] = [digestOf('1.0.0'), digestOf('1.1.0')].map((digest) => digest.slice(0, 19))
    expect(changes).toMatchObject([
      { action: 'replace', reasons: [{ field: 'image', before: `1.0.0@${from}`, after: `1.1.0@${to}` }] },
    ])
  })

  test('an index whose digest moved while this platform has the same image is no change', () => {
    expect(actions(plan({ targets: [target({ image: imageOf('1.0.0-rebuilt') })] }))).toEqual([])
  })

  test('an image that is not here yet is judged by its digest', () => {
    expect(actions(plan({ targets: [target({ imageId: null })] }))).toEqual([])
    expect(actions(plan({ targets: [target({ ...better, imageId: null })] }))).toEqual(['replace web'])
  })

  test('a container started from another image by hand is replaced', () => {
    const byHand = running({ image: { id: 'sha256:0123456789abcdef', name: '', tag: '', digest: '' } })
    const [first] = plan({ running: [byHand] }).changes
    expect(first).toMatchObject({ action: 'replace', reasons: [{ before: 'sha256:0123456789ab (by hand)' }] })
  })

  test('a field that differs replaces it, and the reason is that field', () => {
    const looks = new Map([['container of web', [{ field: 'environment.MODE', before: 'a', after: 'b' }]]])
    expect(plan({ looks }).changes).toMatchObject([
      { action: 'replace', reasons: [{ field: 'environment.MODE', before: 'a', after: 'b' }] },
    ])
  })

  test('a container under another name is replaced', () => {
    const [first] = plan({ running: [running({ name: '0123456789ab_site-web-1' })] }).changes
    expect(first).toMatchObject({ action: 'replace', reasons: [{ field: 'container_name' }] })
  })

  const states: [InstanceState, number | null, string[]][] = [
    ['running', null, []],
    ['restarting', null, []],
    ['removing', null, []],
    ['unreachable', null, []],
    ['exited', 0, ['start web']],
    ['exited', 137, ['start web']],
    ['created', null, ['start web']],
    ['paused', null, ['start web']],
    ['dead', null, ['replace web']],
  ]
  test.each(states)(
    'a container that is %s (exit code %s) is answered with %j',
    (state, exitCode, expected) => {
      expect(actions(plan({ running: [running({ state, exitCode })] }))).toEqual(expected)
    },
  )

  test('what ends by itself with exit code 0 is as it should be, with another code it is not', () => {
    const targets = [target({ endsByItself: true })]
    expect(actions(plan({ targets, running: [running({ state: 'exited', exitCode: 0 })] }))).toEqual([])
    expect(actions(plan({ targets, running: [running({ state: 'exited', exitCode: 1 })] }))).toEqual([
      'start web',
    ])
  })

  test('what is only started by a job is neither created nor started nor replaced', () => {
    const targets = [target({ ...better, onDemand: true })]
    for (const now of [[], [running()], [running({ state: 'exited', exitCode: 1 })]])
      expect(actions(plan({ targets, running: now }))).toEqual([])
  })

  test('the host moved away from what was rolled out, or the commit asks for something new: the plan tells which', () => {
    const lastApplied = new Map([['web', `${digestOf('1.0.0')} made so`]])
    expect(plan({ running: [], standing: standing({ lastApplied }) }).changes[0]?.drift).toBe(true)
    expect(plan({ targets: [target(better)], standing: standing({ lastApplied }) }).changes[0]?.drift).toBe(
      false,
    )
  })
})

describe('which container stands for a service', () => {
  const parked = running({ instance: 'parked', name: 'site-web-1.old-20261122-110000-abcd', state: 'exited' })
  const prepared = running({
    instance: 'prepared',
    name: 'site-web-1.new-20261122-110000-abcd',
    state: 'created',
  })

  test('never one that was set aside or waits for its start, nor a one-off', () => {
    const oneOff = running({ instance: 'run', oneOff: true })
    expect(containerOf('web', [parked, prepared, oneOff])).toBeNull()
    expect(actions(plan({ running: [parked, prepared, running()] }))).toEqual([])
  })

  test('the running one before a newer stopped one', () => {
    const stopped = running({ instance: 'newer', state: 'exited', createdAt: noon })
    expect(containerOf('web', [stopped, running()])?.instance).toBe('container of web')
  })

  test('only what may differ is looked at exactly', () => {
    const [web, api] = [target(), target({ service: 'api', configuration: 'made otherwise' })]
    const now = [running(), running({ service: 'api' })]
    const looked = (trusted: string[]) =>
      needLook([web, api], now, new Set(trusted)).map((each) => each.service)
    expect(looked([])).toEqual(['web', 'api'])
    expect(looked(['container of web', 'container of api'])).toEqual(['api'])
  })
})

describe('what left the desired state', () => {
  const gone = running({ service: 'old' })

  test('is stopped and kept, before anything else happens', () => {
    const { changes } = plan({ targets: [target(better)], running: [running(), gone] })
    expect(changes.map((each) => `${each.action} ${each.service}`)).toEqual(['remove old', 'replace web'])
    expect(changes[0]?.reasons[0]?.after).toBe('stopped and kept')
  })

  test('stays as it is once it is stopped, and is removed with prune', () => {
    const stopped = running({ service: 'old', state: 'exited' })
    expect(actions(plan({ running: [running(), stopped] }))).toEqual([])
    expect(actions(plan({ running: [running(), stopped], prune: true }))).toEqual(['remove old'])
  })

  test('is left alone when Samovar did not create it, and told', () => {
    const foreign = running({ service: 'theirs', operation: '' })
    const { changes, foreign: told } = plan({ running: [running(), foreign], prune: true })
    expect(changes.map((each) => each.service)).toEqual(['web'])
    expect(told).toEqual([foreign])
  })

  test('is left alone when a person paused it', () => {
    const held = plan({ running: [running(), gone], standing: standing({ paused: new Set(['old']) }) })
      .changes[0]?.held
    expect(held).toContain('paused by a person')
  })

  test('an empty desired state removes nothing', () => {
    expect(plan({ targets: [], running: [running(), gone], prune: true }).changes).toEqual([])
  })

  test('what was set aside for the soak is not taken for something that left', () => {
    const parked = running({ service: 'old', name: 'site-old-1.old-20261122-110000-abcd', state: 'exited' })
    expect(actions(plan({ running: [running(), parked], prune: true }))).toEqual([])
  })
})

describe('what lives in the network of another', () => {
  const side = target({ service: 'side', shares: ['web'] })
  const both = [running(), running({ service: 'side' })]

  test('is replaced together with it, and says why', () => {
    const { changes } = plan({ targets: [target(better), side], running: both })
    expect(changes).toMatchObject([
      { service: 'web', action: 'replace', together: null },
      { service: 'side', action: 'replace', together: 'web', reasons: [{ field: 'network_mode' }] },
    ])
    expect(membersOf(changes[0] ?? change(), [target(better), side]).map((each) => each.service)).toEqual([
      'web',
      'side',
    ])
  })

  test('waits together with it', () => {
    const paused = standing({ paused: new Set(['web']) })
    const { changes } = plan({ targets: [target(better), side], running: both, standing: paused })
    expect(changes.map((each) => each.held)).toEqual(
      Array(2).fill('paused by a person; next: samovar resume web'),
    )
  })

  test('is replaced alone when only it changed', () => {
    const changed = target({ ...better, service: 'side', shares: ['web'] })
    const { changes } = plan({ targets: [target(), changed], running: both })
    expect(changes.map((each) => `${each.action} ${each.together}`)).toEqual(['none null', 'replace null'])
  })
})

describe('what waits', () => {
  test('a stopped service runs meanwhile, although its successor has to wait', () => {
    const windows = { nightly: { opens: '0 3 * * *', for: oneHour } }
    const stopped = running({ state: 'exited', exitCode: 1 })
    const targets = [target({ ...better, window: 'nightly' })]
    const { changes } = plan({ targets, running: [stopped], standing: standing({ windows }) })
    expect(changes).toMatchObject([{ action: 'start', held: null, drift: true }])
  })
})
