import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withMachineLock } from './machine-lock.ts'
import { tempFolder } from './temp-folder.ts'
import { until } from './until.ts'

test('until answers what the condition answered, as soon as it did', async () => {
  let looks = 0
  expect(
    await until('the third look', () => (++looks === 3 ? 'there' : null), { withinMs: 5_000, everyMs: 1 }),
  ).toBe('there')
})

test('an error counts as not yet', async () => {
  let looks = 0
  const condition = () => {
    if (++looks < 3) throw new Error('connection refused')
    return true
  }
  expect(await until('it answers', condition, { withinMs: 5_000, everyMs: 1 })).toBe(true)
})

test('after the deadline a sentence says what was waited for and what was seen last', async () => {
  const waiting = until('the proxy answers', () => Promise.reject(new Error('HTTP 502')), {
    withinMs: 20,
    everyMs: 5,
  })
  await expect(waiting).rejects.toThrow('the proxy answers: not within 20 ms; seen last: HTTP 502')
})

test('a condition that answers 0 or an empty text is fulfilled', async () => {
  expect(await until('a number', () => 0, { withinMs: 20 })).toBe(0)
  expect(await until('a text', () => '', { withinMs: 20 })).toBe('')
})

test('a temporary folder is gone after its block, also when that throws', async () => {
  let path = ''
  await expect(async () => {
    await using folder = await tempFolder('block')
    path = folder.path
    expect(existsSync(path)).toBe(true)
    throw new Error('the test failed')
  }).rejects.toThrow('the test failed')
  expect(existsSync(path)).toBe(false)
})

test('the machine lock lets one in at a time and is free again after a failure', async () => {
  await using folder = await tempFolder('lock')
  const file = join(folder.path, 'lock.db')
  let inside = 0
  let most = 0
  const work = async () => {
    inside += 1
    most = Math.max(most, inside)
    await new Promise((resolve) => setImmediate(resolve))
    inside -= 1
  }
  await Promise.all([withMachineLock(file, work), withMachineLock(file, work), withMachineLock(file, work)])
  expect(most).toBe(1)
  await expect(withMachineLock(file, () => Promise.reject(new Error('broke')))).rejects.toThrow('broke')
  await withMachineLock(file, work)
})
