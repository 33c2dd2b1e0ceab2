import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ImageReference } from '../../reconciler/engine/engine.ts'
import { SamovarError } from '../../reconciler/errors.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import { openStage, type Stage } from './stage.ts'

const away = () => new SamovarError('engine-unreachable', 'the Docker Engine did not answer')

let stage: Stage
let better: ImageReference

beforeEach(async () => {
  stage = await openStage()
  await stage.rollOut(stage.publish('web', '1.0.0'), { health: { soak: 0 } })
  better = stage.publish('web', '1.1.0')
})
afterEach(() => stage[Symbol.asyncDispose]())

/** As the next process finds it: read from the journal. */
const unfinished = (): Operation => {
  const [operation, ...more] = stage.journal.unfinished()
  if (operation === undefined || more.length > 0)
    throw new Error(`${more.length} more operations are unfinished`)
  return operation
}

test('an engine that goes away in the middle leaves the operation as it is, and the next pass goes on with it', async () => {
  stage.host.fail('start web', away())
  expect(await stage.rollOut(better, { health: { soak: 0 } })).toMatchObject({ result: 'running' })
  expect(await stage.seen()).toEqual(['story-web-1.new 1.1.0 created', 'story-web-1.old 1.0.0 exited'])
  expect(await stage.resume(unfinished())).toMatchObject({ result: 'applied', attempts: 2 })
  expect(await stage.seen()).toEqual(['story-web-1 1.1.0 running'])
})

test('an engine that goes away before anything is replaced leaves nothing behind once it is back', async () => {
  stage.host.fail('create web', away())
  const operation = await stage.rollOut(better)
  expect(operation).toMatchObject({ result: 'untouched' })
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 running'])
})

test('an engine that goes away during the way back is waited for, not called stuck', async () => {
  stage.host.fail('bringBack web', away())
  const sick = stage.publish('web', '2.1.0', { exits: 3 })
  expect(await stage.rollOut(sick)).toMatchObject({ result: 'running', decision: 'revert' })
  expect(await stage.resume(unfinished())).toMatchObject({
    result: 'reverted',
    reason: expect.stringContaining('exited with code 3'),
  })
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 running'])
  expect(stage.journal.quarantined()).toMatchObject([{ digest: sick.digest }])
})

test('a stop signal cuts the wait at once, and the next start goes on', async () => {
  const stopping = new AbortController()
  stage.clock.at(stage.clock.now() + 2_000, () => stopping.abort())
  const began = stage.now()
  const operation = await stage.rollOut(
    better,
    { health: { steady: 30_000, soak: 0 } },
    { stopping: stopping.signal },
  )
  expect(operation.result).toBe('running')
  expect(stage.now() - began).toBeLessThanOrEqual(3_000)
  expect(await stage.seen()).toContain('story-web-1 1.1.0 running')
  expect(await stage.resume(unfinished())).toMatchObject({ result: 'applied', reason: '' })
  expect(await stage.seen()).toEqual(['story-web-1 1.1.0 running'])
})

test('a stop signal before anything is replaced leaves the old version alone', async () => {
  const stopping = AbortSignal.abort()
  expect(await stage.rollOut(better, {}, { stopping })).toMatchObject({ result: 'untouched' })
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 running'])
  expect(stage.journal.quarantined()).toEqual([])
})

test('a newer commit pre-empts also a roll-out that was taken up again', async () => {
  stage.host.fail('start web', away())
  const slow = stage.publish('web', '2.2.0', { health: 'starting' })
  await stage.rollOut(slow)
  const newer = AbortSignal.abort(new Error('a newer commit (abcdef01) changes web'))
  expect(await stage.resume(unfinished(), { newer })).toMatchObject({ result: 'reverted' })
  expect(stage.journal.quarantined()).toEqual([])
})

test('a roll-out that is cut short again and again is given up for the old version', async () => {
  stage.host.fail('start web', away())
  await stage.rollOut(better)
  for (const attempt of [2, 3]) {
    stage.host.fail('start web', away())
    expect(await stage.resume(unfinished())).toMatchObject({ result: 'running', attempts: attempt })
  }
  const last = await stage.resume(unfinished())
  expect(last).toMatchObject({ result: 'reverted', reason: expect.stringContaining('cut short 3 times') })
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 running'])
})

test('a way back that is cut short again and again ends as stuck, for a person', async () => {
  stage.host.fail('bringBack web', away())
  await stage.rollOut(stage.publish('web', '2.1.0', { exits: 3 }))
  let operation = unfinished()
  for (let times = 0; times < 10 && operation.result === 'running'; times += 1) {
    stage.host.fail('bringBack web', away())
    operation = await stage.resume(unfinished())
  }
  expect(operation).toMatchObject({ result: 'stuck', reason: expect.stringContaining('again and again') })
})

test('a roll-out that was proven before the crash is finished, never put back', async () => {
  stage.host.fail('discard web', away())
  expect(await stage.rollOut(better, { health: { soak: 0 } })).toMatchObject({
    result: 'running',
    decision: 'keep',
  })
  stage.publish('web', '1.1.0', { health: 'unhealthy' })
  expect(await stage.resume(unfinished())).toMatchObject({ result: 'applied' })
  expect(await stage.seen()).toEqual(['story-web-1 1.1.0 running'])
})

test('what was created but not written down any more is found by its label and taken away', async () => {
  const { wanted, body } = await stage.order(better)
  const operation = stage.journal.beginOperation(wanted, stage.now())
  await stage.host.engine.holdImage(better)
  await stage.host.engine.create(operation.id, await body.of('web', '', {}), { name: 'story-web-1' })
  stage.journal.beginStep(operation, 'create', stage.now())
  expect(await stage.resume(unfinished())).toMatchObject({ result: 'untouched' })
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 running'])
  expect(stage.journal.steps(operation.id)[0]).toMatchObject({ name: 'create', result: 'cut' })
})

test('nothing that a container wrote is recorded when nobody knows any more what is secret', async () => {
  stage.host.fail('start web', away())
  await stage.rollOut(stage.publish('web', '2.1.0', { exits: 3 }))
  const engine = stage.engine({ logs: async () => ['password=hunter2'] })
  const operation = await stage.resume(unfinished(), { engine, secretsKnown: false })
  expect(operation.result).toBe('reverted')
  expect(JSON.stringify(stage.journal.steps(operation.id))).not.toContain('hunter2')
})
