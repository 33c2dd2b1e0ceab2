import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  checkHeader,
  type Flag,
  openHold,
  readHold,
  removeHold,
  writeHold,
} from '../../reconciler/hold-requests.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import { until } from '../rig/until.ts'
import { chunks, type NginxHost, startNginxHost, up, userLoad } from './nginx-host.ts'
import { hostYaml } from './test-host.ts'

let host: NginxHost

beforeAll(async () => {
  host = await startNginxHost('hold', 'hold: 20s\n')
  await host.pass()
  await up(host)
})
afterAll(() => host[Symbol.asyncDispose]())

const flagFile = () => join(host.holdDir, 'flag.json')
const isHeld = () => existsSync(flagFile())

/** One pass, and what became of the service. */
async function update(door: Parameters<NginxHost['want']>[0]): Promise<Operation> {
  await host.want(door)
  const { operations } = await host.pass({ now: true })
  const found = operations.find((each) => each.service === 'gitea')
  if (found === undefined) throw new Error('nothing was done')
  return found
}

/** A POST, and what the other side made of it. */
function upload(id: string, bytes: number, how: { overMs?: number; length?: boolean } = {}) {
  const hash = createHash('sha256')
  const headers = how.length === true ? { headers: { 'Content-Length': String(bytes) } } : {}
  const body = chunks(bytes, { hash, overMs: how.overMs ?? 0 })
  return host
    .ask(`/upload?id=${id}`, { method: 'POST', body, ...headers })
    .then((answer) => ({ answer, sha256: hash.digest('hex') }))
}

const MB = 1_000_000

test('with `hold: 20s` a swap under load fails no request, and every POST arrives exactly once', async () => {
  const load = userLoad(host, 6)
  const early = [
    upload('early-3', 3 * MB, { overMs: 3_000, length: true }),
    upload('early-60', 60 * MB, { overMs: 3_000 }),
  ]
  await until('the uploads have begun', async () => (await host.uploads()).length >= 2, { withinMs: 10_000 })
  const updating = update({ version: '1.1.0', more: 'hold: 20s\n' })
  await until('requests are held', isHeld, { withinMs: 60_000 })
  const late = [upload('late-3', 3 * MB, { length: true }), upload('late-60', 60 * MB)]
  const operation = await updating
  expect(operation).toMatchObject({ result: 'applied', to: { tag: '1.1.0' } })
  const sent = await Promise.all([...early, ...late])
  const { answers } = await load.end()
  expect(answers.filter((each) => each.status !== 200)).toEqual([])
  expect(new Set(answers.map((each) => each.version))).toEqual(new Set(['1.0.0', '1.1.0']))
  // They were held indeed, for what it took.
  expect(Math.max(...answers.map((each) => each.ms))).toBeGreaterThan(1_500)
  const seen = await host.uploads()
  for (const [at, id] of ['early-3', 'early-60', 'late-3', 'late-60'].entries()) {
    expect(sent[at]?.answer.status, id).toBe(200)
    const version = id.startsWith('early') ? '1.0.0' : '1.1.0'
    expect(seen.filter((each) => each.id === id)).toEqual([
      { id, version, begun: true },
      { id, version, bytes: id.endsWith('-3') ? 3 * MB : 60 * MB, sha256: sent[at]?.sha256 },
    ])
  }
  expect(isHeld()).toBe(false)
})

