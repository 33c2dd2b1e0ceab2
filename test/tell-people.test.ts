import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { JobIntent } from '../reconciler/journal/operation.ts'
import { reportOf } from '../reconciler/notify/report.ts'
import type { UpdateRecord } from '../reconciler/self-update/record.ts'
import { tellPeopleOfUpdate } from '../reconciler/tell-people.ts'
import { type Ended, type Notify, openPeople, type People } from './notify/people.ts'

const hour = 60 * 60_000
let people: People
const open = async (notify: Notify, other: { jobs?: string[]; isLooked?: boolean } = {}) => {
  people = await openPeople(notify, other)
  return people
}
afterEach(() => people[Symbol.asyncDispose]())

const ops: Notify = [
  { mail: ['ops@a'], on: ['applied', 'untouched', 'reverted', 'stuck', 'backup-failed', 'job-failed'] },
]
const job = (name: string): Partial<{ job: JobIntent }> => ({ job: { name } as JobIntent })
const failedBackup: Ended = {
  kind: 'backup',
  service: 'gitea',
  result: 'untouched',
  reason: 's3 bucket does not answer (try 3 of 3)',
}

describe('who is told', () => {
  test('whoever asked for that end, each address once however many entries name it', async () => {
    await open([
      { mail: ['a@a', 'b@b'], on: ['reverted'] },
      { mail: ['a@a'], on: ['reverted', 'applied'] },
      { webhook: 'https://chat.example.com/hooks/key', on: ['stuck', 'reverted'] },
      { mail: ['c@c'], on: ['stuck'] },
    ])
    people.told({ result: 'reverted' })
    expect(people.sent()).toEqual([
      'a@a: reverted web',
      'b@b: reverted web',
      'https://chat.example.com/***: reverted web',
    ])
    people.told({ service: 'db', result: 'applied' })
    people.told({ service: 'proxy', result: 'stuck' })
    people.told({ service: 'proxy', result: 'untouched' })
    expect(people.sent()).toEqual([
      'a@a: applied db',
      'https://chat.example.com/***: stuck proxy',
      'c@c: stuck proxy',
    ])
  })

  test('the address of a webhook is a secret: it is not in the journal', async () => {
    await open([{ webhook: 'https://alice:hunter2@chat.example.com/hooks/key-of-it', on: ['stuck'] }])
    people.told({ result: 'stuck' })
    expect(people.waiting()).toEqual(['https://chat.example.com/***: stuck web'])
    people.reopen()
    const bytes = ['journal.sqlite', 'journal.sqlite-wal'].map((name) => {
      try {
        return readFileSync(join(people.folder, name), 'latin1')
      } catch {
        return ''
      }
    })
    expect(bytes.join('')).toContain('chat.example.com')
    expect(bytes.join('')).not.toMatch(/key-of-it|hunter2/)
  })

  test('two webhooks of one server are two recipients', async () => {
    await open([
      { webhook: 'https://chat.example.com/one', on: ['stuck'] },
      { webhook: 'https://chat.example.com/two', on: ['stuck'] },
    ])
    people.told({ result: 'stuck' })
    expect(people.waiting()).toHaveLength(2)
  })

  test('what ended before anybody was named is nobody’s news, also not a day later', async () => {
    await open([])
    people.told({ result: 'reverted' })
    people.pause(hour)
    people.look(ops)
    people.pass()
    expect(people.waiting()).toEqual([])
  })
})

test('what a release did that could not tell is not told by the one after it', async () => {
  await open(ops, { isLooked: false })
  people.told({ result: 'reverted' })
  people.pause(60_000)
  people.look()
  people.pass()
  expect(people.sent()).toEqual([])
  people.told({ service: 'db', result: 'reverted' })
  expect(people.sent()).toEqual(['ops@a: reverted db'])
})

