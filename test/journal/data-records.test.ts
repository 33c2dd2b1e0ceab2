import { expect, test } from 'vitest'
import type { OperationResult } from '../../reconciler/journal/operation.ts'
import { openedJournal, told } from './told-operations.ts'

test('a backup counts when it was read back whole, in whatever operation', async () => {
  await using about = await openedJournal('proven')
  const { journal } = about
  told(journal, { backup: 'b1', at: 1, steps: [['prove backup', 'done']] })
  told(journal, {
    backup: 'b2',
    at: 2,
    steps: [
      ['back up', 'done'],
      ['prove backup', 'failed'],
    ],
    result: 'untouched',
  })
  told(journal, {
    backup: 'b3',
    at: 3,
    kind: 'replace',
    steps: [
      ['prove backup', 'done'],
      ['set aside', 'done'],
    ],
  })
  told(journal, {
    backup: 'b4',
    at: 4,
    kind: 'restore',
    steps: [
      ['prove backup', 'done'],
      ['safety backup', 'done'],
    ],
  })
  told(journal, {
    backup: 'b5',
    at: 5,
    kind: 'restore',
    steps: [
      ['prove backup', 'done'],
      ['safety backup', 'failed'],
    ],
  })
  expect(journal.provenBackups().map((each) => each.id)).toEqual(['b4', 'b3', 'b1'])
})

test('a backup that is found damaged is none, until a later verification finds it whole', async () => {
  await using about = await openedJournal('damaged')
  const { journal } = about
  told(journal, { backup: 'b1', steps: [['prove backup', 'done']] })
  const verify = (result: OperationResult, reason: string) =>
    told(journal, { kind: 'verify', level: 1, backup: 'b1', result, reason })
  verify('untouched', 'Samovar was cut short during the verification')
  expect(journal.provenBackups()).toHaveLength(1)
  verify('untouched', 'backup b1 is damaged: file /a: gitea-data.tar.zst is cut')
  expect(journal.provenBackups()).toEqual([])
  verify('applied', 'good at level 1')
  expect(journal.provenBackups()).toHaveLength(1)
})

test('backups, verifications and restores are counted from the begin of the journal', async () => {
  await using about = await openedJournal('counts')
  const { journal } = about
  told(journal, {
    steps: [
      ['back up', 'done'],
      ['prove backup', 'done'],
    ],
  })
  told(journal, { steps: [['preflight', 'failed']], result: 'untouched' })
  told(journal, { kind: 'replace', steps: [['back up', 'failed']], result: 'untouched' })
  told(journal, { kind: 'replace', steps: [['back up', 'cut']], result: 'untouched' })
  told(journal, { kind: 'replace', steps: [['preflight', 'failed']], result: 'untouched' })
  told(journal, { kind: 'restore', steps: [['prove backup', 'failed']], result: 'untouched' })
  told(journal, {
    kind: 'restore',
    steps: [
      ['prove backup', 'done'],
      ['safety backup', 'done'],
    ],
  })
  told(journal, { kind: 'verify', level: 2, at: 7 })
  told(journal, { kind: 'verify', level: 1, at: 8, result: 'untouched' })
  expect(journal.dataCounts()).toEqual({
    backups: { good: 2, failed: 3 },
    verifications: { good: 1, failed: 1 },
    restores: { applied: 1, untouched: 1, stuck: 0 },
  })
  expect(journal.verifications()).toEqual([
    { level: 2, at: 12, good: true },
    { level: 1, at: 13, good: false },
  ])
})

test('the last word on the data of a service is that of the newest operation of each kind', async () => {
  await using about = await openedJournal('last')
  const { journal } = about
  told(journal, { result: 'untouched', reason: 'the disk is full' })
  const newest = told(journal, { result: 'applied', at: 2_000 })
  told(journal, { kind: 'verify', level: 2 })
  told(journal, { service: 'wiki', result: 'stuck' })
  told(journal, { kind: 'replace', result: 'reverted' })
  expect(journal.lastDataOperations().map(({ service, kind, result }) => [service, kind, result])).toEqual([
    ['gitea', 'backup', 'applied'],
    ['gitea', 'verify', 'applied'],
    ['wiki', 'backup', 'stuck'],
  ])
  expect(journal.lastDataOperations()[0]?.id).toBe(newest.id)
})

test('a round is remembered with its schedule, and as begun until it has ended', async () => {
  await using about = await openedJournal('rounds')
  const { journal } = about
  const round = {
    name: 'backup',
    dueAt: 60_000,
    schedule: { expression: '0 2 * * *', timezone: 'Europe/Berlin' },
  }
  journal.beginRound(round, { now: 61_000, again: false })
  expect(journal.rounds()).toEqual([{ ...round, beganAt: 61_000, finishedAt: null, result: null }])
  journal.beginRound(round, { now: 62_000, again: true })
  expect(journal.rounds()).toMatchObject([{ beganAt: 62_000, finishedAt: null, result: 'again' }])
  journal.endRound('backup', 'done', 70_000)
  expect(journal.rounds()).toMatchObject([{ finishedAt: 70_000, result: 'done' }])
})
