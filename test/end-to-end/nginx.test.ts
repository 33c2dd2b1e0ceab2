import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../rig/until.ts'
import { chunks, type NginxHost, startNginxHost, up, userLoad } from './nginx-host.ts'

let host: NginxHost

beforeAll(async () => {
  host = await startNginxHost('nginx')
  await host.pass()
  await up(host)
})
afterAll(() => host[Symbol.asyncDispose]())

const plain = (path: string, method = 'GET') =>
  fetch(`${host.http}${path}`, { method, redirect: 'manual', headers: { connection: 'close' } })

test('plain HTTP leads to the same place over HTTPS, and a POST stays a POST', async () => {
  for (const method of ['GET', 'POST']) {
    const answer = await plain('/ops/host?tab=a%20b', method)
    expect(answer.status).toBe(308)
    expect(answer.headers.get('location')).toBe('https://localhost/ops/host?tab=a%20b')
  }
})

test('what certbot puts into the webroot is served over plain HTTP, without TLS and without Gitea', async () => {
  await writeFile(join(host.webroot, '.well-known/acme-challenge/token-1'), 'token-1.thumbprint')
  const answer = await plain('/.well-known/acme-challenge/token-1')
  expect([answer.status, await answer.text()]).toEqual([200, 'token-1.thumbprint'])
  expect((await plain('/.well-known/acme-challenge/other')).status).toBe(404)
})

test.each(['/version', '/metrics', '/busy'])(
  'every answer has the security headers once: %s',
  async (path) => {
    const { headers } = await host.ask(path)
    expect(headers).toMatchObject({
      'strict-transport-security': 'max-age=31536000',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'referrer-policy': 'strict-origin-when-cross-origin',
      'permissions-policy': expect.stringContaining('camera=()'),
      server: 'nginx',
    })
  },
)

test("Gitea's own errors pass as they are; its metrics do not pass at all", async () => {
  const busy = await host.ask('/busy')
  expect([busy.status, busy.text]).toEqual([503, 'the door is busy'])
  for (const path of ['/metrics', '/metrics/', '//metrics', '/%6detrics', '/x/../metrics'])
    expect((await host.ask(path)).status, path).toBe(404)
})

test('Gitea learns who asks and how, whatever the client claims', async () => {
  const claims = { 'X-Forwarded-For': '6.6.6.6', 'X-Real-IP': '6.6.6.6', 'X-Forwarded-Proto': 'gopher' }
  const { text } = await host.ask('/headers', { headers: { ...claims, 'X-Samovar-Check': 'abc' } })
  const seen = JSON.parse(text) as Record<string, string>
  expect(text).not.toMatch(/6\.6\.6\.6|gopher|abc/)
  expect(seen).toMatchObject({ host: new URL(host.https).host, 'x-forwarded-proto': 'https' })
  expect(seen['x-real-ip']).toBe(seen['x-forwarded-for'])
})

