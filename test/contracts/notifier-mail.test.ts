import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mailNotifier } from '../../reconciler/notify/mail.ts'
import type { SmtpRoute } from '../../reconciler/notify/mail-route.ts'
import { secretOf } from '../../reconciler/settings.ts'
import { type OwnAuthority, ownAuthority } from '../health/servers.ts'
import { type MailServer, startMailServer } from '../rig/mail-server.ts'
import { until } from '../rig/until.ts'
import { notifierContract } from './notifier.ts'

const password = 'hunter2-of-the-mail'
const from = { name: 'Samovar', address: 'samovar@example.com' }
let authority: OwnAuthority
beforeAll(async () => {
  authority = await ownAuthority()
})
afterAll(() => authority[Symbol.asyncDispose]())

const routeTo = (server: { port: number }, other: Partial<SmtpRoute> = {}): SmtpRoute => ({
  kind: 'smtp',
  host: 'localhost',
  port: server.port,
  tls: 'starttls',
  ca: join(authority.root, 'ca.pem'),
  login: { user: 'samovar', password: secretOf(password) },
  ...other,
})
const login = { user: 'samovar', password }
const withTls = (implicit: boolean) => startMailServer({ login, tls: { authority, implicit } })

const under = (implicit: boolean) => async () => {
  const server = await withTls(implicit)
  server.refuse({ 'nobody@example.com': 550 })
  return {
    notifier: mailNotifier(routeTo(server, { tls: implicit ? 'implicit' : 'starttls' }), from),
    to: 'ops@example.com',
    refusedTo: 'nobody@example.com',
    secret: password,
    arrived: () =>
      server.mails.map(({ id, subject, text, headers, to }) => ({
        id,
        subject,
        text,
        event: headers.find(([name]) => name === 'X-Samovar-Event')?.[1] ?? '',
        recipients: to.length + headers.filter(([name]) => /^(bcc|cc)$/i.test(name)).length,
      })),
    hang: () => server.hang('after the mail'),
    goAway: async () => server[Symbol.asyncDispose](),
    connections: () => server.connections(),
    cleanUp: () => server[Symbol.asyncDispose](),
  }
}

notifierContract('mail with STARTTLS', under(false))
notifierContract('mail with TLS from the first byte', under(true))

const signal = new AbortController().signal
const delivery = {
  id: 'a@host.example.com',
  about: 'before@host.example.com',
  to: 'ops@example.com',
  at: Date.UTC(2026, 10, 22, 3, 15),
  subject: 'subject',
  text: 'text',
  html: '<p>html</p>',
  document: { event: 'stuck', host: 'host.example.com' },
}

async function refused(act: Promise<unknown>): Promise<{ code: string; message: string; next: string }> {
  return act.then(
    () => {
      throw new Error('nothing failed')
    },
    (error: unknown) => error as { code: string; message: string; next: string },
  )
}

describe('a mail', () => {
  test('comes through TLS with a login, from the address that was set, and asks nobody to answer', async () => {
    await using server = await withTls(false)
    await mailNotifier(routeTo(server), from).send(delivery, signal)
    const [mail] = server.mails
    expect(mail).toMatchObject({
      tls: true,
      login: 'samovar',
      from: 'samovar@example.com',
      to: [delivery.to],
    })
    expect(mail?.inReplyTo).toBe('before@host.example.com')
    const headers = Object.fromEntries(mail?.headers ?? [])
    expect(headers).toMatchObject({
      From: 'Samovar <samovar@example.com>',
      To: 'ops@example.com',
      'Auto-Submitted': 'auto-generated',
      'X-Samovar-Delivery': delivery.id,
      Date: expect.stringContaining('22 Nov 2026 03:15'),
    })
    expect(mail?.text.trim()).toBe('text')
    expect(mail?.html).toContain('<p>html</p>')
  })

  test('goes nowhere without TLS when the server offers none', async () => {
    await using server = await startMailServer({ login })
    const error = await refused(mailNotifier(routeTo(server), from).send(delivery, signal))
    expect(error.code).toBe('notify-unreachable')
    expect(error.next).toContain('smtps://')
    expect(server.mails).toEqual([])
  })

  test('goes nowhere when the certificate is not one to trust', async () => {
    await using server = await withTls(true)
    const route = routeTo(server, { tls: 'implicit', ca: null })
    const error = await refused(mailNotifier(route, from).send(delivery, signal))
    expect(error).toMatchObject({
      code: 'notify-unreachable',
      message: expect.stringMatching(/certificate/i),
    })
    expect(error.next).toContain('?ca=/path')
    expect(server.mails).toEqual([])
  })

  test('goes in plain text where the address says so', async () => {
    await using server = await startMailServer()
    await mailNotifier(routeTo(server, { tls: 'none', login: null, ca: null }), from).send(delivery, signal)
    expect(server.mails).toMatchObject([{ tls: false, login: null }])
  })

  test('that one recipient never gets is his matter; a login that is not taken is that of all', async () => {
    await using server = await withTls(false)
    server.refuse({ 'ops@example.com': 450 })
    const notifier = mailNotifier(routeTo(server), from)
    expect(await refused(notifier.send(delivery, signal))).toMatchObject({ code: 'notify-refused' })
    const wrong = { user: 'samovar', password: secretOf('another-password') }
    const error = await refused(mailNotifier(routeTo(server, { login: wrong }), from).send(delivery, signal))
    expect(error).toMatchObject({
      code: 'notify-unreachable',
      message: expect.stringContaining('535'),
      next: 'Correct user and password in SMTP_URL.',
    })
    expect(JSON.stringify(error) + error.message).not.toContain('another-password')
  })
})

describe('a check', () => {
  test('proves connection, TLS and login, and sends nothing', async () => {
    await using server = await withTls(false)
    const said = await mailNotifier(routeTo(server), from).check(signal)
    expect(said).toBe(`the mail server localhost:${server.port} answers through TLS and takes the login`)
    expect(server.mails).toEqual([])
    await until('no connection is open', () => server.connections() === 0, { withinMs: 3_000 })
  })

  test('finds a login that is not taken, and a server that never greets when it is told to stop', async () => {
    await using server: MailServer = await withTls(false)
    const wrong = { user: 'samovar', password: secretOf('wrong') }
    const error = await refused(mailNotifier(routeTo(server, { login: wrong }), from).check(signal))
    expect(error.message).toContain('535')
    server.hang('at the greeting')
    const stopping = new AbortController()
    const hanging = refused(mailNotifier(routeTo(server), from).check(stopping.signal))
    await until('it has connected', () => server.connections() > 0, { withinMs: 3_000 })
    stopping.abort()
    expect((await hanging).code).toBe('interrupted')
  })
})
