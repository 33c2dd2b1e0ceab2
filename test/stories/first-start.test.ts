import { expect, test } from 'vitest'
import { freePort } from '../rig/registry.ts'
import { openStage } from './stage.ts'

/** A check through a door that nobody has opened yet. */
const throughTheDoor = async () => {
  const url = `http://127.0.0.1:${await freePort()}/`
  const check = { kind: 'http', url, status: null, header: {}, body: null, json: {}, ca: null } as const
  return { within: 3000, steady: 0, checks: [{ ...check, every: 1000, timeout: 1000 }] }
}

test('while a stack is brought up for the first time, a new service is not judged through its neighbours', async () => {
  await using stage = await openStage()
  const health = await throughTheDoor()
  const image = stage.publish('web', '1.0.0')
  expect(await stage.rollOut(image, { health })).toMatchObject({ result: 'untouched' })
  const first = await stage.rollOut(image, { health }, { isFirstStart: true })
  expect(first).toMatchObject({ result: 'applied' })
  // What it is to be judged by later is written down as the desired state has it.
  expect(first.intent.health.checks).toEqual(health.checks)
})

test('one that does not run is found out then as well, and one that ran before is judged by all of its checks', async () => {
  await using stage = await openStage()
  const health = await throughTheDoor()
  const broken = stage.publish('web', '1.0.0', { exits: 1 })
  expect(await stage.rollOut(broken, { health }, { isFirstStart: true })).toMatchObject({
    result: 'untouched',
  })
  await stage.rollOut(stage.publish('web', '1.1.0'), { health }, { isFirstStart: true })
  const next = await stage.rollOut(stage.publish('web', '1.2.0'), { health }, { isFirstStart: true })
  expect(next).not.toMatchObject({ result: 'applied' })
})
