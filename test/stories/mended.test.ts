import { afterEach, beforeEach, expect, test } from 'vitest'
import { SamovarError } from '../../reconciler/errors.ts'
import type { NewOperation } from '../../reconciler/journal/operation.ts'
import { hold } from '../../reconciler/plan/hold.ts'
import { startStopped, takeLeave } from '../../reconciler/rollout/mend.ts'
import { change, standing, target } from '../plan/given.ts'
import { openStage, type Stage } from './stage.ts'

let stage: Stage

beforeEach(async () => {
  stage = await openStage()
  await stage.rollOut(stage.publish('web', '1.0.0'), { health: { soak: 0 } })
})
afterEach(() => stage[Symbol.asyncDispose]())

const dies = () =>
  stage.host.byHand('web', (container) => {
    container.state = 'exited'
    container.exitCode = 137
  })

const wanted = async (kind: 'start' | 'remove'): Promise<NewOperation> => {
  const { wanted: order } = await stage.order(stage.publish('web', '1.0.0'))
  return { ...order, kind, intent: { ...order.intent, drift: kind === 'start' } }
}

const startAgain = async () => stage.clock.runOut(startStopped(stage.work(), await wanted('start')))
const leave = async (prune: boolean) =>
  stage.clock.runOut(takeLeave(stage.work(), await wanted('remove'), prune))

test('a service that was stopped by hand runs again, in the same container', async () => {
  const [before] = stage.host.containers.keys()
  dies()
  expect(await startAgain()).toMatchObject({ kind: 'start', result: 'applied' })
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 running'])
  expect([...stage.host.containers.keys()]).toEqual([before])
})

test('a service that keeps dying is started with growing pauses, and the reason is told', async () => {
  const pauses: number[] = []
  for (let times = 0; times < 5; times += 1) {
    dies()
    await startAgain()
    const [setback] = stage.journal.setbacks()
    pauses.push(Math.round(((setback?.nextAt ?? 0) - stage.now()) / 1_000))
  }
  expect(pauses).toEqual([15, 30, 60, 120, 240])
  const [setback] = stage.journal.setbacks()
  const web = target({ image: stage.publish('web', '1.0.0'), configuration: 'configuration' })
  const held = hold(
    web,
    change({ action: 'start', drift: true }),
    standing({ now: stage.now(), setbacks: stage.journal.setbacks() }),
  )
  expect(held).toMatch(/^tried 5 times \(it had drifted\); next try at .*samovar retry web$/)
  const later = standing({ now: setback?.nextAt ?? 0, setbacks: stage.journal.setbacks() })
  expect(hold(web, change({ action: 'start', drift: true }), later)).toBeNull()
})

test('a start that was cut short is gone on with, and its end is told as it is', async () => {
  dies()
  stage.host.fail(
    'startAgain story-web-1',
    new SamovarError('engine-unreachable', 'the engine did not answer'),
  )
  expect(await startAgain()).toMatchObject({ result: 'running' })
  const [cut] = stage.journal.unfinished()
  if (cut === undefined) throw new Error('nothing is unfinished')
  expect(await stage.resume(cut)).toMatchObject({ kind: 'start', result: 'applied' })
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 running'])
})

test('a service that left the desired state is stopped and kept', async () => {
  stage.host.volumes.add('story_data')
  expect(await leave(false)).toMatchObject({ result: 'applied' })
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 exited'])
  const [container] = stage.host.containers.values()
  expect(container?.body.HostConfig.RestartPolicy).toEqual({ Name: 'no' })
  expect([...stage.host.volumes]).toEqual(['story_data'])
})

test('a service that left the desired state is removed with prune, but not its volumes', async () => {
  stage.host.volumes.add('story_data')
  expect(await leave(true)).toMatchObject({ result: 'applied' })
  expect(await stage.seen()).toEqual([])
  expect([...stage.host.volumes]).toEqual(['story_data'])
})

test('a removal that was cut short after it was done is told as done', async () => {
  const order = await wanted('remove')
  const operation = stage.journal.beginOperation(order, stage.now())
  stage.journal.beginStep(operation, 'remove', stage.now())
  stage.host.containers.clear()
  expect(await stage.resume(operation)).toMatchObject({ kind: 'remove', result: 'applied' })
})

test('a removal that was cut short before it began has touched nothing', async () => {
  const operation = stage.journal.beginOperation(await wanted('remove'), stage.now())
  expect(await stage.resume(operation)).toMatchObject({ result: 'untouched' })
  expect(await stage.seen()).toEqual(['story-web-1 1.0.0 running'])
})

test('a container that was replaced by hand is not taken for the one that left', async () => {
  const order = await wanted('remove')
  stage.host.byHand('web', (container) => {
    container.name = 'mine'
  })
  const operation = await stage.clock.runOut(takeLeave(stage.work(), order, true))
  expect(operation).toMatchObject({
    result: 'untouched',
    reason: expect.stringContaining('no longer the container'),
  })
  expect(stage.host.containers.size).toBe(1)
})
