import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { newMemory } from '../reconciler/look.ts'
import { notifyBriefly } from '../reconciler/notify-work.ts'
import { notificationProblems, notificationsOf } from '../reconciler/waiting-notifications.ts'
import { serve } from './health/servers.ts'
import { type Notify, openPeople, type People } from './notify/people.ts'
import { mailTo, startSending } from './notify/sending.ts'
import { type MailServer, startMailServer } from './rig/mail-server.ts'
import { run } from './rig/process.ts'
import { freePort } from './rig/registry.ts'
import { until } from './rig/until.ts'

const ops: Notify = [{ mail: ['ops@example.com'], on: ['applied', 'reverted', 'stuck', 'backup-failed'] }]
let server: MailServer
let people: People
beforeEach(async () => {
  server = await startMailServer()
})
afterEach(async () => {
  await people[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

const subjects = () => server.mails.map((mail) => mail.subject)
const arrived = (count: number, withinMs = 10_000) =>
  until(`${count} mails`, () => server.mails.length >= count, { withinMs })
/** Five things that happen to a host. */
function week(): void {
  people.told({ service: 'web', result: 'reverted', from: '1.0.0', to: '2.0.0' })
  people.told({ service: 'web', result: 'applied', from: '1.0.0', to: '2.0.1' })
  people.told({ service: 'db', result: 'applied', from: '17.1', to: '17.2' })
  people.told({ service: 'proxy', result: 'stuck', from: '1.28.0', to: '1.28.1' })
  people.told({ kind: 'backup', service: 'gitea', result: 'untouched', reason: 's3 bucket does not answer' })
  people.tell()
  people.pass([
    { service: 'proxy', action: 'replace', held: 'stuck: ...' },
    { service: 'web' },
    { service: 'gitea' },
  ])
}
const itsSubjects = [
  '[git.example.com] web reverted: 2.0.0 failed, 1.0.0 runs again',
  '[git.example.com] web recovered: 2.0.1 runs',
  '[git.example.com] db applied: 17.1 -> 17.2',
  '[git.example.com] proxy stuck: 1.28.0 -> 1.28.1, a person must look',
  '[git.example.com] backup of gitea failed',
]

describe('mails', () => {
  test('of reverted, recovered, applied, stuck and backup-failed arrive once each, in their order', async () => {
    people = await openPeople(ops)
    await using sending = startSending(people, mailTo(server))
    week()
    await until('all is sent', () => people.journal.waitingNotifications().length === 0, { withinMs: 10_000 })
    expect(subjects()).toEqual(itsSubjects)
    expect(new Set(server.mails.map((mail) => mail.id)).size).toBe(5)
    expect(server.mails[1]?.inReplyTo).toBe(server.mails[0]?.id)
    expect(sending.heard.sent).toHaveLength(5)
    expect(notificationsOf(people.journal)).toMatchObject({ waiting: 0, problem: null, sent: 5, failed: 0 })
  })

  test('arrive once each too when the server was down for the first tries', async () => {
    people = await openPeople(ops)
    const port = await freePort()
    await using sending = startSending(people, mailTo({ port }))
    week()
    await until('a try has failed', () => people.journal.notificationCounts().failed > 0, {
      withinMs: 10_000,
    })
    expect(notificationProblems(people.journal)).toMatchObject([
      {
        about: 'mail ops@example.com',
        message: expect.stringMatching(/^5 messages wait since .*ECONNREFUSED/),
      },
    ])
    await using back = await startMailServer({ port })
    people.pause(2_500)
    await until('five mails', () => back.mails.length >= 5, { withinMs: 10_000 })
    await until('all is sent', () => people.journal.waitingNotifications().length === 0, { withinMs: 5_000 })
    expect(back.mails.map((mail) => mail.subject)).toEqual(itsSubjects)
    expect(sending.heard.problems[0]).toMatch(
      /^notify mail ops@example.com: "web reverted" waits: .*; next: /,
    )
    expect(sending.heard.well).toContain('notify mail ops@example.com')
  })

  test.each(['between the answer and its record', 'before the answer'])(
    'arrive at least once, and as the same message, when the process was killed %s',
    async (moment) => {
      people = await openPeople(ops)
      people.told({ result: 'reverted' })
      const environment = { ...process.env, ...mailTo(server), STATE_DIR: people.folder }
      const child = (more: Record<string, string> = {}) =>
        run(process.execPath, [join(import.meta.dirname, 'notify/send-and-die.ts')], {
          env: { ...environment, ...more },
          timeoutMs: moment === 'before the answer' && more['DIE'] === undefined ? 3_000 : 20_000,
        })
      // What it has taken and never answers: the child is killed while it waits.
      if (moment === 'before the answer') server.hang('after the mail')
      expect((await child()).exitCode).toBe(137)
      expect(server.mails).toHaveLength(1)
      server.hang('never')
      expect((await child({ DIE: 'never' })).exitCode).toBe(0)
      expect(server.mails).toHaveLength(2)
      expect(server.mails[1]?.id).toBe(server.mails[0]?.id)
      expect(server.mails[1]?.id).toMatch(/^[0-9a-f]{32}@git\.example\.com$/)
      expect((await child({ DIE: 'never' })).exitCode).toBe(0)
      expect(server.mails).toHaveLength(2)
    },
  )

  test('for others come at once when one address is refused, and that one waits by itself', async () => {
    people = await openPeople([
      { mail: ['gone@example.com', 'ops@example.com'], on: ['reverted', 'applied'] },
    ])
    server.refuse({ 'gone@example.com': 550 })
    await using sending = startSending(people, mailTo(server))
    people.told({ result: 'reverted' })
    await arrived(1)
    people.told({ service: 'db', result: 'applied' })
    await arrived(2)
    expect(server.mails.flatMap((mail) => mail.to)).toEqual(['ops@example.com', 'ops@example.com'])
    await until('it was refused', () => sending.heard.problems.length >= 2, { withinMs: 5_000 })
    expect(notificationProblems(people.journal)).toMatchObject([
      {
        about: 'mail gone@example.com',
        message: expect.stringContaining('550'),
        next: expect.stringContaining('`notify`'),
      },
    ])
    server.refuse({})
    people.pause(5_000)
    await arrived(4)
    expect(server.mails.slice(2).map((mail) => mail.to)).toEqual([['gone@example.com'], ['gone@example.com']])
  })

  test('to an address that was taken out of host.yaml are given up, and that is said', async () => {
    people = await openPeople([{ mail: ['typo@example.com'], on: ['reverted'] }])
    server.refuse({ 'typo@example.com': 550 })
    await using sending = startSending(people, mailTo(server))
    people.told({ result: 'reverted' })
    await until('it was refused', () => sending.heard.problems.length > 0, { withinMs: 5_000 })
    people.look(ops)
    people.pause(60_000)
    await until('it is given up', () => sending.heard.gaveUp[0], { withinMs: 5_000 })
    expect(sending.heard.gaveUp).toEqual([
      '"web reverted" to mail typo@example.com: host.yaml does not name it any more',
    ])
    expect(notificationsOf(people.journal)).toMatchObject({ waiting: 0, givenUp: 1 })
  })

  test('that nobody takes are given up after two weeks, and that is said', async () => {
    people = await openPeople(ops)
    server.refuse({ 'ops@example.com': 550 })
    await using sending = startSending(people, mailTo(server))
    people.told({ result: 'reverted' })
    for (let tries = 0; tries < 14; tries += 1) {
      const before = sending.heard.problems.length
      await until('a try', () => sending.heard.problems.length > before || sending.heard.gaveUp.length > 0, {
        withinMs: 5_000,
      })
      people.pause(26 * 60 * 60_000)
    }
    await until('it is given up', () => sending.heard.gaveUp[0], { withinMs: 5_000 })
    expect(sending.heard.gaveUp[0]).toMatch(/^"web reverted" to mail ops@example.com: .*550/)
  }, 30_000)

  test('without a way for mail wait, and say what to set', async () => {
    people = await openPeople(ops)
    await using sending = startSending(people, {})
    people.told({ result: 'reverted' })
    await until('that is said', () => sending.heard.problems[0], { withinMs: 5_000 })
    expect(sending.heard.problems[0]).toContain('SMTP_URL is not set')
    expect(notificationProblems(people.journal)[0]?.next).toMatch(/^Set SMTP_URL and SMTP_FROM/)
  })
})

test('a webhook that hangs keeps no mail waiting, and gets its document when it answers', async () => {
  const bodies: string[] = []
  let hangs = true
  await using hook = await serve((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      bodies.push(body)
      if (!hangs) response.end()
    })
  })
  people = await openPeople([{ webhook: `${hook.url}/key`, on: ['reverted'] }, ...ops])
  await using _sending = startSending(people, mailTo(server))
  people.told({ result: 'reverted', reason: 'health check failed' })
  await until('it was called', () => bodies.length === 1, { withinMs: 5_000 })
  await arrived(1)
  hangs = false
  expect(JSON.parse(bodies[0] ?? '')).toMatchObject({
    event: 'reverted',
    host: 'git.example.com',
    about: 'web',
    happened: 'health check failed',
    operation: { result: 'reverted', from: { tag: '1.0.0' }, to: { tag: '2.0.0' } },
  })
})

describe('a verb that did the work itself', () => {
  const briefly = async (longest: number) => {
    await using sending = startSending(people, mailTo(server))
    // The verb, and no daemon beside it.
    const { parts } = sending
    await sending[Symbol.asyncDispose]()
    const host = { state: { host: people.host } }
    const source = { lastGood: () => ({ commit: 'c' }) }
    const memory = { ...newMemory(), loaded: new Map([['c', host]]) } as unknown as ReturnType<
      typeof newMemory
    >
    const stopping = new AbortController().signal
    return notifyBriefly({ ...parts, source } as unknown as typeof parts, { memory, stopping, longest })
  }

  test('tells people before it ends', async () => {
    people = await openPeople(ops)
    people.told({ result: 'reverted' })
    expect(await briefly(10_000)).toEqual({ waiting: 0, problem: '' })
    expect(subjects()).toEqual([itsSubjects[0]])
  })

  test('is kept no longer than that by a server that hangs, and nothing is lost', async () => {
    people = await openPeople(ops)
    people.told({ result: 'reverted' })
    server.hang('at the greeting')
    const began = performance.now()
    expect(await briefly(400)).toEqual({ waiting: 1, problem: 'not all could be told within 400 ms' })
    expect(performance.now() - began).toBeLessThan(3_000)
  })
})
