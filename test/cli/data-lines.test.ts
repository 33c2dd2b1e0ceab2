import { describe, expect, test } from 'vitest'
import { openConsole } from '../../reconciler/cli/console.ts'
import { dataInWords, endLines } from '../../reconciler/cli/progress.ts'
import { operationDocument } from '../../reconciler/documents.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import { whatInWords } from '../../reconciler/shown-operation.ts'
import { dataOf } from '../journal/told-operations.ts'

const quiet = { write: () => {} }
const console = openConsole({ json: false, stdout: quiet, stderr: quiet })
const id = '20261122T021400Z-0007-9f3c1a'
const backup = { id, key: `v1/host/manual/${id}`, dataFrom: Date.UTC(2026, 10, 22, 2, 14) }

const operation = (other: Partial<Operation>, intent: Partial<Operation['intent']> = {}): Operation => ({
  id: 'op',
  service: 'notes',
  kind: 'backup',
  commit: 'c0ffee',
  result: 'applied',
  decision: 'keep',
  attempts: 1,
  from: null,
  to: null,
  startedAt: 1_000,
  finishedAt: 2_200,
  downtimeMs: null,
  backup: id,
  reason: '',
  intent: {
    members: [],
    quiesced: [],
    health: { within: 1, steady: 0, soak: 0, checks: [] },
    oldHealth: null,
    configuration: '',
    reasons: [],
    drift: false,
    data: dataOf('notes', { backup }),
    ...intent,
  },
  ...other,
})

describe('how it ended', () => {
  test('a backup: its time, its name, its size, where it is, and where it is not', () => {
    const taken = dataOf('notes', {
      owners: ['notes', 'wiki'],
      backup: { ...backup, bytes: 84_200_000, stores: ['file /a'] },
      without: [{ store: 's3 b', said: 'access denied' }],
    })
    expect(endLines(console, operation({ downtimeMs: 800 }, { data: taken }))).toEqual([
      `notes, wiki: backed up in 1.2 s (down for 0.8 s): ${id}, 84.2 MB in file /a`,
      '  but s3 b does not have it: access denied',
    ])
  })

  test('a backup that failed: that all runs as before, why, and what next', () => {
    const failed = { result: 'untouched' as const, backup: null }
    expect(
      endLines(console, operation({ ...failed, reason: 'file /a: the disk is full; next: Make room.' })),
    ).toEqual([
      'notes: backup failed after 1.2 s; it runs as before',
      '  file /a: the disk is full',
      '  next: Make room.',
    ])
    expect(endLines(console, operation({ ...failed, reason: 'it broke' })).at(-1)).toBe(
      '  next: samovar doctor tries the stores, then samovar backup',
    )
    expect(endLines(console, operation({ ...failed, result: 'stuck' }))).toEqual([
      'notes: backup failed after 1.2 s; what was stopped for it does not all run again',
      '  next: samovar show op, samovar status',
    ])
    expect(endLines(console, operation({ result: 'stuck', backup: id }))[0]).toBe(
      `notes: backed up in 1.2 s: ${id}; what was stopped for it does not all run again`,
    )
  })

  test('a verification: the level, or what is damaged', () => {
    expect(endLines(console, operation({ kind: 'verify', reason: 'good at level 2' }, { level: 2 }))).toEqual(
      [`notes: good at level 2 in 1.2 s: ${id}`],
    )
    const damaged = {
      kind: 'verify' as const,
      result: 'untouched' as const,
      reason: `backup ${id} is damaged: x`,
    }
    expect(endLines(console, operation(damaged))).toEqual([
      `notes: not proven after 1.2 s: ${id}`,
      `  backup ${id} is damaged: x`,
      '  next: samovar backups shows others; samovar show op has each store',
    ])
  })

  test('a restore: of when the data is, and how it is taken back', () => {
    const [head, next] = endLines(console, operation({ kind: 'restore' }, { safetyBackup: 'safe' }))
    expect(head).toMatch(
      /^notes: restored in 1\.2 s: data of 2026-11-2\d \d\d:14:00, from 20261122T021400Z-0007-9f3c1a$/,
    )
    expect(next).toBe('  next: look at it; samovar restore safe takes it back')
    const stuck = operation({ kind: 'restore', result: 'stuck', reason: 'half; next: samovar restore safe' })
    expect(endLines(console, stuck)).toEqual([
      `notes: stuck after 1.2 s: restore from ${id}`,
      '  half',
      '  next: samovar restore safe',
    ])
  })
})

test('what is done is named without versions that it has not', () => {
  const words = (kind: Operation['kind'], taken: string | null = id) =>
    whatInWords(
      console,
      operation(
        { kind, backup: taken },
        { level: 2, data: dataOf('notes', { backup: taken === null ? null : backup }) },
      ),
    )
  expect(words('backup', null)).toBe('notes: backup')
  expect(words('backup')).toBe(`notes: backup ${id}`)
  expect(words('verify')).toBe(`notes: verify ${id} at level 2`)
  expect(words('restore')).toBe(`notes: restore from ${id}`)
})

test('programs find the backup, the level and what was lost', () => {
  const lost = operation(
    { kind: 'replace', result: 'reverted' },
    { data: dataOf('notes', { backup, lostMs: 1_500 }) },
  )
  expect(operationDocument(lost, [])).toMatchObject({ backup: id, lostMs: 1_500, level: null })
  expect(operationDocument(operation({ kind: 'verify', backup: null }, { level: 2 }), [])).toMatchObject({
    backup: id,
    lostMs: null,
    level: 2,
  })
})

test('a copy tells bytes, rate and what is left, and no time when it is nearly done', () => {
  const since = { began: performance.now() - 2_000, from: 0 }
  const seen = { doing: 'backing up' as const, part: 'data.tar.zst', bytes: 20_000_000 }
  expect(dataInWords({ ...seen, total: 60_000_000 }, since)).toMatch(
    /^backing up data\.tar\.zst: 20\.0 MB of about 60\.0 MB, (10\.0|9\.9\d?) MB\/s, 4\.\d s left$/,
  )
  expect(dataInWords({ ...seen, total: 20_100_000 }, since)).toMatch(/of about 20\.1 MB, [\d.]+ MB\/s$/)
  expect(dataInWords({ ...seen, total: null }, since)).toMatch(
    /^backing up data\.tar\.zst: 20\.0 MB, [\d.]+ MB\/s$/,
  )
})