describe('once', () => {
  test('an end is told at once, and not again by the pass it belongs to, nor after a restart', async () => {
    await open(ops)
    people.told({ result: 'applied', from: '1.0.0', to: '1.1.0' })
    people.tell()
    people.pass()
    people.reopen()
    people.pass()
    expect(people.sent()).toEqual(['ops@a: applied web'])
    people.pass()
    expect(people.waiting()).toEqual([])
  })

  test('an end that a killed process could not tell is made up by the next pass', async () => {
    await open(ops)
    people.ended({ result: 'reverted' })
    people.reopen()
    people.pass([{ action: 'replace', held: 'quarantined: ...' }])
    expect(people.sent()).toEqual(['ops@a: reverted web'])
  })

  test('a failure that comes again is the same one for a day, another one is told', async () => {
    await open(ops)
    for (let tries = 0; tries < 20; tries += 1) {
      people.told({ result: 'untouched', reason: `registry is away, ${tries}` })
      people.pause(hour)
    }
    expect(people.sent()).toEqual(['ops@a: untouched web'])
    people.told({ result: 'untouched', to: '3.0.0' })
    expect(people.sent()).toEqual(['ops@a: untouched web'])
  })

  test('one that lasts is told once a day, with since when', async () => {
    await open(ops)
    const began = people.now()
    for (let hours = 0; hours < 60; hours += 1) {
      people.told({ result: 'untouched' })
      people.pause(hour)
    }
    expect(people.waiting()).toEqual([
      'ops@a: untouched web',
      'ops@a: still untouched web',
      'ops@a: still untouched web',
    ])
    expect(people.news().map((each) => each.since)).toEqual([null, began + 1_000, began + 1_000])
  })

  test('a drift that is put right is nobody’s news, one that cannot be put right is', async () => {
    await open(ops)
    people.told({ kind: 'start', result: 'applied', intent: { drift: true } })
    expect(people.sent()).toEqual([])
    people.told({ kind: 'start', result: 'untouched', intent: { drift: true } })
    expect(people.sent()).toEqual(['ops@a: untouched web'])
  })
})

describe('that it is over', () => {
  test('is told to whoever was told of the failure, once, also by another process', async () => {
    await open([
      { mail: ['a@a'], on: ['reverted'] },
      { mail: ['b@b'], on: ['stuck', 'applied'] },
    ])
    people.told({ result: 'reverted', to: '2.0.0' })
    expect(people.sent()).toEqual(['a@a: reverted web'])
    people.reopen()
    people.told({ result: 'applied', to: '2.0.1' })
    expect(people.sent()).toEqual(['a@a: recovered web', 'b@b: applied web'])
    people.told({ result: 'applied', to: '2.0.2' })
    people.pass()
    expect(people.sent()).toEqual(['b@b: applied web'])
  })

  test('takes the place of `applied` for the same reader', async () => {
    await open(ops)
    people.told({ result: 'stuck' })
    people.told({ result: 'applied', to: '2.0.1' })
    expect(people.sent()).toEqual(['ops@a: stuck web', 'ops@a: recovered web'])
  })

  test('is told when Git went back to what runs, not while it still asks for what failed', async () => {
    await open(ops)
    people.told({ result: 'reverted' })
    people.sent()
    people.pass([{ action: 'replace', held: 'quarantined: it failed' }])
    people.told({ kind: 'start', result: 'applied', intent: { drift: true } })
    people.pass([{ action: 'replace', held: 'quarantined: it failed' }])
    expect(people.sent()).toEqual([])
    people.pass([{ action: 'none' }])
    people.pass([{ action: 'none' }])
    expect(people.sent()).toEqual(['ops@a: recovered web'])
  })

  test('is told of a service that left the desired state', async () => {
    await open(ops)
    people.told({ result: 'untouched' })
    people.sent()
    people.pass([{ service: 'db' }])
    expect(people.sent()).toEqual(['ops@a: recovered web'])
  })

  test('is not told to somebody who is not named any more, nor a second time when he is again', async () => {
    await open(ops)
    people.told({ result: 'reverted' })
    people.sent()
    people.look([])
    people.pass([{ action: 'none' }])
    people.look(ops)
    people.pass([{ action: 'none' }])
    expect(people.sent()).toEqual([])
  })

  test('the same failure after that is told anew', async () => {
    await open(ops)
    for (let times = 0; times < 2; times += 1) {
      people.told({ result: 'reverted' })
      people.told({ result: 'applied' })
    }
    expect(people.sent()).toEqual([
      'ops@a: reverted web',
      'ops@a: recovered web',
      'ops@a: reverted web',
      'ops@a: recovered web',
    ])
  })

  test('belongs to the message that told of the failure', async () => {
    await open(ops)
    people.told({ result: 'reverted' })
    const [first] = people.journal.waitingNotifications()
    people.told({ result: 'applied' })
    const [, second] = people.journal.waitingNotifications()
    expect(JSON.parse(second?.content ?? '')).toMatchObject({ after: first?.id })
  })
})

