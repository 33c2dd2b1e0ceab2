import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ImageReference } from '../../reconciler/engine/engine.ts'
import { SamovarError } from '../../reconciler/errors.ts'
import { rollOut } from '../../reconciler/rollout.ts'
import { openStage, type Stage } from './stage.ts'

let stage: Stage
let better: ImageReference

beforeEach(async () => {
  stage = await openStage()
  await stage.rollOut(stage.publish('web', '1.0.0'), { health: { soak: 0 }, followers: ['side'] })
  await stage.rollOut(stage.publish('app', '1.0.0'), { service: 'app', health: { soak: 0 } })
  better = stage.publish('web', '1.1.0')
  stage.host.calls.length = 0
})
afterEach(() => stage[Symbol.asyncDispose]())

const others = ['story-app-1 1.0.0 running', 'story-side-1 1.0.0 running']
const idOf = (name: string) => [...stage.host.containers.values()].find((each) => each.name === name)?.id
const networkOf = (name: string) =>
  [...stage.host.containers.values()].find((each) => each.name === name)?.body.HostConfig.NetworkMode
/** The calls that stop and start something, in order. */
const swaps = () =>
  stage.host.calls.filter((call) => /^(stop|start|startAgain|setAside|bringBack) /.test(call))

test('without a soak the old container goes at once', async () => {
  const operation = await stage.rollOut(better, { health: { soak: 0 } })
  expect(operation).toMatchObject({ result: 'applied', reason: '' })
  expect(await stage.seen()).toEqual([...others, 'story-web-1 1.1.0 running'].sort())
  expect(stage.journal.kept()).toEqual([])
})

test('with a soak the old container stays: stopped, never started by the engine, known to the journal', async () => {
  const operation = await stage.rollOut(better, { health: { soak: 600_000 } })
  expect(await stage.seen()).toEqual(
    [...others, 'story-web-1 1.1.0 running', 'story-web-1.old 1.0.0 exited'].sort(),
  )
  const [kept] = stage.journal.kept()
  expect(kept).toMatchObject({ operation: operation.id, service: 'web', discardAt: stage.now() + 600_000 })
  const container = stage.host.containers.get(kept?.kept.instance ?? '')
  expect(container?.body.HostConfig.RestartPolicy).toEqual({ Name: 'no' })
})

test('an old container that cannot be removed does not undo a version that is proven', async () => {
  stage.host.fail('discard web', new SamovarError('engine-refused', 'the disk is read-only'))
  const operation = await stage.rollOut(better, { health: { soak: 0 } })
  expect(operation).toMatchObject({ result: 'applied', reason: expect.stringContaining('read-only') })
})

test('dependents that asked for it go down before the service and come up after it is healthy', async () => {
  await stage.rollOut(better, { dependents: ['app'], health: { soak: 0 } })
  expect(swaps()).toEqual(['stop story-app-1', 'setAside web', 'start web', 'startAgain story-app-1'])
  expect(await stage.seen()).toContain('story-app-1 1.0.0 running')
})

test('dependents come up again after a revert, too', async () => {
  const sick = stage.publish('web', '2.0.0', { exits: 1 })
  await stage.rollOut(sick, { dependents: ['app'] })
  expect(await stage.seen()).toEqual([...others, 'story-web-1 1.0.0 running'].sort())
  expect(swaps().at(-1)).toBe('startAgain story-app-1')
})

test('a dependent that cannot be started again does not change how the service ended, and is told', async () => {
  stage.host.fail('startAgain story-app-1', new SamovarError('engine-refused', 'port 8080 is in use'))
  const operation = await stage.rollOut(better, { dependents: ['app'] })
  expect(operation.result).toBe('applied')
  const told = stage.journal.steps(operation.id).find((step) => step.name === 'start dependents')
  expect(told).toMatchObject({ result: 'done', detail: 'port 8080 is in use' })
})

test('what lives in the network of a service is swapped with it, and never runs in the old one', async () => {
  const operation = await stage.rollOut(better, { followers: ['side'], health: { soak: 0 } })
  expect(operation.result).toBe('applied')
  expect(swaps()).toEqual(['setAside side', 'setAside web', 'start web', 'start side'])
  expect(networkOf('story-side-1')).toBe(`container:${idOf('story-web-1')}`)
})

test('what lives in the network of a service is put back with it', async () => {
  const [web, side] = [idOf('story-web-1'), idOf('story-side-1')]
  const sick = stage.publish('web', '2.0.0', { exits: 1 })
  expect(await stage.rollOut(sick, { followers: ['side'] })).toMatchObject({ result: 'reverted' })
  expect([idOf('story-web-1'), idOf('story-side-1')]).toEqual([web, side])
  expect(swaps().slice(-2)).toEqual(['bringBack web', 'bringBack side'])
  expect(await stage.seen()).toEqual([...others, 'story-web-1 1.0.0 running'].sort())
})

test('a follower that does not get healthy puts both back', async () => {
  const [web, side] = [idOf('story-web-1'), idOf('story-side-1')]
  const { wanted, body } = await stage.order(better, { followers: ['side'] })
  stage.publish('side', '1.0.0', { exits: 4 })
  // The old follower has the same image; what matters here is that the new one ends.
  const operation = await stage.clock.runOut(rollOut(stage.work(), wanted, body))
  expect(operation.reason).toContain('exited with code 4 (story-side-1)')
  expect([idOf('story-web-1'), idOf('story-side-1')]).toEqual([web, side])
})
