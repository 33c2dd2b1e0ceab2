import { expect, test } from 'vitest'
import type { Status } from '../../reconciler/status.ts'
import { serve } from '../health/servers.ts'
import { type MailServer, startMailServer } from '../rig/mail-server.ts'
import { freePort } from '../rig/registry.ts'
import { until } from '../rig/until.ts'
import { documentOf, samovar, startDaemon } from './samovar.ts'
import { hostYaml, startHost, type TestHost, webService } from './test-host.ts'

const token = 'hunter2-of-the-service'
const password = 'hunter2-of-the-mail'
const login = { user: 'samovar', password }

/** The service says its token at every start, as services do that print their settings. */
const compose = (port: number): string => `services:
  web:
    image: web
    restart: unless-stopped
    stop_grace_period: 5s
    environment: { TOKEN: "\${TOKEN}" }
    command: ["sh", "-c", "echo the token is $$TOKEN; echo '<b>not bold</b>'; exec /bin/web"]
    ports: ["127.0.0.1:${port}:8080"]
`

async function startTellingHost(url: string): Promise<TestHost & { smtpPort: number }> {
  const host = await startHost('mails', compose)
  const smtpPort = await freePort()
  Object.assign(host.environment, {
    TOKEN: token,
    SMTP_URL: `smtp://samovar:${password}@127.0.0.1:${smtpPort}`,
    SMTP_FROM: 'Samovar <samovar@example.com>',
    SAMOVAR_PUBLIC_URL: 'https://samovar.example.com',
  })
  const notify = `notify:
  - { mail: [ops@example.com], on: [applied, reverted, stuck] }
  - { mail: [night@example.com], on: [reverted] }
  - { webhook: "${url}/hooks/key-of-the-webhook", on: [reverted] }
variables: { TOKEN: { secret: "env:TOKEN" } }
`
  await host.commit({ 'desired-state/host.yaml': hostYaml(host.project, notify) })
  return Object.assign(host, { smtpPort })
}

const push = (host: TestHost, version: string, within = '30s') => {
  const health = `within: ${within}\n  steady: 200ms\n  checks:\n    - { http: "http://127.0.0.1:${host.port}/healthz", every: 200ms }`
  return host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version, health }) })
}

const received = (server: MailServer) => server.mails.map((mail) => `${mail.to.join()} ${mail.subject}`)

