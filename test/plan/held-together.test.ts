import { describe, expect, test } from 'vitest'
import { fingerprintOf } from '../../reconciler/plan/target.ts'
import { actions, imageOf, noon, plan, running, standing, target } from './given.ts'

const newer = { image: imageOf('1.1.0'), imageId: 'id of 1.1.0' }
const side = (other: object = {}) => target({ service: 'side', shares: ['web'], ...other })
const both = [running(), running({ service: 'side' })]
const held = (about: object) =>
  Object.fromEntries(plan({ running: both, ...about }).changes.map((each) => [each.service, each.held]))

describe('what lives in the network of a service is swapped with it, or neither is', () => {
  test('nothing speaks against it: both are replaced, together', () => {
    const swap = plan({ running: both, targets: [target(newer), side()] })
    expect(swap.changes).toMatchObject([
      { service: 'web', action: 'replace', held: null, together: null },
      { service: 'side', action: 'replace', held: null, together: 'web' },
    ])
  })

  test('a follower that has data nobody can back up holds the owner of its network, and both say why', () => {
    const problem = 'side names data, which cannot be backed up yet'
    const sentence = `side is swapped with it and is held: ${problem}`
    expect(held({ targets: [target(newer), side({ ...newer, problem })] })).toEqual({
      web: sentence,
      side: sentence,
    })
  })

  test('a follower that a person paused holds the owner, too', () => {
    const paused = standing({ paused: new Set(['side']) })
    expect(held({ targets: [target(newer), side(newer)], standing: paused })).toEqual({
      web: 'side is swapped with it and is held: paused by a person; next: samovar resume side',
      side: 'side is swapped with it and is held: paused by a person; next: samovar resume side',
    })
  })

  test('a paused follower that itself needs nothing holds the owner all the same', () => {
    const paused = standing({ paused: new Set(['side']) })
    expect(held({ targets: [target(newer), side()], standing: paused })['web']).toContain(
      'paused by a person',
    )
  })

  test('a follower with data that itself needs nothing holds the owner all the same', () => {
    const problem = 'side names data, which cannot be backed up yet'
    expect(held({ targets: [target(newer), side({ problem })] })['web']).toContain(problem)
  })

  test('of two followers the one that is held holds all three', () => {
    const other = target({ service: 'other', shares: ['web'] })
    const three = [...both, running({ service: 'other' })]
    const problem = 'side names data, which cannot be backed up yet'
    const about = { running: three, targets: [target(newer), other, side({ ...newer, problem })] }
    for (const [service, why] of Object.entries(held(about)))
      expect([service, why]).toEqual([service, expect.stringContaining(problem)])
  })

  test('what lives in the network of a follower is swapped with the owner as well, and holds it as well', () => {
    const third = (other: object = {}) => target({ service: 'third', shares: ['side'], ...other })
    const three = [...both, running({ service: 'third' })]
    const swap = plan({ running: three, targets: [target(newer), side(), third()] })
    expect(swap.changes.map((each) => [each.service, each.together])).toEqual([
      ['web', null],
      ['side', 'web'],
      ['third', 'web'],
    ])
    const paused = standing({ paused: new Set(['third']) })
    const about = { running: three, targets: [target(newer), side(), third()], standing: paused }
    for (const [service, why] of Object.entries(held(about)))
      expect([service, why]).toEqual([service, expect.stringContaining('samovar resume third')])
  })

  test('a stopped owner whose replacement a follower holds is started as it is', () => {
    const paused = standing({ paused: new Set(['side']) })
    const stopped = [running({ state: 'exited', exitCode: 1 }), running({ service: 'side' })]
    const about = { running: stopped, targets: [target(newer), side()], standing: paused }
    expect(plan(about).changes).toMatchObject([
      { service: 'web', action: 'start', held: null },
      { service: 'side', action: 'none', together: null },
    ])
  })

  test('a stopped follower is started although the replacement of both waits for a window', () => {
    const windows = { nightly: { opens: '0 3 * * *', for: 3_600_000 } }
    const stopped = [running(), running({ service: 'side', state: 'exited', exitCode: 1 })]
    const targets = [target({ ...newer, window: 'nightly' }), side()]
    expect(plan({ running: stopped, targets, standing: standing({ windows }) }).changes).toMatchObject([
      { service: 'web', action: 'replace', held: expect.stringContaining('nightly') },
      { service: 'side', action: 'start', held: null, together: null },
    ])
  })

  test('a follower that pauses after a failed try does not hold the fix of its owner', () => {
    const setback = {
      service: 'side',
      target: fingerprintOf(side()),
      count: 9,
      nextAt: noon + 1,
      reason: 'no network',
    }
    const dead = [running(), running({ service: 'side', state: 'exited', exitCode: 1 })]
    const about = {
      running: dead,
      targets: [target(newer), side()],
      standing: standing({ setbacks: [setback] }),
    }
    expect(held(about)).toEqual({ web: null, side: null })
    expect(actions(plan(about))).toEqual(['replace web', 'replace side'])
  })

  test('an owner that is gone is made again although its follower is paused', () => {
    const paused = standing({ paused: new Set(['side']) })
    const about = { targets: [target(), side()], running: [running({ service: 'side' })], standing: paused }
    expect(actions(plan(about))).toContain('create web')
    expect(plan(about).changes[0]?.held).toBeNull()
  })
})

test('a service that runs twice is not changed before a person says which one is wanted', () => {
  const twice = [running(), running({ instance: 'second', name: 'site-web-2' })]
  expect(plan({ targets: [target(newer)], running: twice }).changes[0]?.held).toBe(
    '2 containers of it run (site-web-1, site-web-2); next: remove the one that is not wanted',
  )
  expect(actions(plan({ running: twice }))).toEqual([])
})

test('what is swapped together starts when the windows of both are open, and say the same moment', () => {
  const hour = 3_600_000
  const windows = {
    nights: { opens: '0 2 * * *', for: 2 * hour },
    weekly: { opens: '30 3 * * 0', for: 2 * hour },
    early: { opens: '0 1 * * 1', for: hour },
  }
  const startsAt = (own: string | null, others: string | null) => {
    const targets = [target({ ...newer, window: own }), side({ ...newer, window: others })]
    const { changes } = plan({ running: both, targets, standing: standing({ windows }) })
    return changes.map((each) => each.startsAt)
  }
  const sunday = Date.UTC(2026, 10, 29, 2, 30)
  expect(startsAt('nights', 'weekly')).toEqual([sunday, sunday])
  expect(startsAt(null, 'weekly')).toEqual([sunday, sunday])
  expect(startsAt('nights', 'early')).toEqual([null, null])
  expect(startsAt(null, null)).toEqual([null, null])
})
