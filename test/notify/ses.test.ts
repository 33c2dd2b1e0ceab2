import { text } from 'node:stream/consumers'
import { simpleParser } from 'mailparser'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { mailNotifier } from '../../reconciler/notify/mail.ts'
import { type LocalServer, serve } from '../health/servers.ts'

type Sent = {
  FromEmailAddress: string
  Destination: { ToAddresses: string[] }
  Content: { Raw: { Data: string } }
}
let server: LocalServer
let sent: Sent[]
let answer: { status: number; body: object; type?: string }
let paths: string[]

beforeEach(async () => {
  sent = []
  paths = []
  answer = { status: 200, body: { MessageId: '0100-abc' } }
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAEXAMPLE')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'key-of-the-role')
  server = await serve((request, response) => {
    paths.push(`${request.method} ${request.url}`)
    text(request).then(
      (body) => {
        sent.push(JSON.parse(body) as Sent)
        const { status, body: said, type = '' } = answer
        response.writeHead(status, {
          'content-type': 'application/json',
          ...(type && { 'x-amzn-errortype': type }),
        })
        response.end(JSON.stringify(said))
      },
      () => undefined,
    )
  })
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await server[Symbol.asyncDispose]()
})

const from = { name: 'Samovar', address: 'samovar@example.com' }
const notifier = () => mailNotifier({ kind: 'ses', region: 'eu-central-1', endpoint: server.url }, from)
const signal = new AbortController().signal
const delivery = {
  id: 'a@host.example.com',
  about: null,
  to: 'ops@example.com',
  at: 0,
  subject: 'web reverted',
  text: 'text',
  html: '<p>html</p>',
  document: { event: 'reverted', host: 'host.example.com' },
}
const failure = (act: Promise<unknown>) =>
  act.then(
    () => null,
    (error: unknown) => error as { code: string; message: string; next: string },
  )

test('a mail goes through the API of SES as it is, and keeps its id though SES gives it another', async () => {
  await notifier().send(delivery, signal)
  expect(paths).toEqual(['POST /v2/email/outbound-emails'])
  expect(sent).toMatchObject([
    { FromEmailAddress: 'samovar@example.com', Destination: { ToAddresses: ['ops@example.com'] } },
  ])
  const mail = await simpleParser(Buffer.from(sent[0]?.Content.Raw.Data ?? '', 'base64'))
  expect(mail.subject).toBe('web reverted')
  expect(mail.headers.get('x-samovar-delivery')).toBe('a@host.example.com')
})

test('a mail that SES does not take is refused, with the sandbox as the likely cause', async () => {
  answer = { status: 400, type: 'MessageRejected', body: { message: 'Email address is not verified.' } }
  const error = await failure(notifier().send(delivery, signal))
  expect(error).toMatchObject({ code: 'notify-refused', message: expect.stringContaining('not verified') })
  expect(error?.next).toContain('sandbox')
})

test('a role that may not send is no matter of one mail, and the check finds it', async () => {
  answer = {
    status: 403,
    type: 'AccessDeniedException',
    body: { message: 'not authorized to perform ses:SendEmail' },
  }
  const expected = { code: 'notify-unreachable', next: expect.stringContaining('ses:SendRawEmail') }
  expect(await failure(notifier().send(delivery, signal))).toMatchObject(expected)
  expect(await failure(notifier().check(signal))).toMatchObject(expected)
})

test('the check is content when SES refuses an address that cannot exist', async () => {
  answer = { status: 400, type: 'MessageRejected', body: { message: 'Email address is not verified.' } }
  expect(await notifier().check(signal)).toBe('Amazon SES in eu-central-1 answers')
  expect(sent).toMatchObject([{ Destination: { ToAddresses: ['invalid@invalid'] } }])
})