test('a roll-out is told by mail and webhook, how it ended and that it is over, with nothing secret', async () => {
  const bodies: string[] = []
  await using hook = await serve((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      bodies.push(body)
      response.end()
    })
  })
  await using host = await startTellingHost(hook.url)
  const server = await startMailServer({ port: host.smtpPort, login })
  await push(host, '1.0.0')
  expect((await samovar(host, ['apply'])).exitCode).toBe(0)
  expect(received(server)).toEqual(['ops@example.com [host.example.com] web applied: 1.0.0'])

  await push(host, '2.0.0', '3s')
  expect((await samovar(host, ['apply'])).exitCode).toBe(3)
  const words = '[host.example.com] web reverted: 2.0.0 failed, 1.0.0 runs again'
  expect(received(server).slice(1).sort()).toEqual([`night@example.com ${words}`, `ops@example.com ${words}`])
  const mail = server.mails[1]
  expect(mail?.text).toMatch(/Failing check\n- http http:\/\/127\.0\.0\.1:\d+\/healthz/)
  expect(mail?.text).toContain('  | the token is ***\n  | <b>not bold</b>\n')
  expect(mail?.text).toMatch(/https:\/\/samovar\.example\.com\/operations\/\d{8}-/)
  expect(mail?.html).toContain('&lt;b&gt;not bold&lt;/b&gt;')
  expect(JSON.parse(bodies[0] ?? '')).toMatchObject({
    event: 'reverted',
    about: 'web',
    host: 'host.example.com',
  })

  // The server is away when the good one comes; the daemon that is started later tells it.
  await server[Symbol.asyncDispose]()
  await push(host, '1.1.0')
  const apply = await samovar(host, ['apply'])
  expect(apply.exitCode).toBe(0)
  expect(apply.stderr).toMatch(/notify: 2 messages wait to be delivered: .*ECONNREFUSED/)
  const status = await documentOf<Status>(host, ['status'])
  expect(status.notifications).toMatchObject({
    waiting: 2,
    sent: 5,
    problem: expect.stringContaining('ECONNREFUSED'),
  })
  await using back = await startMailServer({ port: host.smtpPort, login })
  await using daemon = await startDaemon(host)
  await until('both were told', () => back.mails.length === 2, { withinMs: 20_000 })
  await daemon.line('told "web recovered" to mail ops@example.com')
  const over = '[host.example.com] web recovered: 1.1.0 runs'
  expect(received(back).sort()).toEqual([`night@example.com ${over}`, `ops@example.com ${over}`])
  expect(back.mails.map((each) => each.inReplyTo).sort()).toEqual(
    server.mails
      .slice(1)
      .map((each) => each.id)
      .sort(),
  )
  await until(
    'the metric counts them',
    async () => (await daemon.metric('samovar_notifications_sent_total')) === 7,
    { withinMs: 10_000 },
  )
  expect(await daemon.metric('samovar_notifications_waiting')).toBe(0)

  const said = [...server.mails, ...back.mails].map((each) => each.raw + each.text + each.html)
  const everything = [...said, ...bodies, ...daemon.log(), JSON.stringify(status)].join('\n')
  for (const secret of [token, password, 'key-of-the-webhook']) expect(everything).not.toContain(secret)
})

test('notify test and doctor tell who can be told, and what is missing', async () => {
  await using hook = await serve((_request, response) => response.writeHead(403).end())
  await using host = await startTellingHost(hook.url)
  await using server = await startMailServer({ port: host.smtpPort, login })
  server.refuse({ 'night@example.com': 550 })
  const tried = await samovar(host, ['notify', 'test'])
  expect(tried.exitCode).toBe(1)
  expect(tried.stdout).toMatch(/^RECIPIENT +RESULT +TOOK +WHY\nmail ops@example\.com +taken +/)
  expect(tried.stdout).toMatch(/\nmail night@example\.com +failed .*550/)
  expect(tried.stdout).toMatch(/\nwebhook http:\/\/127\.0\.0\.1:\d+\/\*\*\* +failed .*HTTP 403\n/)
  expect(tried.stdout).toMatch(/\nnext: Check `webhook` in host\.yaml.*\n2 messages of 3 failed\n$/)
  expect(received(server)).toEqual(['ops@example.com [host.example.com] test: host.example.com can tell you'])
  const document = await documentOf<{ recipient: string; ok: boolean }[]>(host, ['notify', 'test'])
  expect(document.map((each) => each.ok)).toEqual([true, false, false])

  const good = await samovar(host, ['doctor'])
  expect(good.stdout).toMatch(
    /\nok +mail +the mail server 127\.0\.0\.1:\d+ answers in plain text and takes the login, from samovar@example\.com\n/,
  )
  expect(good.stdout).toMatch(
    /\nok +webhooks +http:\/\/127\.0\.0\.1:\d+\/\*\*\*; samovar notify test tries them\n/,
  )
  const wrong = { SMTP_URL: `smtp://samovar:wrong@127.0.0.1:${host.smtpPort}` }
  expect((await samovar(host, ['doctor'], wrong)).stdout).toMatch(
    /\nproblem +mail .*535.*\n +next: Correct user and password in SMTP_URL\.\n/,
  )
  const unset = await samovar(host, ['doctor'], { SMTP_URL: '', SMTP_FROM: '' })
  expect([unset.exitCode, unset.stdout]).toEqual([
    1,
    expect.stringMatching(/\nproblem +mail +SMTP_URL is not set.*\n +next: Set SMTP_URL and SMTP_FROM/),
  ])
})
