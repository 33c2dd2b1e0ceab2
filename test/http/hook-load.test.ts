import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rememberDeliveries } from '../../reconciler/http/deliveries.ts'
import { openedJournal } from '../journal/told-operations.ts'
import { until } from '../rig/until.ts'
import { delivery, pushBody } from './hook-caller.ts'
import { type HookServer, serveHooks } from './hook-server.ts'

let opened: Awaited<ReturnType<typeof openedJournal>>
beforeAll(async () => {
  opened = await openedJournal('hook-load')
})
afterAll(() => opened[Symbol.asyncDispose]())

const mebibyte = 1024 * 1024

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What the process holds after everything that nobody needs is gone. */
function held(): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** What the process holds at most while the work goes on, beyond what it held before. */
async function growthDuring(work: Promise<unknown>): Promise<number> {
  const before = held()
  let most = 0
  const look = setInterval(() => {
    most = Math.max(most, held() - before)
  }, 20)
  await work
  clearInterval(look)
  return most
}

describe('a body that is too large', () => {
  const ten = Buffer.alloc(10 * mebibyte, ' ')

  test('is refused by its length alone, and in chunks as soon as it is longer; it is not kept', async () => {
    await using server = await serveHooks(opened.journal)
    const chunks = Array.from({ length: 160 }, () => ten.subarray(0, 64 * 1024))
    expect((await server.call(delivery(ten))).status).toBe(413)
    expect((await server.call({ ...delivery('x'.repeat(64)), body: chunks })).status).toBe(413)
    const many = Array.from({ length: 12 }, () => server.call({ ...delivery(''), body: chunks }))
    const growth = await growthDuring(Promise.all(many))
    for (const each of many) expect((await each).status).toBe(413)
    // Twelve bodies of 2 MiB at most; kept whole they would be 120 MB.
    expect(growth).toBeLessThan(60 * mebibyte)
    expect(held()).toBeLessThan(120 * mebibyte)
    expect(server.led).toEqual([])
    expect(await server.counted('gitea', 'too-large')).toBe(14)
    expect(server.told).toEqual([expect.stringContaining('with more than 2097152 bytes was refused')])
  })

  test('is not read at all without something that can be a signature', async () => {
    await using server = await serveHooks(opened.journal)
    expect((await server.call(delivery(ten, { 'x-gitea-signature': '' }))).status).toBe(401)
    expect((await server.call({ path: '/hooks/diun', body: ten })).status).toBe(401)
  })

  test('of just 2 MiB is taken', async () => {
    await using server = await serveHooks(opened.journal)
    const body = pushBody()
    const padded = body + ' '.repeat(2 * mebibyte - Buffer.byteLength(body))
    expect((await server.call(delivery(padded))).status).toBe(202)
    expect((await server.call(delivery(`${padded} `))).status).toBe(413)
    expect(server.led).toHaveLength(1)
  })
})

describe('a burst', () => {
  test('of 1,000 deliveries is answered whole with 202, and nothing of it is kept', async () => {
    await using server = await serveHooks(opened.journal)
    await server.call(delivery(pushBody()))
    const before = held()
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => server.call(delivery(pushBody()))))
    expect(answers.filter(({ status }) => status !== 202)).toEqual([])
    expect(await server.counted('gitea', 'accepted')).toBe(1_001)
    expect(server.led).toHaveLength(1_001)
    expect(held() - before).toBeLessThan(20 * mebibyte)
  })

  test('of 2,000 calls without a right signature is refused whole, with a line for the operator and no more', async () => {
    await using server = await serveHooks(opened.journal)
    const before = held()
    for (let round = 0; round < 4; round += 1) {
      const headers = { 'x-gitea-signature': '0'.repeat(64) }
      const answers = await Promise.all(
        Array.from({ length: 500 }, () => server.call(delivery(pushBody(), headers))),
      )
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]))
    }
    expect(server.told).toHaveLength(1)
    expect(server.led).toEqual([])
    expect(held() - before).toBeLessThan(20 * mebibyte)
  })
})

