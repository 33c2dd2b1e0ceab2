import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import type { HealthCheck } from '../../reconciler/desired-state.ts'
import { type CheckResult, runCheck } from '../../reconciler/health/health-check.ts'
import { httpCheck } from '../../reconciler/health/http.ts'
import { ownAuthority, serve, serveTls } from './servers.ts'

type HttpPolicy = Extract<HealthCheck, { kind: 'http' }>

function makeCheck(url: string, more: Partial<HttpPolicy> = {}, root = '/nowhere') {
  const plain = { status: null, header: {}, body: null, json: {}, ca: null }
  return httpCheck(
    { kind: 'http', every: 1000, timeout: 3000, url, ...plain, ...more },
    { tag: '1.22.6', root },
  )
}

function look(url: string, more: Partial<HttpPolicy> = {}, root?: string): Promise<CheckResult> {
  return runCheck(makeCheck(url, more, root), new AbortController().signal)
}

const json = (value: unknown) => serve((_, response) => void response.end(JSON.stringify(value)))

test('without a status named, 2xx and 3xx pass and anything else fails with what was seen and expected', async () => {
  await using server = await serve(
    (request, response) => void response.writeHead(Number(request.url?.slice(1))).end(),
  )
  for (const status of [200, 204, 302, 304]) {
    expect(await look(`${server.url}/${status}`)).toEqual({
      ok: true,
      said: `HTTP ${status} (${server.url}/${status})`,
    })
  }
  expect(await look(`${server.url}/502`)).toEqual({
    ok: false,
    said: `HTTP 502 (${server.url}/502), expected 2xx or 3xx`,
  })
  expect(await look(`${server.url}/204`, { status: 200 })).toEqual({
    ok: false,
    said: `HTTP 204 (${server.url}/204), expected 200`,
  })
  expect(await look(`${server.url}/503`, { status: 503 })).toMatchObject({ ok: true })
})

test('a redirect is not followed, and where it leads is said', async () => {
  let followed = 0
  await using server = await serve((request, response) => {
    if (request.url === '/login') followed++
    response.writeHead(302, { Location: '/login' }).end()
  })
  expect(await look(`${server.url}/`, { status: 200 })).toEqual({
    ok: false,
    said: `HTTP 302 to /login (${server.url}/), expected 200`,
  })
  expect(followed).toBe(0)
})

test('a JSON field is compared exactly, with {tag} filled in', async () => {
  await using server = await json({
    version: '1.22.6',
    checks: [{ name: 'cache', pass: true }],
    count: 3,
    none: null,
  })
  const wanted = { version: '{tag}', 'checks.0.name': 'cache', 'checks[0].pass': true, count: 3, none: null }
  expect(await look(server.url, { json: wanted })).toMatchObject({ ok: true })
  expect(await look(server.url, { json: { version: '1.22.5' } })).toEqual({
    ok: false,
    said: `JSON version is "1.22.6" (${server.url}), expected "1.22.5"`,
  })
  expect(await look(server.url, { json: { count: '3' } })).toMatchObject({
    ok: false,
    said: `JSON count is 3 (${server.url}), expected "3"`,
  })
  expect(await look(server.url, { json: { 'checks.1.name': 'db' } })).toMatchObject({
    ok: false,
    said: `JSON checks.1.name is missing (${server.url}), expected "db"`,
  })
  expect(await look(server.url, { json: { toString: 'x' } })).toMatchObject({
    said: `JSON toString is missing (${server.url}), expected "x"`,
  })
})

test('an answer that is no JSON is said to be none', async () => {
  await using server = await serve((_, response) => {
    response.setHeader('Content-Type', 'text/html')
    response.end('<h1>Installing</h1>')
  })
  expect(await look(server.url, { json: { status: 'pass' } })).toEqual({
    ok: false,
    said: `HTTP 200 without JSON (text/html) (${server.url}), expected JSON`,
  })
})

test('header, text and URL are checked with {tag} filled in', async () => {
  await using server = await serve((request, response) => {
    response.setHeader('X-Version', 'v1.22.6')
    response.end(`Powered by Gitea ${request.url}`)
  })
  const header = { 'x-version': 'v{tag}' }
  expect(await look(`${server.url}/{tag}`, { header, body: 'Gitea /{tag}' })).toMatchObject({ ok: true })
  expect(await look(server.url, { header: { 'X-Version': 'v2' } })).toEqual({
    ok: false,
    said: `header X-Version is "v1.22.6" (${server.url}), expected "v2"`,
  })
  expect(await look(server.url, { header: { 'X-Other': 'v2' } })).toMatchObject({
    said: `header X-Other is missing (${server.url}), expected "v2"`,
  })
  expect(await look(server.url, { body: 'Forgejo' })).toEqual({
    ok: false,
    said: `HTTP 200 with a body of 18 characters (${server.url}), expected "Forgejo" in it`,
  })
})

test('an own certificate authority is trusted when it is named, and only then', async () => {
  await using authority = await ownAuthority()
  await using server = await serveTls(authority, (_, response) => void response.end('ok'))
  expect(await look(server.url, { ca: 'ca.pem' }, authority.root)).toMatchObject({ ok: true })
  expect(await look(server.url, { ca: `${authority.root}/ca.pem` })).toMatchObject({ ok: true })
  expect(await look(server.url)).toEqual({
    ok: false,
    said: `the certificate is not trusted (unknown authority) (${server.url})`,
  })
  const other = server.url.replace('127.0.0.1', '127.0.0.2')
  expect(await look(other.replace('127.0.0.2', 'localhost'), { ca: 'ca.pem' }, authority.root)).toMatchObject(
    {
      ok: true,
    },
  )
})

