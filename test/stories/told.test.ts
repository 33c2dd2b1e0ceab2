import { afterEach, beforeEach, expect, test } from 'vitest'
import type { HealthCheck } from '../../reconciler/desired-state.ts'
import { hold } from '../../reconciler/plan/hold.ts'
import { startStopped } from '../../reconciler/rollout/mend.ts'
import { rollOut } from '../../reconciler/rollout.ts'
import { masked } from '../../reconciler/work.ts'
import { change, standing, target } from '../plan/given.ts'
import { openStage, type Stage } from './stage.ts'

let stage: Stage

beforeEach(async () => {
  stage = await openStage()
  await stage.rollOut(stage.publish('web', '1.0.0'), { health: { soak: 0 } })
})
afterEach(() => stage[Symbol.asyncDispose]())

const command: HealthCheck[] = [
  { kind: 'command', command: ['check'], service: 'web', every: 1_000, timeout: 1_000 },
]
const container: HealthCheck[] = [{ kind: 'container', every: 1_000, timeout: 1_000 }]
const secret = 'hunter2'
const mask = (text: string) => masked(text, new Set([secret]))

test('a password that a failing check says is nowhere: not in the reason, not in the pause, not in the plan', async () => {
  const image = stage.publish('web', '1.0.0', {
    command: { exitCode: 1, output: `login failed: ${secret}` },
  })
  stage.host.byHand('web', (each) => {
    each.state = 'exited'
  })
  const { wanted } = await stage.order(image, { health: { checks: command } })
  const start = { ...wanted, kind: 'start' as const, intent: { ...wanted.intent, drift: true } }
  const operation = await stage.clock.runOut(startStopped(stage.work({ mask }), start))
  expect(operation).toMatchObject({ result: 'untouched', reason: expect.stringContaining('failed: ***') })
  const setbacks = stage.journal.setbacks()
  const held = hold(
    target({ image, configuration: 'configuration' }),
    change({ action: 'start', drift: true }),
    standing({ now: stage.now(), setbacks }),
  )
  expect(held).toMatch(/^tried once \(.*login failed: \*\*\*.*\); next try at /)
  const written = [stage.journal.history(10), stage.journal.steps(operation.id), setbacks]
  expect(JSON.stringify(written)).not.toContain(secret)
})

test('a password that a bad version says is in no quarantine either', async () => {
  const bad = stage.publish('web', '2.0.0', {
    command: { exitCode: 1, output: `login failed: ${secret}` },
  })
  const { wanted, body } = await stage.order(bad, { health: { checks: command } })
  wanted.intent.oldHealth = { within: 60_000, steady: 0, soak: 0, checks: container }
  const operation = await stage.clock.runOut(rollOut(stage.work({ mask }), wanted, body))
  expect(operation.result).toBe('reverted')
  expect(stage.journal.quarantined()).toMatchObject([{ reason: expect.stringContaining('failed: ***') }])
  const written = [operation, stage.journal.quarantined(), stage.journal.setbacks()]
  expect(JSON.stringify(written)).not.toContain(secret)
})

test.each([[['abc', 'abcdef']], [['abcdef', 'abc']]])(
  'a secret that begins like another is masked whole: %j',
  (secrets) => {
    expect(masked('first=abcdef second=abc', new Set(secrets))).toBe('first=*** second=***')
  },
)

test('the downtime of a version that serves for a moment and is reverted lasts until the old one serves', async () => {
  let asked = 0
  const engine = stage.engine({
    run: async () => {
      asked += 1
      return { exitCode: asked > 2 ? 1 : 0, output: 'broken' }
    },
  })
  const { wanted, body } = await stage.order(stage.publish('web', '2.0.0'))
  wanted.intent.health = { within: 60_000, steady: 20_000, soak: 0, checks: command }
  wanted.intent.oldHealth = { within: 60_000, steady: 0, soak: 0, checks: container }
  const operation = await stage.clock.runOut(rollOut(stage.work({ engine }), wanted, body))
  expect(operation.result).toBe('reverted')
  const whole = (operation.finishedAt ?? 0) - (operation.intent.downSince ?? 0)
  expect(whole).toBeGreaterThan(50_000)
  expect(operation.downtimeMs).toBe(whole)
})

test('a version that falters for a moment and then holds counts its downtime until it serves for good', async () => {
  let asked = 0
  const engine = stage.engine({
    run: async () => {
      asked += 1
      return { exitCode: asked > 2 && asked < 10 ? 1 : 0, output: 'warming up' }
    },
  })
  const { wanted, body } = await stage.order(stage.publish('web', '1.1.0'))
  wanted.intent.health = { within: 60_000, steady: 5_000, soak: 0, checks: command }
  const operation = await stage.clock.runOut(rollOut(stage.work({ engine }), wanted, body))
  expect(operation.result).toBe('applied')
  expect(operation.downtimeMs).toBeGreaterThan(8_000)
  expect(operation.downtimeMs).toBeLessThan(12_000)
})