// Each waits for the ten seconds to pass.
describe.concurrent('a caller that sends a byte now and then', () => {
  test('with a large body holds 32 MiB at most beside others like it, and they end by themselves', async () => {
    await using server = await serveHooks(opened.journal)
    await using slow = manyUnfinished(server, 40)
    await until('some are refused', async () => (await server.counted('gitea', 'busy')) === 24, {
      withinMs: 5_000,
    })
    expect((await server.call(delivery(pushBody()))).status, 'as long as they go on').toBe(503)
    await until('they are cut', () => slow.open() === 0, { withinMs: 15_000 })
    expect((await server.call(delivery(pushBody()))).status).toBe(202)
    expect(server.led).toHaveLength(1)
  })

  test('is cut after ten seconds, in its headers as in its body', async () => {
    await using server = await serveHooks(opened.journal)
    const { headers } = delivery('x'.repeat(1_000))
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const began = performance.now()
    const cut = [
      'POST /hooks/gitea HTTP/1.1\r\nhost: a\r\nx-one: ',
      `POST /hooks/gitea HTTP/1.1\r\nhost: a\r\n${lines.join('')}content-length: 1000\r\n\r\n{`,
    ].map((begin) => cutAfter(server, begin))
    expect((await server.call(delivery(pushBody()))).status, 'others are served meanwhile').toBe(202)
    for (const answer of await Promise.all(cut)) expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(performance.now() - began).toBeLessThan(15_000)
  })

  test('with headers that are too large is refused', async () => {
    await using server = await serveHooks(opened.journal)
    expect((await server.call(delivery(pushBody(), { 'x-much': 'x'.repeat(20_000) }))).status).toBe(431)
    expect((await server.call(delivery(pushBody()))).status).toBe(202)
  })
})

describe('what is remembered of deliveries', () => {
  test('is bounded by age and number', async () => {
    await using journal = await openedJournal('deliveries')
    let now = 0
    const day = 24 * 60 * 60_000
    const first = rememberDeliveries(journal.journal, () => now)
    expect([first('old'), first('old')]).toEqual([true, false])
    now = 7 * day
    expect(first('old')).toBe(false)
    now = 9 * day
    for (let count = 0; count < 600; count += 1) first(`new-${count}`)
    expect(first('old')).toBe(true)
    expect(first('new-0')).toBe(false)
  })

  test('is at most 10,000 of them, and those forgotten are the oldest', () => {
    const kept: number[] = []
    const first = rememberDeliveries(
      { firstDelivery: () => true, forgetDeliveries: (_before, keep) => void kept.push(keep) },
      () => 0,
    )
    for (let count = 0; count < 1_200; count += 1) first(String(count))
    expect(kept).toEqual([10_000, 10_000, 10_000])
  })
})

function manyUnfinished(server: HookServer, count: number) {
  const { port } = new URL(server.url)
  const { headers } = delivery('x')
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  let open = count
  const sockets = Array.from({ length: count }, () => {
    const socket = connect({ host: '127.0.0.1', port: Number(port) })
    socket.on('error', () => {})
    socket.on('close', () => (open -= 1))
    socket.resume()
    socket.write(
      `POST /hooks/gitea HTTP/1.1\r\nhost: a\r\n${lines.join('')}content-length: ${2 * mebibyte}\r\n\r\n{`,
    )
    return socket
  })
  return {
    open: () => open,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Sends the begin of a request and then a byte now and then; what was answered until it was cut. */
function cutAfter(server: HookServer, begin: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(server.url).port) })
  socket.setEncoding('utf8')
  socket.write(begin)
  const drip = setInterval(() => socket.write('a'), 200)
  let text = ''
  socket.on('data', (more: string) => (text += more))
  socket.on('error', () => {})
  return new Promise((resolve) => {
    socket.on('close', () => {
      clearInterval(drip)
      resolve(text)
    })
  })
}
