import { expect, test } from 'vitest'
import {
  expectedDisk,
  expectedDowntime,
  expectedStart,
  median,
} from '../../reconciler/pull-requests/expectations.ts'
import { hiding } from '../../reconciler/pull-requests/hidden-values.ts'
import { openedJournal, told } from '../journal/told-operations.ts'
import { imageOf, running, target } from '../plan/given.ts'

test('the downtime that is expected is the median of the last roll-outs that held', async () => {
  await using about = await openedJournal('expected-downtime')
  const { journal } = about
  expect(expectedDowntime(journal, 'gitea')).toBeNull()
  const add = (service: string, downtimeMs: number, result: 'applied' | 'reverted' = 'applied') => {
    const operation = told(journal, { service, kind: 'replace', result })
    journal.saveOperation({ ...operation, downtimeMs })
  }
  add('proxy', 1_000)
  expect(expectedDowntime(journal, 'gitea')).toEqual({ ms: 1_000, of: 'host', count: 1 })
  for (const ms of [9_000, 12_000, 60_000]) add('gitea', ms)
  add('gitea', 900_000, 'reverted')
  told(journal, { service: 'gitea', kind: 'backup', result: 'applied' })
  expect(expectedDowntime(journal, 'gitea')).toEqual({ ms: 12_000, of: 'service', count: 3 })
})

test('the median of an even number lies between the two in the middle', () => {
  expect([median([1]), median([4, 1]), median([3, 1, 2])]).toEqual([1, 2.5, 2])
})

test('a window that is open now starts at once; one that is named and not known is none; one that denies puts it off', () => {
  const about = {
    windows: { daily: { opens: '0 3 * * *', for: 3600_000 } },
    timezone: 'UTC',
    takes: new Map<string, number>(),
    now: Date.UTC(2026, 10, 22, 3, 30),
  }
  const web = target({ window: 'daily' })
  expect(expectedStart(web, about)).toEqual({ name: 'daily', opensAt: null })
  const closed = { ...about, now: Date.UTC(2026, 10, 22, 5) }
  const tomorrow = Date.UTC(2026, 10, 23, 3)
  expect(expectedStart(web, closed)).toEqual({ name: 'daily', opensAt: tomorrow })
  expect(expectedStart(target({ window: 'other' }), about)).toBeNull()
  expect(expectedStart(target(), about)).toBeNull()
  const exams = { opens: '0 0 23 11 *', for: 24 * 3_600_000, kind: 'deny' as const }
  const denied = { ...closed, windows: { ...about.windows, exams } }
  expect(expectedStart(web, denied)).toEqual({ name: 'daily', opensAt: tomorrow + 24 * 3_600_000 })
  expect(expectedStart(target(), { ...denied, now: tomorrow })).toEqual({
    name: 'exams',
    opensAt: Date.UTC(2026, 10, 24),
  })
})

test('disk is needed for images that are not here, and for the largest copy of data', () => {
  const local = [
    { id: 'id of 1.0.0', digests: [imageOf('1.0.0').digest], tags: [], bytes: 100, createdAt: 0 },
  ]
  const data = (bytes: number) => ({
    ...{ owners: ['web'], databases: [], volumes: [], while: 'stopped' as const, stop: [], restore: true },
    last: { bytes, at: 0 },
  })
  const swap = (tag: string, bytes: number) => ({
    ...{ target: target({ image: imageOf(tag) }), current: running(), data: data(bytes) },
  })
  expect(expectedDisk([swap('1.1.0', 1000), swap('1.1.0', 400)], local)).toBe(100 + 2500)
  expect(expectedDisk([swap('1.0.0', 0)], local)).toBeNull()
})

test('values of variables are hidden in the words of others, whole and in parts', () => {
  const hide = hiding([
    { PORT: '8090x:7', NAME: 'git.example.com', ON: 'on', A: 'a"b"c', S: { secret: 'env:X' } },
  ])
  expect(hide('invalid port 8090x')).toBe('invalid port ***')
  expect(hide('services.web.ports.git.example.com is wrong')).toBe('services.web.ports.*** is wrong')
  expect(hide('"a\\"b\\"c" is turned on, not only once')).toBe('"***" is turned ***, not only once')
  expect(hide('env:X stays')).toBe('env:X stays')
  expect(hiding([null, undefined, 'x', []])('nothing')).toBe('nothing')
})

test('more values than anybody has hide everything', () => {
  const many = Object.fromEntries(Array.from({ length: 3_000 }, (_, at) => [`A${at}`, `value-${at}`]))
  expect(hiding([many])('some text')).toBe('***')
})