test('who waited as long as `hold` says gets 503, Retry-After and the page; the next time nobody is made to wait', async () => {
  const [last] = (await host.parts()).journal.history(1, 'gitea')
  // Longer than the swaps before took on this machine, shorter than the next one takes.
  const seconds = Math.ceil((last?.downtimeMs ?? 0) / 1000) + 2
  const seen: Awaited<ReturnType<typeof host.ask>>[] = []
  for (const version of ['1.3.0', '1.0.0']) {
    const updating = update({ version, more: `hold: ${seconds}s\n` })
    await until('requests are held', isHeld, { withinMs: 60_000 })
    seen.push(await host.ask('/version', { headers: { Accept: 'text/html' } }))
    expect((await updating).result).toBe('applied')
  }
  const [waited, told] = seen
  expect(waited?.status).toBe(503)
  expect(waited?.ms).toBeGreaterThan(seconds * 1000 - 1_500)
  expect(Number(waited?.headers['retry-after'])).toBeGreaterThan(0)
  expect(waited?.headers).toMatchObject({
    'cache-control': 'no-store',
    'content-type': 'text/html; charset=utf-8',
    'strict-transport-security': 'max-age=31536000',
  })
  expect(waited?.text).toContain('gitea is being updated to 1.3.0')
  // What took that long the last time is not waited for, also when it would be quick now.
  expect(told?.status).toBe(503)
  expect(told?.ms).toBeLessThan(1_500)
  expect(told?.text).toMatch(/expected to take \d+ s \(the last 2 took \d+-\d+ s\)/)
  expect((await host.ask('/version')).status).toBe(200)
  expect(existsSync(join(host.holdDir, 'now.html'))).toBe(false)
}, 180_000)

test('a version that never answers: requests wait until the old one is back', async () => {
  const load = userLoad(host, 2)
  const operation = await update({ version: '2.0.0', more: 'hold: 60s\n', within: '4s' })
  expect(operation.result).toBe('reverted')
  const { answers } = await load.end()
  expect(answers.filter((each) => each.status !== 200)).toEqual([])
  expect(new Set(answers.map((each) => each.version))).toEqual(new Set(['1.0.0']))
  expect(isHeld()).toBe(false)
}, 180_000)

test('with cold data the requests are held before the service stops for its copy, not only for the swap', async () => {
  await host.commit({
    'desired-state/host.yaml': hostYaml(
      host.project,
      `backup: { stores: [{ file: ${host.stateDir}/store }] }\n`,
    ),
  })
  const load = userLoad(host, 2)
  const more = 'hold: 60s\ndata: [{ volume: data }]\n'
  const operation = await update({ version: '1.1.0', more })
  const { answers } = await load.end()
  expect(operation).toMatchObject({ result: 'applied', backup: expect.any(String) })
  expect(answers.filter((each) => each.status !== 200)).toEqual([])
  const steps = (await host.parts()).journal.steps(operation.id).map((each) => each.name)
  expect(steps.slice(0, 7)).toEqual([
    'preflight',
    'create',
    'hold requests',
    'quiesce',
    'back up',
    'prove backup',
    'set aside',
  ])
}, 180_000)

test('a flag that a crash left is gone after the next pass', async () => {
  hold()
  await host.pass()
  expect(isHeld()).toBe(false)
})

const page = {
  service: 'gitea',
  from: '1.0.0',
  to: '1.1.0',
  since: new Date(0).toISOString(),
  expectedSeconds: 40,
  lastSeconds: [31, 38],
  retryAfter: 20,
}

/** The flag that Samovar would write. */
function hold(flag: Partial<Flag> = {}): Flag {
  const now = Date.now()
  const times = { holdUntil: now + 20_000, opensAt: null, endsAt: now + 60_000 }
  writeHold(host.holdDir, { operation: 'test', services: ['gitea'], ...times, ...flag }, page)
  const written = readHold(host.holdDir, 'test')
  if (written === null) throw new Error('there is no flag')
  return written
}

/** True when the answer does not come at once. */
const waits = async (asked: Promise<unknown>): Promise<boolean> =>
  (await Promise.race([asked.then(() => 'answered'), pause(700).then(() => 'waits')])) === 'waits'

test("a check of Samovar's own passes while others wait; a wrong token does not", async () => {
  const { token } = hold()
  const withToken = (given: string) => host.ask('/version', { headers: { [checkHeader]: given } })
  expect((await withToken(token)).status).toBe(200)
  const others = [host.ask('/version'), withToken(''), withToken(token.slice(1)), withToken('0'.repeat(32))]
  expect(await Promise.all(others.map(waits))).toEqual([true, true, true, true])
  removeHold(host.holdDir)
  expect((await Promise.all(others)).map((each) => each.status)).toEqual([200, 200, 200, 200])
})

