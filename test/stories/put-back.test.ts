import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ImageReference } from '../../reconciler/engine/engine.ts'
import { SamovarError } from '../../reconciler/errors.ts'
import { rollOut } from '../../reconciler/rollout.ts'
import { health, openStage, type Stage } from './stage.ts'

const steps = (stage: Stage, operation: { id: string }) =>
  stage.journal.steps(operation.id).map((step) => `${step.name} ${step.result}`)

let stage: Stage
let good: ImageReference
let old: string | undefined

beforeEach(async () => {
  stage = await openStage()
  good = stage.publish('web', '1.0.0')
  await stage.rollOut(good, { health: { soak: 0 } })
  old = [...stage.host.containers.keys()][0]
  stage.host.calls.length = 0
})
afterEach(() => stage[Symbol.asyncDispose]())

const expectOldServes = async () => {
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 running'])
  expect([...stage.host.containers.keys()]).toEqual([old])
  expect(stage.host.containers.get(old ?? '')?.body.HostConfig.RestartPolicy).toEqual({
    Name: 'unless-stopped',
  })
}

test('an unhealthy version is put back: the same container, its image looked at, the bad one in quarantine', async () => {
  const sick = stage.publish('web', '2.0.0', { health: 'unhealthy' })
  const began = stage.now()
  const operation = await stage.rollOut(sick)
  expect(operation).toMatchObject({ result: 'reverted', from: { tag: '1.0.0' }, to: { tag: '2.0.0' } })
  expect(operation.reason).toContain('container is unhealthy')
  expect(stage.now() - began).toBeGreaterThanOrEqual(health.within)
  await expectOldServes()
  expect(steps(stage, operation)).toContain('verify digest done')
  expect(stage.journal.quarantined()).toMatchObject([
    { service: 'web', digest: sick.digest, operation: operation.id },
  ])
})

test('a version that ends at once is put back at once, without waiting for its time to be over', async () => {
  const began = stage.now()
  const operation = await stage.rollOut(stage.publish('web', '2.1.0', { exits: 3 }))
  expect(operation).toMatchObject({
    result: 'reverted',
    reason: expect.stringContaining('exited with code 3'),
  })
  // The old version still has to be steady, nothing else.
  expect(stage.now() - began).toBeLessThanOrEqual(health.steady + 1_000)
  await expectOldServes()
})

test('the last lines of the failing version are kept', async () => {
  const engine = stage.engine({ logs: async () => ['cannot read the setting GREETING'] })
  const operation = await stage.rollOut(stage.publish('web', '2.1.0', { exits: 3 }), {}, { engine })
  const evidence = stage.journal.steps(operation.id).find((step) => step.name === 'capture evidence')
  expect(evidence?.detail).toBe('cannot read the setting GREETING')
})

test('an old container whose exit cannot be confirmed keeps the new one from being started', async () => {
  stage.publish('web', '1.0.0', { unstoppable: true })
  const operation = await stage.rollOut(stage.publish('web', '1.1.0'))
  expect(stage.host.calls).not.toContain('start web')
  expect(operation).toMatchObject({
    result: 'reverted',
    reason: expect.stringContaining('its process still runs'),
  })
  await expectOldServes()
  expect(stage.journal.quarantined(), 'the new version is not to blame').toEqual([])
})

test('a name that somebody else has is not taken from them', async () => {
  stage.host.byHand('web', (container) => stage.host.containers.delete(container.id))
  const foreign = { Labels: {}, Image: 'own/tool', HostConfig: {} }
  const theirs = {
    id: 'theirs',
    name: 'story-web-1',
    body: foreign,
    imageId: 'own',
    state: 'running' as const,
  }
  const rest = { exitCode: 0, createdAt: 0, startedAt: 0, finishedAt: 0, restarts: 0, logs: [] }
  stage.host.containers.set('theirs', { ...theirs, ...rest })
  const operation = await stage.rollOut(stage.publish('web', '1.1.0'))
  expect(operation).toMatchObject({
    result: 'untouched',
    reason: expect.stringContaining('another container has'),
  })
  expect([...stage.host.containers.values()]).toEqual([{ ...theirs, ...rest }])
  expect(stage.journal.quarantined()).toEqual([])
})

test('a first version that does not get healthy is taken away again', async () => {
  const operation = await stage.rollOut(stage.publish('shop', '1.0.0', { health: 'unhealthy' }), {
    service: 'shop',
  })
  expect(operation).toMatchObject({ kind: 'create', result: 'untouched', downtimeMs: null })
  await expectOldServes()
})

test('a revert that fails is stuck, and says both what failed and why it could not go back', async () => {
  stage.host.fail('bringBack web', new SamovarError('not-found', 'the old container of web is gone'))
  const operation = await stage.rollOut(stage.publish('web', '2.1.0', { exits: 3 }))
  expect(operation.result).toBe('stuck')
  expect(operation.reason).toMatch(/exited with code 3.*going back failed: the old container of web is gone/)
  expect(stage.journal.isRetried(operation.id)).toBe(false)
  stage.journal.retry('web')
  expect(stage.journal.isRetried(operation.id)).toBe(true)
})

test('reverted is not said when what runs afterwards is not the image of before', async () => {
  const engine = stage.engine({
    async inspect(instance) {
      const seen = await stage.host.engine.inspect(instance)
      return instance === old ? { ...seen, image: { id: 'another', digests: [] } } : seen
    },
  })
  const operation = await stage.rollOut(stage.publish('web', '2.1.0', { exits: 3 }), {}, { engine })
  expect(operation).toMatchObject({
    result: 'stuck',
    reason: expect.stringContaining('runs another, expected'),
  })
})

test('reverted is not said when the old version does not get healthy either', async () => {
  const { wanted, body } = await stage.order(stage.publish('web', '2.1.0', { exits: 3 }))
  stage.publish('web', '1.0.0', { health: 'unhealthy' })
  const operation = await stage.clock.runOut(rollOut(stage.work(), wanted, body))
  expect(operation.result).toBe('stuck')
  expect(operation.reason).toContain('the old version was brought back, but is not healthy')
})

test('a newer commit cuts the wait short, and the version it cut is not put into quarantine', async () => {
  const newer = new AbortController()
  stage.clock.at(stage.clock.now() + 7_000, () =>
    newer.abort(new Error('a newer commit (abcdef01) changes web')),
  )
  const began = stage.now()
  const operation = await stage.rollOut(
    stage.publish('web', '2.0.0', { health: 'starting' }),
    { health: { within: 600_000 } },
    { newer: newer.signal },
  )
  expect(operation).toMatchObject({ result: 'reverted', reason: expect.stringContaining('abcdef01') })
  expect(stage.now() - began).toBeLessThan(60_000)
  await expectOldServes()
  expect(stage.journal.quarantined()).toEqual([])
})

test('what stood stopped before is put back stopped', async () => {
  stage.host.byHand('web', (container) => {
    container.state = 'exited'
  })
  const operation = await stage.rollOut(stage.publish('web', '2.1.0', { exits: 3 }))
  expect(operation.result).toBe('reverted')
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 exited'])
})