describe('a service that is stuck', () => {
  const held = { action: 'replace' as const, held: 'stuck: a person must look' }

  test('is told of once a day until somebody has come', async () => {
    await open(ops)
    const { id } = people.told({ result: 'stuck' })
    for (let hours = 0; hours < 30; hours += 1) {
      people.pass([held])
      people.pause(hour)
    }
    expect(people.sent()).toEqual(['ops@a: stuck web', 'ops@a: still stuck web'])
    people.journal.retry('web')
    expect(people.journal.isRetried(id)).toBe(true)
    people.pause(50 * hour)
    people.pass([held])
    expect(people.sent()).toEqual([])
  })
})

describe('backups', () => {
  test('one that fails is told once a night, and that it is over when one is good', async () => {
    await open(ops)
    people.told(failedBackup)
    people.told({ ...failedBackup, reason: 's3 bucket does not answer (try 2 of 3)' })
    expect(people.sent()).toEqual(['ops@a: backup-failed backup of gitea'])
    people.pause(24 * hour)
    people.told(failedBackup)
    people.pass([{ service: 'gitea' }])
    expect(people.sent()).toEqual(['ops@a: still backup-failed backup of gitea'])
    people.told({ kind: 'backup', service: 'gitea', result: 'applied', backup: 'b1' })
    people.told({ kind: 'backup', service: 'gitea', result: 'applied', backup: 'b2' })
    people.pass([{ service: 'gitea' }])
    expect(people.sent()).toEqual(['ops@a: recovered backup of gitea'])
  })

  test('that one was taken, verified or restored is nobody’s news', async () => {
    await open(ops)
    for (const kind of ['backup', 'verify', 'restore'] as const)
      people.told({ kind, service: 'gitea', result: 'applied', backup: 'b1' })
    people.told({ kind: 'restore', service: 'gitea', result: 'untouched' })
    people.pass([{ service: 'gitea' }])
    expect(people.sent()).toEqual([])
  })

  test('a verification that fails and a restore that gets stuck are told', async () => {
    await open(ops)
    people.told({ kind: 'verify', service: 'gitea', result: 'untouched', reason: 'b1 is damaged: ...' })
    people.told({ kind: 'restore', service: 'gitea', result: 'stuck', reason: 'half' })
    expect(people.sent()).toEqual([
      'ops@a: backup-failed verification of gitea',
      'ops@a: stuck restore of gitea',
    ])
  })

  test('one before an update that fails is told as that to whoever asked for nothing else', async () => {
    await open([
      { mail: ['a@a'], on: ['backup-failed'] },
      { mail: ['b@b'], on: ['untouched', 'backup-failed'] },
    ])
    people.told({
      result: 'untouched',
      reason: 'the store is away',
      steps: [
        ['preflight', 'done'],
        ['back up', 'failed', 'the store is away'],
      ],
    })
    expect(people.sent()).toEqual(['a@a: backup-failed web', 'b@b: untouched web'])
  })

  test('a schedule that came to nothing is told, and its end', async () => {
    await open(ops)
    const schedule = { expression: '0 2 * * *', timezone: 'UTC' }
    const round = (result: string) => {
      people.journal.beginRound(
        { name: 'backup', dueAt: people.now(), schedule },
        { now: people.now(), again: false },
      )
      people.journal.endRound('backup', result, people.now())
      people.pass([{ service: 'gitea' }])
    }
    round('failed: no store answers; next: samovar doctor tries every store')
    round('failed: no store answers; next: samovar doctor tries every store')
    expect(people.news()).toMatchObject([
      { happened: 'no store answers', next: ['samovar doctor tries every store.'] },
    ])
    expect(people.sent()).toEqual(['ops@a: backup-failed scheduled backup'])
    round('done')
    expect(people.sent()).toEqual(['ops@a: recovered scheduled backup'])
  })
})