test('a flag of a Samovar that died holds nobody for longer than it says', async () => {
  hold({ holdUntil: Date.now() + 1_500, endsAt: Date.now() + 1_500 })
  const held = await host.ask('/version')
  expect(held.status).toBe(200)
  expect(held.ms).toBeGreaterThan(500)
  const next = await host.ask('/version')
  expect([next.status, next.ms < 500]).toEqual([200, true])
  removeHold(host.holdDir)
})

test.each([
  ['that cannot be read', 'half a fla'],
  [
    'of another service',
    JSON.stringify({ services: ['other'], holdUntil: 9e15, opensAt: null, endsAt: 9e15 }),
  ],
])('a flag %s holds nobody', async (_, content) => {
  await writeFile(flagFile(), content)
  expect(await waits(host.ask('/version'))).toBe(false)
  removeHold(host.holdDir)
})

test('over HTTP/2 requests wait, too, one beside the other, and bodies arrive whole', async () => {
  hold()
  const session = connect(host.https, { ca: host.ca })
  const send = async (path: string, body?: Buffer): Promise<string> => {
    const stream = session.request({ ':path': path, ':method': body === undefined ? 'GET' : 'POST' })
    stream.end(body)
    return text(stream)
  }
  const body = Buffer.alloc(3 * MB, 'samovar')
  const asked = [send('/version'), send('/upload?id=two', body)]
  expect(await Promise.all(asked.map(waits))).toEqual([true, true])
  removeHold(host.holdDir)
  const sha256 = createHash('sha256').update(body).digest('hex')
  expect((await Promise.all(asked)).map((each) => JSON.parse(each) as unknown)).toEqual([
    { version: expect.any(String) },
    { version: expect.any(String), bytes: 3 * MB, sha256 },
  ])
  session.destroy()
})

test('a POST on which the other side died is not sent again, held before or not', async () => {
  const post = (id: string) => host.ask(`/die?id=${id}`, { method: 'POST', body: chunks(MB, {}) })
  expect((await post('plain')).status).toBe(502)
  hold()
  const asked = post('held')
  expect(await waits(asked)).toBe(true)
  const flag = readHold(host.holdDir, 'test')
  if (flag !== null) openHold(host.holdDir, flag, Date.now())
  // Still an update: no bare 502.
  expect((await asked).headers['retry-after']).toBe('20')
  removeHold(host.holdDir)
  const seen = await host.uploads()
  for (const id of ['plain', 'held'])
    expect(seen.filter((each) => each.id === id && each.begun === true).length, id).toBe(1)
})

test('more than 200 are not held: the others are told to come back, and those who wait get through', async () => {
  hold()
  const asked = Array.from({ length: 220 }, () => host.ask('/version'))
  let refused = 0
  for (const each of asked)
    void each.then(({ status }) => {
      if (status === 503) refused += 1
    })
  await until('twenty are refused', () => refused === 20, { withinMs: 20_000 })
  removeHold(host.holdDir)
  const answers = await Promise.all(asked)
  expect(answers.filter((each) => each.status === 200).length).toBe(200)
  const told = answers.filter((each) => each.status === 503)
  expect(told.length).toBe(20)
  for (const each of told) expect(each.headers['retry-after']).toBe('20')
})

test('a reload of nginx while requests wait loses none of them', async () => {
  hold()
  const asked = Array.from({ length: 20 }, () => host.ask('/version'))
  await pause(300)
  await host.reload()
  await pause(1_000)
  removeHold(host.holdDir)
  expect((await Promise.all(asked)).map((each) => each.status)).toEqual(Array<number>(20).fill(200))
})

test('a program gets the page as JSON; without a page nginx says what it always says', async () => {
  hold({ holdUntil: 0 })
  const json = await host.ask('/api/v1/version')
  expect([json.status, JSON.parse(json.text)]).toEqual([503, page])
  removeHold(host.holdDir)
  await host.rig.docker.getContainer(await host.container('gitea')).stop()
  const gone = await host.ask('/version')
  expect([gone.status, gone.headers['retry-after']]).toEqual([502, undefined])
  expect(gone.text).toContain('nginx')
})