test('a ca file missing from the checkout fails for good, one missing on the host may still come', async () => {
  expect(await look('https://127.0.0.1:1/', { ca: 'ca.pem' })).toMatchObject({ ok: false, final: true })
  expect(await look('https://127.0.0.1:1/', { ca: '/nowhere/ca.pem' })).toMatchObject({
    ok: false,
    final: false,
  })
})

test('a closed port and an unknown name are said in plain words', async () => {
  const server = await json({})
  await server[Symbol.asyncDispose]()
  expect(await look(server.url)).toEqual({ ok: false, said: `connection refused (${server.url})` })
  expect(await look('http://no-such-name.invalid/')).toMatchObject({
    ok: false,
    said: expect.stringContaining('the name'),
  })
})

test.each([
  ['accepts and says nothing', () => {}],
  ['sends its headers and then a trickle', trickle],
])('a server that %s is given up at the timeout', async (_, listener) => {
  await using server = await serve(listener)
  const began = performance.now()
  const result = await look(server.url, { body: 'end', timeout: 250 })
  expect(result).toEqual({ ok: false, said: `no answer within 250 ms (http ${server.url})` })
  expect(performance.now() - began).toBeLessThan(2500)
})

function trickle(_: unknown, response: import('node:http').ServerResponse) {
  response.writeHead(200)
  const timer = setInterval(() => response.write('.'), 20)
  response.on('close', () => clearInterval(timer))
}

test('an endless answer is read up to 1 MiB and no further', async () => {
  let sent = 0
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  await using server = await serve((_, response) => {
    const pour = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, 'x'))) sent += 65_536
    }
    response.on('drain', pour).on('close', resolve)
    pour()
  })
  expect(await look(server.url, { body: 'end' })).toEqual({
    ok: false,
    said: `HTTP 200 with a body over 1 MiB (${server.url}), expected a shorter one`,
  })
  await closed
  expect(sent).toBeLessThan(16 * 1024 * 1024)
})

test('an answer cut short is not taken for a whole one', async () => {
  await using server = await serve((_, response) => {
    response.writeHead(200, { 'Content-Length': '100' })
    response.write('pass', () => response.destroy())
  })
  expect(await look(server.url, { body: 'pass' })).toEqual({
    ok: false,
    said: `connection was closed before the answer was complete (${server.url})`,
  })
})

test('every look uses a connection of its own', async () => {
  const ports = new Set<number | undefined>()
  await using server = await serve((request, response) => {
    ports.add(request.socket.remotePort)
    response.end()
  })
  await look(server.url)
  await look(server.url)
  expect(ports.size).toBe(2)
})

test('user and password of a URL are sent but never shown', async () => {
  const seen: (string | undefined)[] = []
  await using server = await serve((request, response) => {
    seen.push(request.headers.authorization)
    response.writeHead(401).end()
  })
  const url = server.url.replace('://', '://probe:geheim@')
  const result = await look(url)
  expect(result.said).toBe(`HTTP 401 (http://***@127.0.0.1:${server.port}), expected 2xx or 3xx`)
  expect(makeCheck(url).name).not.toContain('geheim')
  expect(seen).toEqual([`Basic ${Buffer.from('probe:geheim').toString('base64')}`])
})

test('localhost and IPv6 addresses work', async () => {
  await using four = await json({})
  await using six = await serve((_, response) => void response.end(), '::1')
  expect(await look(`http://localhost:${four.port}/`)).toMatchObject({ ok: true })
  expect(await look(six.url)).toMatchObject({ ok: true })
})

test('something that does not speak HTTP is said not to', async () => {
  const server = createServer((socket) => void socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as import('node:net').AddressInfo
  expect(await look(`http://127.0.0.1:${port}/`)).toEqual({
    ok: false,
    said: `the answer is not HTTP (http://127.0.0.1:${port}/)`,
  })
  server.close()
})

test('the signal ends a hanging look at once and closes its connection', async () => {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  const stop = new AbortController()
  await using server = await serve((request) => {
    request.socket.on('close', resolve)
    stop.abort()
  })
  const result = await runCheck(makeCheck(server.url, { timeout: 60_000 }), stop.signal)
  expect(result.ok).toBe(false)
  await closed
})

test('a check shows the proxy what lets it pass while requests are held, and nothing when none are', async () => {
  const seen: unknown[] = []
  await using server = await serve((request, response) => {
    seen.push(request.headers['x-samovar-check'])
    response.end()
  })
  const policy = { kind: 'http', every: 1000, timeout: 3000, url: server.url, status: null } as const
  for (const pass of ['a1b2', null]) {
    const check = httpCheck(
      { ...policy, header: {}, body: null, json: {}, ca: null },
      { tag: '', root: '', pass },
    )
    expect(await runCheck(check, new AbortController().signal)).toMatchObject({ ok: true })
  }
  expect(seen).toEqual(['a1b2', undefined])
})
