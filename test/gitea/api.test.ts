import type { ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { at } from '../../reconciler/gitea/api.ts'
import { connect, json, type Server, secret, startServer } from './answering.ts'

const caught = async (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => new Error('nothing was thrown'),
    (error: unknown) => error as Error,
  )

describe('what is tried again', () => {
  test.each(['GET', 'PUT', 'PATCH', 'DELETE'] as const)(
    'a %s goes through when Gitea comes back',
    async (method) => {
      await using server = await startServer((response, nth) => {
        if (nth === 0) response.socket?.destroy()
        else json(response, nth === 1 ? 502 : 200, { done: true })
      })
      const { body } = await connect(server.url).ask(method, '/thing')
      expect(body).toEqual({ done: true })
      expect(server.seen).toHaveLength(3)
    },
  )

  test('after the last try the failure says what was asked and how it went', async () => {
    await using server = await startServer((response) =>
      response.writeHead(503).end('<h1>out of\norder</h1>'),
    )
    await expect(connect(server.url).ask('GET', '/repos/ops/host')).rejects.toMatchObject({
      code: 'forge-unreachable',
      message: 'Gitea cannot answer at the moment (GET /repos/ops/host: HTTP 503, <h1>out of order</h1>)',
    })
    expect(server.seen).toHaveLength(3)
  })

  test.each([
    ['its answer is lost', (response: ServerResponse) => response.socket?.destroy()],
    ['a proxy says 502', (response: ServerResponse) => response.writeHead(502).end()],
    ['a proxy says 503', (response: ServerResponse) => response.writeHead(503).end()],
    ['a proxy says 504', (response: ServerResponse) => response.writeHead(504).end()],
  ])('a POST is never made twice: %s', async (_, answer) => {
    await using server = await startServer((response) => void answer(response))
    const error = await caught(connect(server.url).ask('POST', '/comments', { body: { body: 'hello' } }))
    expect(error).toMatchObject({ code: 'forge-unreachable' })
    expect(server.seen).toHaveLength(1)
  })

  test('a POST that Gitea guards by itself is made again', async () => {
    await using server = await startServer((response, nth) =>
      nth === 0 ? response.socket?.destroy() : json(response, 409, {}),
    )
    const how = { body: {}, repeatable: true, understood: [409] }
    expect(await connect(server.url).ask('POST', '/pulls', how)).toMatchObject({ status: 409 })
    expect(server.seen).toHaveLength(2)
  })

  test('a POST is made when there was no connection at first, and once only', async () => {
    const closed = await startServer(() => {})
    await closed[Symbol.asyncDispose]()
    let tries = 0
    const later: Promise<Server>[] = []
    const authorization = () => {
      tries += 1
      if (tries === 2)
        later.push(startServer((response) => json(response, 201, {}), Number(new URL(closed.url).port)))
      return 'token x'
    }
    const patience = { pausesMs: [10, 200, 400] }
    const answer = await connect(closed.url, { authorization, patience }).ask('POST', '/comments', {
      body: {},
    })
    expect(answer.status).toBe(201)
    await using server = await later[0]
    expect(server?.seen).toHaveLength(1)
  })

  test.each([400, 403, 404, 405, 409, 422, 423, 429])('a refusal with %i is final', async (status) => {
    await using server = await startServer((response) => json(response, status, { message: 'no' }))
    await expect(connect(server.url).ask('GET', '/thing')).rejects.toMatchObject({
      code: 'forge-refused',
      status,
    })
    expect(server.seen).toHaveLength(1)
  })

  test('what is refused is an answer to who expects it', async () => {
    await using server = await startServer((response) => json(response, 409, { message: 'exists' }))
    const answer = await connect(server.url).ask('POST', '/thing', { body: {}, understood: [409] })
    expect(answer).toMatchObject({ status: 409, body: { message: 'exists' } })
  })
})

describe('limits', () => {
  test('an answer that stops in the middle is given up in time', async () => {
    await using server = await startServer((response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write('{"half":')
    })
    const patience = { timeoutMs: 150, pausesMs: [] }
    await expect(connect(server.url, { patience }).ask('GET', '/thing')).rejects.toMatchObject({
      code: 'forge-unreachable',
      message: 'Gitea did not answer GET /thing within 0.15 s',
    })
  })

  test('an answer without an end is not read to it', async () => {
    let written = 0
    await using server = await startServer((response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const more = () => {
        if (response.destroyed) return
        written += 65_536
        response.write(Buffer.alloc(65_536, ' '), () => setImmediate(more))
      }
      more()
    })
    await expect(connect(server.url).ask('GET', '/thing')).rejects.toThrow(
      'Gitea answered GET /thing with more than 8388608 bytes',
    )
    expect(written).toBeLessThan(24 * 1024 * 1024)
  })

  test('a stop cuts a request short, and the pause before the next try', async () => {
    const stop = new AbortController()
    await using hanging = await startServer(() => stop.abort())
    const options = { signal: stop.signal, patience: { pausesMs: [60_000] } }
    await expect(connect(hanging.url, options).ask('GET', '/thing')).rejects.toMatchObject({
      code: 'interrupted',
    })

    const between = new AbortController()
    await using failing = await startServer((response) => {
      response.writeHead(500).end(() => setImmediate(() => between.abort()))
    })
    const work = connect(failing.url, { ...options, signal: between.signal }).ask('GET', '/thing')
    await expect(work).rejects.toMatchObject({ code: 'interrupted' })
  })

  test('what answers with a page is not Gitea', async () => {
    await using server = await startServer((response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Log in</html>'),
    )
    await expect(connect(server.url).ask('GET', '/version')).rejects.toMatchObject({
      code: 'forge-unreachable',
      message: expect.stringContaining("GET /version: what answers is not Gitea's API"),
      next: expect.stringContaining('SAMOVAR_GITEA_URL'),
    })
  })
})

describe('redirects', () => {
  test('another server never hears of the request, and so not of the token', async () => {
    await using other = await startServer((response) => json(response, 200, {}))
    await using server = await startServer((response) =>
      response.writeHead(307, { location: `${other.url}/api/v1/thing` }).end(),
    )
    await expect(connect(server.url).ask('GET', '/thing')).rejects.toMatchObject({
      code: 'forge-refused',
      message: expect.stringContaining(`a redirect to another server, ${other.url}`),
    })
    expect(other.seen).toEqual([])
  })

  test.each([301, 307, 308])('%i on the same server is followed, method and body too', async (status) => {
    await using server = await startServer((response, nth) =>
      nth === 0
        ? response.writeHead(status, { location: '/api/v1/new' }).end()
        : json(response, 201, { ok: true }),
    )
    await connect(server.url).ask('POST', '/old', { body: { a: 1 } })
    expect(server.seen[1]).toEqual({ method: 'POST', path: '/api/v1/new', body: '{"a":1}' })
  })

  test('a circle of redirects ends', async () => {
    await using server = await startServer((response) =>
      response.writeHead(307, { location: '/api/v1/thing' }).end(),
    )
    await expect(connect(server.url).ask('GET', '/thing')).rejects.toThrow('a redirect again and again')
    expect(server.seen.length).toBeLessThan(10)
  })
})

describe('secrets and messages', () => {
  test('the token is asked for each time, and in no message even when Gitea repeats it', async () => {
    let asked = 0
    const authorization = () => {
      asked += 1
      return `token ${secret}`
    }
    await using server = await startServer((response, _, request) =>
      json(response, 400, { message: `bad header ${request.headers.authorization}` }),
    )
    const error = await caught(connect(server.url, { authorization }).ask('GET', '/thing'))
    expect(error.message).toContain('bad header token ***')
    await caught(connect(server.url, { authorization }).ask('GET', '/thing'))
    expect(asked).toBeGreaterThanOrEqual(2)
    expect(inspect(error, { depth: 10 })).not.toContain(secret)
  })

  test('no failure shows the token, of whichever kind', async () => {
    const closed = await startServer(() => {})
    await closed[Symbol.asyncDispose]()
    await using server = await startServer((response) => response.socket?.destroy())
    for (const url of [closed.url, server.url]) {
      const error = await caught(connect(url).ask('GET', '/thing'))
      expect(error).toMatchObject({ code: 'forge-unreachable' })
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(secret)
    }
  })

  test('a user and password in the address are left out', async () => {
    await using server = await startServer((response, _, request) =>
      json(response, 404, { message: request.headers.authorization }),
    )
    const api = connect(server.url.replace('://', '://alice:hunter2@'))
    expect(api.webUrl).toBe(server.url)
    expect((await caught(api.ask('GET', '/thing'))).message).not.toContain('hunter2')
  })

  test('what Gitea says stays on one line and short', async () => {
    await using server = await startServer((response) =>
      json(response, 422, { message: `first\n\u001b[31msecond\u202e ${'x'.repeat(5000)}` }),
    )
    const { message } = await caught(connect(server.url).ask('GET', '/thing'))
    expect(message).toMatch(/^Gitea refused GET \/thing: HTTP 422, first \[31msecond x+$/)
    expect(message.length).toBeLessThan(300)
  })

  test('401 is about the token, not about the call', async () => {
    await using server = await startServer((response) =>
      json(response, 401, { message: 'token is required' }),
    )
    await expect(connect(server.url).ask('GET', '/thing')).rejects.toMatchObject({
      code: 'forge-unreachable',
      message: 'Gitea does not accept SAMOVAR_GITEA_TOKEN (GET /thing: HTTP 401, token is required)',
    })
  })
})

test('values of a path are encoded, and their slashes stay', () => {
  expect(at`/repos/${'ops'}/branches/${'a/b #1?%2e'}/${7}`).toBe('/repos/ops/branches/a/b%20%231%3F%252e/7')
})

test.each(['../../user', 'a/../../..', '.', 'a/./b'])('a path cannot climb to another call: %s', (value) => {
  expect(() => at`/repos/ops/host/contents/${value}`).toThrow('is no path in a repository')
})

test('Gitea may live below a path', async () => {
  await using server = await startServer((response) => json(response, 200, {}))
  const api = connect(`${server.url}/git/`)
  await api.ask('GET', '/version')
  expect(server.seen[0]?.path).toBe('/git/api/v1/version')
  expect(api.webUrl).toBe(`${server.url}/git`)
})
