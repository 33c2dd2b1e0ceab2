import { describe, expect, test } from 'vitest'
import { openConsole } from '../reconciler/cli/console.ts'
import { jobEndLines, jobsTable } from '../reconciler/cli/job-lines.ts'
import { daemonLog } from '../reconciler/daemon-log.ts'
import { hostOf, type JobFile } from '../reconciler/desired-state/policies.ts'
import type { Job } from '../reconciler/desired-state.ts'
import { jobStatuses, knownJobs } from '../reconciler/job-status.ts'
import { heldJob } from '../reconciler/jobs.ts'
import type { Operation } from '../reconciler/journal/operation.ts'
import { everyService } from '../reconciler/journal/standing.ts'
import type { Journal } from '../reconciler/journal.ts'
import { makeLog } from '../reconciler/log.ts'
import { roundOfJob } from '../reconciler/plan/rounds.ts'
import type { PassReport } from '../reconciler/reconcile.ts'
import { operationLines, whatInWords } from '../reconciler/shown-operation.ts'
import { openedJournal, told } from './journal/told-operations.ts'

const quiet = { write: () => {} }
const console = openConsole({ json: false, stdout: quiet, stderr: quiet })
const weekly = { expression: '30 3 * * 0', timezone: 'Europe/Berlin' }

/** As it is read from the file; an object of the code with such a key would look like a promise. */
const after = JSON.parse(
  '{"then":{"reload":"nginx","ifChanged":{"volume":"certificates"}}}',
) as Partial<JobFile>

const host = hostOf({
  name: 'git.example.com',
  project: 'gitea',
  compose: ['compose.yaml'],
  timezone: weekly.timezone,
  jobs: {
    renew: {
      schedule: weekly.expression,
      run: { service: 'certbot', command: ['renew', '--token=hunter2'] },
      ...after,
    },
  },
})
const renew = host.jobs['renew'] as Job

/** Writes a run of the job `renew` into the journal as if it had happened. */
function ran(
  journal: Journal,
  about: { result?: 'applied' | 'untouched'; reason?: string; at?: number } = {},
) {
  const operation = told(journal, { kind: 'job', service: 'certbot', ...about })
  const job = { name: 'renew', byHand: false, timeout: 1, reload: [], restart: [], watched: null }
  operation.intent.job = { ...job, imageId: null, exitCode: null, cutShort: false }
  delete operation.intent.data
  journal.saveOperation(operation)
  return operation
}

describe('a person holds jobs', () => {
  test('with a pause of everything, or of a service that the job runs, reloads or restarts', () => {
    expect(heldJob([], renew)).toBeNull()
    expect(heldJob(['gitea'], renew)).toBeNull()
    expect(heldJob([everyService], renew)).toBe('everything is paused by a person; next: samovar resume')
    expect(heldJob(['certbot'], renew)).toContain('certbot is paused')
    expect(heldJob(['nginx'], renew)).toBe('nginx is paused by a person; next: samovar resume nginx')
  })
})

