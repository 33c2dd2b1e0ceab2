import { describe, expect, test } from 'vitest'
import type { Operation } from '../reconciler/journal/operation.ts'
import type { Progress } from '../reconciler/rollout/step.ts'
import { patienceWith } from '../reconciler/rollout/step-patience.ts'
import { keepVigil } from '../reconciler/vigil.ts'

const minute = 60_000
const silent: Progress = { step: () => {}, pull: () => {}, health: () => {}, data: () => {} }

const operationWith = (intent: object): Operation =>
  ({
    id: '20261123-000000-0000',
    service: 'gitea',
    kind: 'replace',
    intent: { health: null, ...intent },
  }) as never
const gitea = operationWith({ health: { within: 20 * minute }, oldHealth: { within: 5 * minute } })

function watched() {
  let time = 1_000_000
  let busySince: number | null = null
  const vigil = keepVigil({ now: () => time, busySince: () => busySince })
  const progress = vigil.over(silent)
  return {
    vigil,
    progress,
    pass: (ms: number) => {
      time += ms
    },
    busy: (since: number | null) => {
      busySince = since
      vigil.hangs()
    },
    begin: (step: string, operation = gitea) => progress.step(operation, step, 'begun', 0, ''),
    end: (step: string) => progress.step(gitea, step, 'done', 1, ''),
  }
}

describe('the watchdog is told that all goes well', () => {
  test('between passes, however long', () => {
    const { vigil, pass } = watched()
    pass(48 * 60 * minute)
    expect([vigil.hangs(), vigil.doing()]).toEqual([null, null])
  })

  test('during a health check as long as its policy says, and not after', () => {
    const { vigil, pass, busy, begin } = watched()
    busy(1)
    begin('check health')
    pass(25 * minute)
    expect(vigil.hangs()).toBe(null)
    expect(vigil.doing()).toBe('gitea: step check health, 25 min')
    pass(11 * minute)
    expect(vigil.hangs()).toBe('gitea: step check health goes on for 36 min; it may take 35 min')
  })

  test('during a copy of many hours as long as bytes move', () => {
    const { vigil, progress, pass, busy, begin } = watched()
    busy(1)
    begin('back up')
    for (let hour = 0; hour < 20; hour += 1) {
      pass(59 * minute)
      progress.data(gitea, { doing: 'backing up', part: 'gitea', bytes: hour, total: null })
      expect(vigil.hangs()).toBe(null)
    }
    pass(61 * minute)
    expect(vigil.hangs()).toMatch(
      /^gitea: step back up goes on for .*; it may take 60 min without any progress$/,
    )
  })

  test('during a pull as long as bytes move', () => {
    const { vigil, progress, pass, busy, begin } = watched()
    busy(1)
    begin('preflight')
    pass(50 * minute)
    progress.pull(gitea, { bytes: 1, total: 2 } as never)
    pass(50 * minute)
    expect(vigil.hangs()).toBe(null)
  })

  test('bytes that move do not keep a health check from hanging', () => {
    const { vigil, progress, pass, busy, begin } = watched()
    busy(1)
    begin('check health')
    pass(30 * minute)
    progress.data(gitea, { doing: 'backing up', part: 'gitea', bytes: 1, total: null })
    pass(6 * minute)
    expect(vigil.hangs()).not.toBe(null)
  })

  test('a step that hangs is forgotten when it ends, and when its pass does', () => {
    const { vigil, pass, busy, begin, end } = watched()
    busy(1)
    begin('set aside')
    pass(90 * minute)
    expect(vigil.hangs()).toMatch(/^gitea: step set aside goes on/)
    end('set aside')
    expect(vigil.hangs()).toBe(null)
    begin('start')
    pass(90 * minute)
    busy(null)
    expect([vigil.hangs(), vigil.doing()]).toEqual([null, null])
  })

  test('a pass without any step may not go on for ever, and the next one begins anew', () => {
    const { vigil, pass, busy } = watched()
    busy(1)
    pass(59 * minute)
    expect(vigil.hangs()).toBe(null)
    pass(2 * minute)
    expect(vigil.hangs()).toMatch(/^a pass goes on for 61 min/)
    busy(2)
    expect(vigil.hangs()).toBe(null)
  })

  test('whoever shows the steps still sees them all', () => {
    const seen: string[] = []
    const vigil = keepVigil({ now: () => 0, busySince: () => 1 })
    const progress = vigil.over({
      step: (_operation, name, phase) => seen.push(`${name} ${phase}`),
      pull: () => seen.push('pull'),
      health: () => seen.push('health'),
      data: () => seen.push('data'),
    })
    progress.step(gitea, 'start', 'begun', 0, '')
    progress.pull(gitea, {} as never)
    progress.health(gitea, {} as never)
    progress.data(gitea, {} as never)
    expect(seen).toEqual(['start begun', 'pull', 'health', 'data'])
  })
})

describe('the patience with a step', () => {
  test('is the time limit of a job, and more', () => {
    const job = operationWith({ job: { timeout: 120 * minute } })
    expect(patienceWith(job, 'run')).toEqual({ ms: 150 * minute, renewedByProgress: false })
  })

  test('after a restore covers the checks of every service whose data is back', () => {
    const ownerHealth = { gitea: { within: 40 * minute }, wiki: { within: 30 * minute } }
    const { ms } = patienceWith(operationWith({ ownerHealth }), 'check health')
    expect(ms).toBe(80 * minute)
  })

  test('is never below half an hour: a container has its whole grace to stop', () => {
    for (const step of ['quiesce', 'set aside', 'start', 'take away', 'bring back', 'something new'])
      expect(patienceWith(operationWith({}), step).ms).toBeGreaterThanOrEqual(30 * minute)
  })
})