test('TLS 1.2 and 1.3 and HTTP/2 are spoken, older ones are refused', async () => {
  const speak = (version: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3') =>
    new Promise<string>((resolve) => {
      const port = Number(new URL(host.https).port)
      const how = { minVersion: version, maxVersion: version, ca: host.ca, ALPNProtocols: ['h2', 'http/1.1'] }
      const socket = connect({ port, host: 'localhost', servername: 'localhost', ...how }, () => {
        resolve(`${socket.getProtocol()} ${socket.alpnProtocol}`)
        socket.destroy()
      }).on('error', () => resolve('refused'))
    })
  expect(await speak('TLSv1.3')).toBe('TLSv1.3 h2')
  expect(await speak('TLSv1.2')).toBe('TLSv1.2 h2')
  expect(await speak('TLSv1.1')).toBe('refused')
})

test('what holds no secret is compressed, and nothing else', async () => {
  const headers = { 'Accept-Encoding': 'gzip' }
  expect((await host.ask('/assets/large.js', { headers })).headers['content-encoding']).toBe('gzip')
  expect((await host.ask('/headers', { headers })).headers['content-encoding']).toBeUndefined()
})

test('no secret of a query and no user name is in the log of requests', async () => {
  const paths = [
    '/a?token=S3CR3T',
    '/b?page=1&access_token=S3CR3T',
    '/c?access%5Ftoken=S3CR3T',
    '/d?q=harmless',
  ]
  const headers = { Authorization: `Basic ${btoa('S3CR3T:x')}`, Referer: 'https://localhost/?code=S3CR3T' }
  for (const path of paths) await host.ask(path, { headers })
  const isLogged = async () => (await host.log('nginx')).includes('/d?q=harmless')
  await until('it is logged', isLogged, { withinMs: 5_000 })
  const log = await host.log('nginx')
  expect(log).toContain('GET /b?*** HTTP')
  expect(log).not.toContain('S3CR3T')
})

test('a WebSocket is passed on, and what one side says reaches the other', async () => {
  expect(await echoed('hello')).toBe('hello')
})

test('an upload of 512 MB passes as it comes, one of more is refused with 413', async () => {
  const size = 512 * 1024 ** 2
  const hash = createHash('sha256')
  const answer = await host.ask('/upload?id=large', {
    method: 'POST',
    headers: { 'Content-Length': String(size) },
    body: chunks(size, { hash }),
  })
  expect(JSON.parse(answer.text)).toMatchObject({ bytes: size, sha256: hash.digest('hex') })
  const more = size + 1024 ** 2
  const refused = await host.ask('/upload?id=larger', {
    method: 'POST',
    headers: { 'Content-Length': String(more) },
    body: chunks(1024, {}),
  })
  expect(refused.status).toBe(413)
  expect((await host.uploads()).some((each) => each.id === 'larger')).toBe(false)
})

test('an upload without a length is refused with 413 when it turns out too large', async () => {
  const answer = await host.ask('/upload?id=endless', { method: 'POST', body: chunks(513 * 1024 ** 2, {}) })
  expect(answer.status).toBe(413)
})

test('a Gitea that got another address is found again, by every worker, within two seconds', async () => {
  const { docker } = host.rig
  const id = await host.container('gitea')
  const network = docker.getNetwork(`${host.project}_default`)
  const addressOf = async () =>
    (await docker.getContainer(id).inspect()).NetworkSettings.Networks[`${host.project}_default`]?.IPAddress
  const before = await addressOf()
  await network.disconnect({ Container: id })
  const taker = await docker.createContainer({
    Image: (await docker.getContainer(id).inspect()).Image,
    Cmd: ['/bin/sh', '-c', 'sleep 600'],
    Labels: { 'com.docker.compose.project': host.project },
    HostConfig: { NetworkMode: network.id },
  })
  await taker.start()
  await network.connect({ Container: id, EndpointConfig: { Aliases: ['gitea'] } })
  expect(await addressOf()).not.toBe(before)
  const connected = performance.now()
  const load = userLoad(host, 4)
  const late = () => load.answers.filter((each) => each.at > connected + 2_000)
  await until('users look after two seconds', () => late().length > 40, { withinMs: 20_000 })
  await load.end()
  await taker.remove({ force: true })
  expect(late().filter((each) => each.status !== 200)).toEqual([])
})

test('a reload under load fails no request, ends no upload and cuts no WebSocket', async () => {
  const hash = createHash('sha256')
  const load = userLoad(host, 8)
  const upload = host.ask('/upload?id=reload', {
    method: 'POST',
    body: chunks(8 * 1024 ** 2, { hash, overMs: 2_500 }),
  })
  const socket = echoed('still here', 2_500)
  for (let time = 0; time < 3; time += 1) {
    await pause(500)
    await host.reload()
  }
  expect(JSON.parse((await upload).text)).toMatchObject({ sha256: hash.digest('hex') })
  expect(await socket).toBe('still here')
  const { answers } = await load.end()
  expect(answers.length).toBeGreaterThan(50)
  expect(answers.filter((each) => each.status !== 200)).toEqual([])
})

/** Says a word through a WebSocket, after a while, and answers what came back. */
function echoed(word: string, afterMs = 0): Promise<string> {
  const port = Number(new URL(host.https).port)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = connect({ port, host: 'localhost', servername: 'localhost', ca: host.ca }, () => {
    socket.write(
      `GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    )
  })
  let isOpen = false
  socket.on('data', (data: Buffer) => {
    if (isOpen) {
      resolve(data.subarray(2).toString())
      socket.destroy()
      return
    }
    isOpen = true
    if (!data.toString().startsWith('HTTP/1.1 101')) reject(new Error(data.toString()))
    // A frame of a client, masked with zeros.
    const frame = Buffer.concat([Buffer.from([129, 128 | word.length, 0, 0, 0, 0]), Buffer.from(word)])
    setTimeout(() => socket.write(frame), afterMs)
  })
  socket.on('error', reject)
  socket.on('close', () => reject(new Error('the WebSocket was cut')))
  return promise
}
