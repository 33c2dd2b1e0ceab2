import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { isDeepStrictEqual } from 'node:util'
import { contentOf, type Exchange, maskSecrets, type Recording } from './exchange.ts'

export type ReplayServer = {
  url: string
  /** Requests that were never recorded, and recorded ones that nobody made. */
  problems(): string[]
} & AsyncDisposable

/**
 * Answers as a recording does: for each method and path in its order, when the body is the same. Anything else is
 * answered with 418 and is a problem.
 */
export async function startReplayServer(recording: Recording): Promise<ReplayServer> {
  const left = [...recording.exchanges]
  const problems: string[] = []
  const mask = maskSecrets()
  const server = createServer((incoming, outgoing) => {
    void replay(left, incoming, outgoing, mask).then((problem) => problem !== null && problems.push(problem))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    problems: () => [...problems, ...left.map((each) => `never asked: ${each.method} ${each.path}`)],
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function replay(
  left: Exchange[],
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  mask: (value: unknown) => unknown,
): Promise<string | null> {
  const { method, url: path } = incoming
  const sent = mask(contentOf(await text(incoming)))
  const next = left.find((each) => each.method === method && each.path === path)
  if (next === undefined || !isDeepStrictEqual(next.sent, sent)) {
    outgoing.writeHead(418, { 'content-type': 'application/json' }).end('{"message":"not in the recording"}')
    const expected = next === undefined ? 'nothing more' : JSON.stringify(next.sent)
    return `${method} ${path}: recorded is ${expected}, sent was ${JSON.stringify(sent)}`
  }
  left.splice(left.indexOf(next), 1)
  const body =
    typeof next.answer === 'string' ? next.answer : next.answer === null ? '' : JSON.stringify(next.answer)
  outgoing.writeHead(next.status, next.headers).end(body)
  return null
}
