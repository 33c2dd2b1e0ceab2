import { createHash, type Hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { Agent, type RequestOptions, request } from 'node:https'
import { Readable } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout as pause } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { domain } from './stack-desired.ts'
import type { StackHost } from './stack-host.ts'

export type Answer = { status: number; headers: IncomingMessage['headers']; text: string; serial: string }
export type Ask = {
  method?: string
  headers?: Record<string, string>
  body?: string | AsyncIterable<Buffer>
  agent?: Agent
}

/** As a browser on another machine: by name and only with a certificate that Pebble has signed for it. */
export async function ask(host: StackHost, path: string, how: Ask = {}): Promise<Answer> {
  const ca = await readFile(host.authority)
  const { method = 'GET', headers = {}, body, agent } = how
  const options: RequestOptions = {
    ...{ host: host.address, port: 443, servername: domain, path, method, ca, timeout: 120_000 },
    headers: { Host: domain, ...headers },
    agent: agent ?? false,
  }
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const asked = request(options, (response) => {
    const serial = (response.socket as TLSSocket).getPeerCertificate().serialNumber ?? ''
    textOf(response).then(
      (text) => resolve({ status: response.statusCode ?? 0, headers: response.headers, text, serial }),
      reject,
    )
  })
  asked.on('error', (error: NodeJS.ErrnoException) => {
    // The server closed a connection at the moment it was used again: every browser asks once more.
    if (asked.reusedSocket && error.code === 'ECONNRESET')
      ask(host, path, { ...how, agent: new Agent() }).then(resolve, reject)
    else reject(error)
  })
  asked.on('timeout', () => asked.destroy(new Error('no answer in time')))
  if (body === undefined) asked.end()
  else pipeline(Readable.from(typeof body === 'string' ? [Buffer.from(body)] : body), asked).catch(reject)
  return promise
}

export type Seen = { path: string; status: number; text: string; serial: string; ms: number }

/** Visitors who look again and again: each second one on a connection of its own, the others keep theirs. */
export function visitors(host: StackHost, paths: string[], count = 4) {
  const answers: Seen[] = []
  let isOn = true
  const visitor = async (_: unknown, number: number) => {
    const agent =
      number % 2 === 0 ? new Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 0 }) : undefined
    for (let turn = number; isOn; turn += 1) {
      const path = paths[turn % paths.length] ?? '/'
      const began = performance.now()
      const seen = await ask(host, path, agent === undefined ? {} : { agent }).catch((error: unknown) => ({
        ...{ status: 0, text: String(error), serial: '' },
      }))
      const text = seen.text.slice(0, 200)
      answers.push({ path, status: seen.status, text, serial: seen.serial, ms: performance.now() - began })
      await pause(25)
    }
    agent?.destroy()
  }
  const all = Promise.all(Array.from({ length: count }, visitor))
  return {
    answers,
    /** Those that were not what was asked for. */
    bad: () => answers.filter((each) => each.status !== 200),
    async [Symbol.asyncDispose]() {
      isOn = false
      await all
    },
  }
}

/** A file as Gitea's API takes it, `bytes` long, said slowly and in pieces, with its hash once it was said. */
export function slowFile(
  path: string,
  bytes: number,
  overMs: number,
): { body: AsyncIterable<Buffer>; sha256: Promise<string> } {
  const hash = createHash('sha256')
  const { promise: sha256, resolve } = Promise.withResolvers<string>()
  return { body: piecesOf(path, { bytes, overMs, hash, done: () => resolve(hash.digest('hex')) }), sha256 }
}

async function* piecesOf(
  path: string,
  { bytes, overMs, hash, done }: { bytes: number; overMs: number; hash: Hash; done: () => void },
): AsyncGenerator<Buffer> {
  const pieces = 60
  // Whole groups of three bytes, so that the pieces of base64 are one.
  const piece = Buffer.alloc(Math.ceil(bytes / pieces / 3) * 3, 'samovar ')
  yield Buffer.from(`{"message":"uploaded","files":[{"operation":"create","path":"${path}","content":"`)
  const began = performance.now()
  for (let number = 1; number <= pieces; number += 1) {
    piece.writeUInt32BE(number, 0)
    hash.update(piece)
    yield Buffer.from(piece.toString('base64'))
    const due = began + (overMs * number) / pieces
    if (due > performance.now()) await pause(due - performance.now())
  }
  done()
  yield Buffer.from('"}]}')
}