describe('what is seen of jobs', () => {
  const now = Date.parse('2026-11-23T11:00:00Z')

  test('when it runs next, on the clock of the host, and how it went; never its command', async () => {
    await using about = await openedJournal('jobs-seen')
    const failed = ran(about.journal, {
      result: 'untouched',
      reason: 'exit code 1 after 12 s: no',
      at: now - 60_000,
    })
    const [status] = jobStatuses(knownJobs(host), about.journal, now)
    expect(status).toEqual({
      name: 'renew',
      service: 'certbot',
      schedule: '30 3 * * 0',
      timezone: 'Europe/Berlin',
      next: '2026-11-29T02:30:00.000Z',
      held: null,
      last: {
        operation: failed.id,
        result: 'untouched',
        startedAt: '2026-11-23T10:59:00.000Z',
        finishedAt: '2026-11-23T10:59:00.005Z',
        ms: 5,
        byHand: false,
        reason: 'exit code 1 after 12 s: no',
      },
      lastSuccess: null,
    })
    expect(JSON.stringify([knownJobs(host), status])).not.toContain('hunter2')
    const lines = jobsTable(console, status === undefined ? [] : [status], now)
    expect(lines.map((line) => line.replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/, 'SUNDAY'))).toEqual([
      'JOB    SERVICE  SCHEDULE    NEXT                 LAST      RESULT  TOOK',
      'renew  certbot  30 3 * * 0  SUNDAY  60 s ago  failed  5 ms',
      '  exit code 1 after 12 s: no',
      `  next: samovar show ${failed.id}, then samovar job renew`,
    ])
  })

  test('a success is called so, and the last one is known after a failure', async () => {
    await using about = await openedJournal('jobs-success')
    ran(about.journal, { at: now - 120_000 })
    const [good] = jobStatuses(knownJobs(host), about.journal, now)
    expect(jobsTable(console, good === undefined ? [] : [good], now)[1]).toContain('succeeded')
    ran(about.journal, { result: 'untouched', reason: 'exit code 1', at: now - 60_000 })
    expect(jobStatuses(knownJobs(host), about.journal, now)[0]).toMatchObject({
      last: { result: 'untouched' },
      lastSuccess: '2026-11-23T10:58:00.005Z',
    })
  })

  test('a run is no roll-out: it neither hides one nor stands for one', async () => {
    await using about = await openedJournal('jobs-roll-out')
    const rollOut = told(about.journal, { kind: 'replace', service: 'certbot', result: 'stuck' })
    ran(about.journal)
    expect(about.journal.lastRollOut('certbot')?.id).toBe(rollOut.id)
  })

  test('one operation, in the words of a job', async () => {
    await using about = await openedJournal('jobs-shown')
    const { journal } = about
    const good = ran(journal, { reason: 'reloaded nginx: healthy after 1 s' })
    expect(whatInWords(console, good)).toBe('certbot: job renew')
    expect(operationLines(console, good, [])[0]).toBe('certbot: job renew: succeeded')
    expect(jobEndLines(console, good)).toEqual([
      'job renew: succeeded after 5 ms',
      '  reloaded nginx: healthy after 1 s',
    ])
    const bad = ran(journal, { result: 'untouched', reason: 'it needs dns; next: samovar status' })
    expect(jobEndLines(console, bad)).toEqual([
      'job renew: failed after 5 ms',
      '  it needs dns',
      '  next: samovar status',
    ])
  })
})

describe('what the daemon says of a job', () => {
  async function listen(purpose: string) {
    const about = await openedJournal(purpose)
    let now = Date.UTC(2026, 10, 22, 3)
    const lines: string[] = []
    const log = makeLog({ level: 'info', write: (line) => void lines.push(line.slice(21)), now: () => now })
    const daemon = daemonLog({ log, journal: about.journal, now: () => now })
    const report = { operations: [], findings: [], findingsCommit: null, sourceProblem: null, commit: null }
    about.journal.beginRound(
      { name: roundOfJob('renew'), dueAt: 1, schedule: weekly },
      { now: 1, again: false },
    )
    return {
      ...about,
      lines,
      ended: (operation: Operation) => daemon.operationEnded(operation),
      minutes(count: number): void {
        for (let minute = 0; minute < count; minute += 1) {
          now += 60_000
          daemon.passEnded({ ...report, plan: { changes: [] } } as unknown as PassReport)
        }
      },
      [Symbol.asyncDispose]: () => about[Symbol.asyncDispose](),
    }
  }
  const failure = (seconds: number) => ({
    result: 'untouched' as const,
    reason: `exit code 1 after ${seconds} s: the server says no`,
  })

  test('a failure once, after an hour again, and when it is over', async () => {
    await using ear = await listen('jobs-log')
    const failed = ran(ear.journal, failure(12))
    ear.ended(failed)
    ear.minutes(30)
    ear.ended(ran(ear.journal, { ...failure(13), at: 2_000 }))
    expect(ear.lines).toEqual([
      `error job renew: failed: exit code 1 after 12 s: the server says no; next: samovar show ${failed.id}, then samovar job renew`,
    ])
    ear.minutes(40)
    expect(ear.lines).toHaveLength(2)
    expect(ear.lines[1]).toContain('error job renew: still: failed: exit code 1')
    const good = ran(ear.journal, { reason: 'reloaded nginx: healthy after 1 s', at: 3_000 })
    ear.ended(good)
    ear.minutes(70)
    expect(ear.lines.slice(2)).toEqual([
      `info job renew: succeeded after 5 ms: reloaded nginx: healthy after 1 s (${good.id})`,
      'info job renew: it is well again',
    ])
  })

  test('a job that left the desired state is nobody`s problem any more', async () => {
    await using ear = await listen('jobs-gone')
    ear.ended(ran(ear.journal, failure(12)))
    ear.journal.forgetRound(roundOfJob('renew'))
    ear.minutes(120)
    expect(ear.lines.slice(1)).toEqual(['info job renew: it is no longer in the desired state'])
  })
})
