import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { contentOf, type Exchange, keptHeadersOf, maskSecrets, recordedUrl } from './exchange.ts'

export type RecordingProxy = {
  url: string
  exchanges: Exchange[]
  /** Writes what was recorded so far, an exchange a line. */
  write(file: string, version: string): Promise<void>
} & AsyncDisposable

/** Passes requests on to a real Gitea and keeps each with its answer, secrets masked. */
export async function startRecordingProxy(target: string): Promise<RecordingProxy> {
  const exchanges: Exchange[] = []
  const mask = maskSecrets()
  const server = createServer((incoming, outgoing) => {
    pass(target, incoming, outgoing).then(
      ({ exchange, url }) => exchanges.push(masked(exchange, [url, target], mask)),
      (error: unknown) => outgoing.destroy(error instanceof Error ? error : undefined),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges,
    async write(file, version) {
      await mkdir(dirname(file), { recursive: true })
      const lines = exchanges.map((each) => JSON.stringify(each)).join(',\n')
      await writeFile(file, `{"version":${JSON.stringify(version)},"exchanges":[\n${lines}\n]}\n`)
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function pass(
  target: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<{ exchange: Exchange; url: string }> {
  const { method = '', url: path = '', headers } = incoming
  const body = await buffer(incoming)
  const answer = await fetch(target + path, {
    method,
    redirect: 'manual',
    headers: {
      ...(headers.authorization === undefined ? {} : { authorization: headers.authorization }),
      ...(headers['content-type'] === undefined ? {} : { 'content-type': headers['content-type'] }),
    },
    ...(body.length === 0 ? {} : { body }),
  })
  const text = await answer.text()
  const kept = keptHeadersOf(answer.headers)
  outgoing.writeHead(answer.status, kept).end(text)
  const exchange = {
    method,
    path,
    sent: contentOf(body.toString()),
    status: answer.status,
    headers: kept,
    answer: contentOf(text),
  }
  return { exchange, url: `http://${headers.host}` }
}

/** Newer versions of Gitea name in links the host that they were asked by, which is the proxy or Gitea itself. */
function masked(exchange: Exchange, urls: string[], mask: (value: unknown) => unknown): Exchange {
  const moved = urls.reduce((text, url) => text.replaceAll(url, recordedUrl), JSON.stringify(mask(exchange)))
  return JSON.parse(moved) as Exchange
}
