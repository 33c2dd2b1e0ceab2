import { describe, expect, test } from 'vitest'
import { daemonLog } from '../reconciler/daemon-log.ts'
import { dataProblems } from '../reconciler/data-problems.ts'
import { makeLog } from '../reconciler/log.ts'
import type { PassReport } from '../reconciler/reconcile.ts'
import { openedJournal, type Told, told } from './journal/told-operations.ts'

const anyone = () => true
const failed: Told = { result: 'untouched', reason: 'file /a: the disk is full; next: Make room.', at: 1_000 }
const nightly = { name: 'backup', dueAt: 1, schedule: { expression: '0 2 * * *', timezone: 'UTC' } }

describe('what is wrong about backups', () => {
  test('a failed backup is, until one of the same service is proven, in whatever operation', async () => {
    await using about = await openedJournal('problems')
    const { journal } = about
    told(journal, failed)
    expect(dataProblems(journal, anyone)).toMatchObject([
      { about: 'backup of gitea', message: 'file /a: the disk is full', next: 'Make room.' },
    ])
    expect(dataProblems(journal, (service) => service !== 'gitea')).toEqual([])
    told(journal, { kind: 'replace', backup: 'b1', at: 2_000, steps: [['prove backup', 'done']] })
    expect(dataProblems(journal, anyone)).toEqual([])
  })

  test('a damaged backup is; a restore that replaced nothing is not; one that is stuck is until it is retried', async () => {
    await using about = await openedJournal('problems-kinds')
    const { journal } = about
    told(journal, { kind: 'verify', result: 'untouched', reason: 'backup b1 is damaged: x', service: 'a' })
    told(journal, { kind: 'restore', result: 'untouched', reason: 'no', service: 'b' })
    const stuck = told(journal, { kind: 'restore', result: 'stuck', reason: 'half', service: 'c' })
    expect(dataProblems(journal, anyone).map((each) => [each.about, each.next])).toEqual([
      ['verification of a', expect.stringContaining('samovar show ')],
      ['restore of c', `samovar show ${stuck.id}`],
    ])
    journal.retry('c')
    expect(dataProblems(journal, anyone).map((each) => each.about)).toEqual(['verification of a'])
  })

  test('a schedule that came to nothing is, also when no operation began', async () => {
    await using about = await openedJournal('problems-rounds')
    const { journal } = about
    journal.beginRound(nightly, { now: 1, again: false })
    journal.endRound('backup', 'failed: no store answers; next: Look at the network.', 2)
    expect(dataProblems(journal, anyone)).toMatchObject([
      { about: 'scheduled backup', message: 'no store answers', next: 'Look at the network.' },
    ])
    for (const fine of ['done', 'first seen', 'not good: gitea']) {
      journal.endRound('backup', fine, 3)
      expect(dataProblems(journal, anyone)).toEqual([])
    }
    journal.endRound('backup', 'done, but old backups could not all be removed: denied', 4)
    expect(dataProblems(journal, anyone)).toMatchObject([{ about: 'scheduled backup' }])
  })

  test('the same failure of another night is the same, whatever backup and numbers it names', async () => {
    await using about = await openedJournal('problems-same')
    const { journal } = about
    const night = (id: string, seconds: number) => {
      told(journal, { ...failed, reason: `backup ${id} was not written within ${seconds} s` })
      return dataProblems(journal, anyone)[0]?.fingerprint
    }
    expect(night('20261122T021400Z-0007-9f3c1a', 60)).toBe(night('20261123T021400Z-0008-0a1b2c', 61))
  })
})

describe('what the daemon says of it', () => {
  const emptyPass = { plan: { changes: [{ service: 'gitea', action: 'none', held: null }] } }
  const report = {
    operations: [],
    findings: [],
    findingsCommit: null,
    sourceProblem: null,
    commit: null,
    ...emptyPass,
  }

  async function listen(purpose: string) {
    const about = await openedJournal(purpose)
    let now = Date.UTC(2026, 10, 22, 3)
    const lines: string[] = []
    const log = makeLog({ level: 'info', write: (line) => void lines.push(line.slice(21)), now: () => now })
    const daemon = daemonLog({ log, journal: about.journal, now: () => now })
    return {
      ...about,
      lines,
      ended: (what: Told) => daemon.operationEnded(told(about.journal, what)),
      minutes(count: number): void {
        for (let minute = 0; minute < count; minute += 1) {
          now += 60_000
          daemon.passEnded(report as unknown as PassReport)
        }
      },
      [Symbol.asyncDispose]: () => about[Symbol.asyncDispose](),
    }
  }

  test('a backup, with its name, size, time and stores', async () => {
    await using ear = await listen('log-good')
    const backup = { id: 'b1', key: 'k', dataFrom: 1, bytes: 84_200_000, stores: ['file /a', 's3 b'] }
    ear.ended({ backup: 'b1', data: { backup, without: [{ store: 's3 c', said: 'denied' }] } })
    ear.ended({ kind: 'verify', backup: 'b1', level: 2 })
    expect(ear.lines.map((line) => line.replace(/ \(\d+-\d+-\w+\)$/, ''))).toEqual([
      'info backup of gitea: done after 5 ms: b1, 84.2 MB in file /a and s3 b',
      'warn backup of gitea: s3 c, which is not required, does not have it: denied',
      'info verification of gitea: b1 is good at level 2 after 5 ms',
    ])
  })

  test('a failure once, after an hour again, and when it is over', async () => {
    await using ear = await listen('log-bad')
    ear.ended(failed)
    ear.minutes(30)
    ear.ended({ ...failed, at: 2_000 })
    expect(ear.lines).toEqual(['error backup of gitea: file /a: the disk is full; next: Make room.'])
    ear.minutes(40)
    expect(ear.lines).toHaveLength(2)
    expect(ear.lines[1]).toMatch(/^error backup of gitea: still: .*\(since 2026-11-22T03:00:00.000Z\)$/)
    ear.ended({ backup: 'b1', at: 3_000, steps: [['prove backup', 'done']] })
    ear.minutes(70)
    expect(ear.lines.slice(2).map((line) => line.split(':')[1])).toEqual([
      ' done after 5 ms',
      ' it is well again',
    ])
  })

  test('a schedule that fails before it begins is told too', async () => {
    await using ear = await listen('log-round')
    ear.journal.beginRound(nightly, { now: 1, again: false })
    ear.journal.endRound('backup', 'failed: no store answers; next: Look.', 2)
    ear.minutes(5)
    ear.journal.endRound('backup', 'done', 3)
    ear.minutes(5)
    expect(ear.lines).toEqual([
      'error scheduled backup: no store answers; next: Look.',
      'info scheduled backup: it is well again',
    ])
  })
})
