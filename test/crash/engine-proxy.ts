import type { ChildProcess } from 'node:child_process'
import {
  createServer,
  type IncomingMessage,
  type RequestOptions,
  request,
  type ServerResponse,
} from 'node:http'
import { join } from 'node:path'
import { tempFolder } from '../rig/temp-folder.ts'

/** One mutating request, as in `POST /containers/stop`, and whether the engine answered it. */
export type Request = string

type KillAt = { number: number; when: 'before' | 'during' | 'after' }

/** A Unix socket in front of the engine that counts what a process changes there, and kills it around one request. */
export type EngineProxy = {
  /** For DOCKER_HOST. */
  dockerHost: string
  /** From now on requests count for this process; answers the list they are written into. */
  follow(child: ChildProcess, kill: KillAt | null): Request[]
} & AsyncDisposable

export async function startEngineProxy(dockerHost: string): Promise<EngineProxy> {
  const folder = await tempFolder('proxy')
  const socketPath = join(folder.path, 'engine.sock')
  const engine = addressOf(dockerHost)
  let followed: { child: ChildProcess; kill: KillAt | null; requests: Request[] } | undefined

  const server = createServer((incoming, response) => {
    const mutating = incoming.method === 'POST' || incoming.method === 'DELETE'
    if (followed === undefined || !mutating) {
      forward(engine, incoming, response)
      return
    }
    const { child, kill, requests } = followed
    requests.push(nameOf(incoming))
    const when = requests.length === kill?.number ? kill.when : null
    const die = () => {
      child.kill('SIGKILL')
      incoming.socket.destroy()
    }
    if (when === 'before') die()
    else if (when === 'during') forward(engine, incoming, response, { sent: die })
    else if (when === 'after') forward(engine, incoming, response, { answered: die })
    else forward(engine, incoming, response)
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return {
    dockerHost: `unix://${socketPath}`,
    follow(child, kill) {
      const requests: Request[] = []
      followed = { child, kill, requests }
      return requests
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** Instead of passing the answer on: called when the engine has the request, or when its answer has come. */
type Instead = { sent?: () => void; answered?: () => void }

function forward(
  engine: RequestOptions,
  incoming: IncomingMessage,
  response: ServerResponse,
  instead: Instead = {},
): void {
  const { method, url: path, headers } = incoming
  const onward = request({ ...engine, method, path, headers })
  onward.once('error', () => response.destroy())
  onward.once('response', (answer) => {
    if (instead.answered !== undefined) {
      answer.resume()
      answer.once('end', instead.answered)
    } else if (instead.sent === undefined) {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    } else answer.resume()
  })
  incoming.pipe(onward)
  if (instead.sent !== undefined) onward.once('finish', () => setTimeout(() => instead.sent?.(), 5))
  // A pull or a wait that its client has left ends in the engine, too.
  else if (instead.answered === undefined) response.once('close', () => onward.destroy())
}

function addressOf(dockerHost: string): RequestOptions {
  if (dockerHost.startsWith('unix://')) return { socketPath: dockerHost.slice('unix://'.length) }
  const url = new URL(dockerHost.replace(/^tcp:/, 'http:'))
  return { host: url.hostname, port: url.port }
}

/** Without version and ids: `POST /containers/rename`. */
function nameOf({ method, url }: IncomingMessage): string {
  const path = new URL(url ?? '/', 'http://engine').pathname.replace(/^\/v[\d.]+/, '')
  return `${method} ${path.replaceAll(/\/[0-9a-f]{12,}/g, '')}`
}
