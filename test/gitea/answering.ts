import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type ApiOptions, connectApi } from '../../reconciler/gitea/api.ts'

export const secret = '0123456789abcdef0123456789abcdef01234567'

export type Server = { url: string; seen: { method: string; path: string; body: string }[] } & AsyncDisposable

/** A server that answers each request, by its number from 0, as the test says. */
export async function startServer(
  answer: (response: ServerResponse, nth: number, request: IncomingMessage) => void,
  port = 0,
): Promise<Server> {
  const seen: Server['seen'] = []
  const listener: RequestListener = (request, response) => {
    void text(request).then((body) => {
      seen.push({ method: request.method ?? '', path: request.url ?? '', body })
      answer(response, seen.length - 1, request)
    })
  }
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const json = (
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
) => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))

export const connect = (url: string, options: Partial<ApiOptions> = {}) =>
  connectApi({
    url,
    authorization: () => `token ${secret}`,
    credentials: 'SAMOVAR_GITEA_TOKEN',
    patience: { pausesMs: [5, 10] },
    ...options,
  })
