import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { webhookNotifier } from '../../reconciler/notify/webhook.ts'
import { notifiersOf } from '../../reconciler/parts.ts'
import { type LocalServer, serve } from '../health/servers.ts'
import { notifierContract } from './notifier.ts'

const key = 'key-of-the-webhook'
const signal = new AbortController().signal

type Call = { path: string; headers: IncomingMessage['headers']; body: Record<string, unknown> }
type Answer = (response: ServerResponse, path: string) => void

/** A server for webhooks; `/refused/...` is not taken. */
async function hooks() {
  const calls: Call[] = []
  let answer: Answer = (response, path) => response.writeHead(path.startsWith('/refused') ? 403 : 204).end()
  let open = 0
  const server: LocalServer = await serve((request, response) => {
    open += 1
    response.once('close', () => {
      open -= 1
    })
    const { url = '', headers } = request
    text(request).then(
      (body) => {
        if (!url.startsWith('/refused'))
          calls.push({ path: url, headers, body: JSON.parse(body) as Record<string, unknown> })
        answer(response, url)
      },
      () => undefined,
    )
  })
  return {
    ...server,
    calls,
    answer(way: Answer) {
      answer = way
    },
    open: () => open,
  }
}

notifierContract('webhook', async () => {
  const server = await hooks()
  return {
    notifier: webhookNotifier(),
    to: `${server.url}/hooks/${key}`,
    refusedTo: `${server.url}/refused/${key}`,
    secret: key,
    arrived: () =>
      server.calls.map(({ headers, body }) => ({
        id: String(headers['x-samovar-delivery']),
        subject: String(body['subject']),
        text: String(body['text']),
        event: String(body['event']),
        recipients: 1,
      })),
    hang: () => server.answer(() => undefined),
    goAway: async () => server[Symbol.asyncDispose](),
    connections: () => server.open(),
    cleanUp: () => server[Symbol.asyncDispose](),
  }
})

describe('a webhook', () => {
  let server: Awaited<ReturnType<typeof hooks>>
  beforeEach(async () => {
    server = await hooks()
  })
  afterEach(() => server[Symbol.asyncDispose]())

  const delivery = (to = `${server.url}/hooks/${key}`) => ({
    id: 'a@host.example.com',
    about: null,
    to,
    at: 0,
    subject: 'subject',
    text: 'text',
    html: '',
    document: { event: 'stuck', host: 'host.example.com', about: 'web' },
  })
  const failure = (to?: string, longestMs = 15_000) =>
    webhookNotifier({ longestMs })
      .send(delivery(to), signal)
      .then(
        () => null,
        (error: unknown) => error as { code: string; message: string; next: string },
      )

  test('whose address has a key in it is named by where that lies', async () => {
    const address = `${server.url}/hooks/${key}`
    const { webhook } = notifiersOf({ mail: null, lookup: (name) => (name === 'HOOK' ? address : undefined) })
    await webhook.send(delivery('env:HOOK'), signal)
    expect(server.calls.map(({ path }) => path)).toEqual([`/hooks/${key}`])
    await expect(webhook.send(delivery('file:/nowhere/hook'), signal)).rejects.toMatchObject({
      code: 'notify-unreachable',
      message: expect.stringContaining('/nowhere/hook does not exist'),
    })
    const wrong = notifiersOf({ mail: null, lookup: () => 'sesame' }).webhook
    const refused = await wrong.send(delivery('env:HOOK'), signal).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'notify-refused' })
    expect(String(refused)).not.toContain('sesame')
    expect(server.calls).toHaveLength(1)
  })

  test('gets one JSON document with everything that is known', async () => {
    await webhookNotifier().send(delivery(), signal)
    expect(server.calls).toMatchObject([
      {
        path: `/hooks/${key}`,
        headers: { 'content-type': 'application/json; charset=utf-8', 'x-samovar-event': 'stuck' },
        body: {
          delivery: 'a@host.example.com',
          event: 'stuck',
          about: 'web',
          subject: 'subject',
          text: 'text',
        },
      },
    ])
  })

  test('that sends elsewhere is not followed there', async () => {
    await using other = await hooks()
    server.answer((response) => response.writeHead(307, { location: `${other.url}/taken` }).end())
    expect(await failure()).toMatchObject({ code: 'notify-refused', message: expect.stringContaining('307') })
    expect(other.calls).toEqual([])
  })

  test.each([
    [500, 'notify-unreachable'],
    [429, 'notify-unreachable'],
    [404, 'notify-refused'],
  ])('that answers %i is %s', async (status, code) => {
    server.answer((response) => response.writeHead(status).end('x'.repeat(1_000)))
    const error = await failure()
    expect(error?.code).toBe(code)
    expect(error?.message).toBe(`${server.url}/*** answers HTTP ${status}`)
  })

  test('that answers without an end keeps nobody waiting', async () => {
    server.answer((response) => {
      response.writeHead(200)
      const more = setInterval(() => response.write('x'.repeat(1_000)), 5)
      response.once('close', () => clearInterval(more))
    })
    const began = performance.now()
    expect(await failure()).toBe(null)
    expect(performance.now() - began).toBeLessThan(3_000)
  })

  test('that does not answer is left after its time', async () => {
    server.answer(() => undefined)
    expect(await failure(undefined, 300)).toMatchObject({
      code: 'notify-unreachable',
      message: `${server.url}/***: no answer within 300 ms`,
    })
  })

  test('whose address has user and password is called with them, and they are nowhere to be read', async () => {
    const to = server.url.replace('http://', 'http://alice:p%40ss@')
    await webhookNotifier().send(delivery(to), signal)
    const expected = `Basic ${Buffer.from('alice:p@ss').toString('base64')}`
    expect(server.calls[0]?.headers.authorization).toBe(expected)
    server.answer((response) => response.writeHead(401).end())
    expect(JSON.stringify(await failure(to))).not.toMatch(/alice|p%40ss|p@ss/)
  })
})