describe('jobs', () => {
  const run = (result: 'applied' | 'untouched') =>
    people.told({ kind: 'job', service: 'certbot', result, reason: 'it ended with 1', intent: job('renew') })

  test('one that fails is told once, and its end; one that succeeds is nobody’s news', async () => {
    await open(ops, { jobs: ['renew'] })
    run('applied')
    run('untouched')
    run('untouched')
    people.pass()
    expect(people.sent()).toEqual(['ops@a: job-failed job renew'])
    run('applied')
    run('applied')
    expect(people.sent()).toEqual(['ops@a: recovered job renew'])
  })

  test('one that was stopped for a newer commit, or by the end of the process, has not failed', async () => {
    await open(ops, { jobs: ['renew'] })
    const cut = { name: 'renew', cutShort: true } as JobIntent
    people.told({ kind: 'job', service: 'certbot', result: 'untouched', intent: { job: cut } })
    expect(people.sent()).toEqual([])
  })

  test('one that was taken out of host.yaml is over', async () => {
    await open(ops, { jobs: ['renew'] })
    run('untouched')
    people.sent()
    people.look(ops, [])
    people.pass()
    expect(people.sent()).toEqual(['ops@a: recovered job renew'])
  })
})

describe('an update of Samovar itself', () => {
  const record: UpdateRecord = {
    phase: 'going-back',
    from: '1.0.0',
    to: '1.1.0',
    previous: null,
    before: 'ready',
    startedAt: 0,
    endedAt: null,
    reason: 'version 1.1.0 is not ready, 3 min after the restart',
  }
  const tellUpdate = (changed: Partial<UpdateRecord> | null) =>
    tellPeopleOfUpdate(people, changed === null ? null : { ...record, startedAt: people.now(), ...changed })

  test('that went back is told once, to whoever is told what was reverted', async () => {
    await open([
      { mail: ['a@a'], on: ['reverted'] },
      { mail: ['b@b'], on: ['stuck', 'applied'] },
    ])
    const startedAt = people.now()
    tellUpdate(null)
    tellUpdate({ phase: 'judging' })
    expect(people.waiting()).toEqual([])
    tellUpdate({ startedAt })
    const [news] = people.news()
    expect(people.sent()).toEqual(['a@a: reverted samovar'])
    for (let hours = 0; hours < 30; hours += 1) {
      tellUpdate({ startedAt, phase: 'reverted', endedAt: startedAt + 20_000 })
      people.pass()
      people.pause(hour)
      people.reopen()
    }
    expect(people.waiting()).toEqual([])
    tellUpdate({})
    expect(people.sent()).toEqual(['a@a: reverted samovar'])
    const none = { operation: null, commit: null, pullRequest: null }
    expect(news === undefined ? '' : reportOf(news, none).text).toMatch(
      /^samovar reverted: what ran before runs again\n[^]*to 1\.1\.0 went back to 1\.0\.0: version 1\.1\.0 is not ready/,
    )
  })

  test('that is stuck is told as such, also after it was told that it goes back', async () => {
    await open([{ mail: ['a@a'], on: ['reverted', 'stuck'] }])
    const startedAt = people.now()
    tellUpdate({ startedAt })
    tellUpdate({ startedAt, phase: 'stuck', endedAt: startedAt + 1_000 })
    tellUpdate({ startedAt, phase: 'stuck', endedAt: startedAt + 1_000 })
    expect(people.sent()).toEqual(['a@a: reverted samovar', 'a@a: stuck samovar'])
  })

  test('of long ago, or of before anybody was named, is nobody’s news', async () => {
    await open(ops)
    tellUpdate({ startedAt: people.now() - 1 })
    people.pause(25 * hour)
    tellUpdate({ startedAt: people.now() - 25 * hour, phase: 'reverted' })
    expect(people.waiting()).toEqual([])
  })
})
