import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ImageReference } from '../../reconciler/engine/engine.ts'
import { SamovarError } from '../../reconciler/errors.ts'
import { rollOut } from '../../reconciler/rollout.ts'
import { openStage, type Stage } from './stage.ts'

let stage: Stage
let better: ImageReference
let before: string | undefined

beforeEach(async () => {
  stage = await openStage()
  await stage.rollOut(stage.publish('web', '1.0.0'), { health: { soak: 0 } })
  better = stage.publish('web', '1.1.0')
  before = [...stage.host.containers.keys()][0]
})
afterEach(() => stage[Symbol.asyncDispose]())

/** The host as it was: the very same container, still running, and nothing beside it. */
const expectUntouched = async () => {
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 running'])
  expect([...stage.host.containers.keys()]).toEqual([before])
  expect(stage.host.calls).not.toContain('setAside web')
  expect(stage.journal.unfinished()).toEqual([])
  expect(stage.journal.quarantined()).toEqual([])
}

test('a failed pull leaves the host untouched', async () => {
  stage.host.fail('holdImage 1.1.0', new SamovarError('image-unavailable', 'the registry does not answer'))
  const operation = await stage.rollOut(better)
  expect(operation).toMatchObject({ result: 'untouched', reason: 'the registry does not answer' })
  await expectUntouched()
})

test('a configuration the engine refuses costs nothing, since the old version still serves', async () => {
  stage.host.fail('create web', new SamovarError('engine-refused', 'invalid mount config'))
  expect(await stage.rollOut(better)).toMatchObject({ result: 'untouched', reason: 'invalid mount config' })
  await expectUntouched()
})

test('a roll-out does not begin on a full disk', async () => {
  const engine = stage.engine({ freeDisk: async () => 300 * 1024 ** 2 })
  const operation = await stage.rollOut(better, {}, { engine })
  expect(operation).toMatchObject({ result: 'untouched', reason: expect.stringContaining('only 300 MiB') })
  expect(stage.host.calls).not.toContain('holdImage 1.1.0')
  await expectUntouched()
})

test('a service whose data cannot be backed up is refused with a sentence', async () => {
  const operation = await stage.rollOut(better, {
    problem: 'web.yaml names data, which is not backed up yet',
  })
  expect(operation).toMatchObject({ result: 'untouched', reason: expect.stringContaining('names data') })
  await expectUntouched()
})

test('data in an anonymous volume is not left behind with the old container', async () => {
  const engine = stage.engine({
    inspect: async (instance) => ({
      ...(await stage.host.engine.inspect(instance)),
      anonymousVolumes: ['/data'],
    }),
  })
  const operation = await stage.rollOut(better, {}, { engine })
  expect(operation).toMatchObject({
    result: 'untouched',
    reason: expect.stringContaining('/data is an anonymous volume'),
  })
  await expectUntouched()
})

test('an anonymous volume is refused also without data, since its content would be left behind', async () => {
  const engine = stage.engine({
    inspect: async (instance) => ({
      ...(await stage.host.engine.inspect(instance)),
      anonymousVolumes: ['/data'],
    }),
  })
  expect(await stage.rollOut(better, {}, { engine })).toMatchObject({
    result: 'untouched',
    reason: expect.stringContaining('/data is an anonymous volume'),
  })
})

test('a container that somebody replaced meanwhile is not taken for the one that was looked at', async () => {
  const { wanted, body } = await stage.order(better)
  stage.host.byHand('web', (container) => stage.host.containers.delete(container.id))
  const operation = await stage.clock.runOut(rollOut(stage.work(), wanted, body))
  expect(operation).toMatchObject({
    result: 'untouched',
    reason: expect.stringContaining('no longer the container'),
  })
  expect(await stage.seen()).toEqual([])
})

test('what was stopped for the roll-out runs again when nothing was replaced', async () => {
  await stage.rollOut(stage.publish('app', '1.0.0'), { service: 'app', health: { soak: 0 } })
  const app = [...stage.host.containers.values()].find((each) => each.name === 'story-app-1')
  const engine = stage.engine({
    describe: async () => {
      throw new SamovarError('changed', 'web is no longer the container that was looked at')
    },
  })
  expect(await stage.rollOut(better, { dependents: ['app'] }, { engine })).toMatchObject({
    result: 'untouched',
  })
  expect(stage.host.calls).toContain('stop story-app-1')
  expect(app?.state).toBe('running')
})
