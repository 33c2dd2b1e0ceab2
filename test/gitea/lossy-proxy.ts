import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export type LossyProxy = {
  url: string
  /**
   * From now on a request that changes something is lost on its way, or its answer is: the first one after
   * `afterChanges` others, and with it the server, for the rest of this run. Null ends it.
   */
  lose(what: 'request' | 'answer' | null, options?: { afterChanges: number }): void
} & AsyncDisposable

/** Passes HTTP on until the connection dies, as it does when a server or this process is killed in mid-work. */
export async function startLossyProxy(target: string): Promise<LossyProxy> {
  let lost: 'request' | 'answer' | null = null
  let left = 0
  let isGone = false
  const server = createServer((incoming, outgoing) => {
    void (async (): Promise<unknown> => {
      const body = await buffer(incoming)
      const changes = incoming.method !== 'GET'
      if (isGone) return outgoing.destroy()
      const isLast = changes && lost !== null && left === 0
      if (changes) left -= 1
      if (isLast) isGone = true
      if (isLast && lost === 'request') return outgoing.destroy()
      const { authorization, 'content-type': type } = incoming.headers
      const answer = await fetch(target + incoming.url, {
        method: incoming.method ?? 'GET',
        headers: {
          ...(authorization === undefined ? {} : { authorization }),
          ...(type === undefined ? {} : { 'content-type': type }),
        },
        ...(body.length === 0 ? {} : { body }),
      })
      const text = await answer.text()
      if (isLast) return outgoing.destroy()
      const kept = ['content-type', 'x-total-count'].flatMap((name) => {
        const value = answer.headers.get(name)
        return value === null ? [] : [[name, value] as const]
      })
      return outgoing.writeHead(answer.status, Object.fromEntries(kept)).end(text)
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lose: (what, options) => {
      lost = what
      left = options?.afterChanges ?? 0
      isGone = false
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
