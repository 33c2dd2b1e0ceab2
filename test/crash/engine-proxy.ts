import type { ChildProcess } from 'node:child_process'
import {
  createServer,
  type IncomingMessage,
  type RequestOptions,
  request,
  type ServerResponse,
} from 'node:http'
import { connect, type Socket } from 'node:net'
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

/** @param filling called when files are about to be written into a container */
export async function startEngineProxy(
  dockerHost: string,
  filling: () => void = () => {},
): Promise<EngineProxy> {
  const folder = await tempFolder('proxy')
  const socketPath = join(folder.path, 'engine.sock')
  const engine = addressOf(dockerHost)
  const open = new Set<Socket>()
  let followed: { child: ChildProcess; kill: KillAt | null; requests: Request[] } | undefined

  /** Counts a request; `when` says whether and how the process dies at it. */
  const counted = (incoming: IncomingMessage) => {
    if (followed === undefined || !isMutating(incoming)) return { when: null, die: () => {} }
    const { child, kill, requests } = followed
    requests.push(nameOf(incoming))
    const die = () => {
      child.kill('SIGKILL')
      incoming.socket.destroy()
    }
    return { when: requests.length === kill?.number ? kill.when : null, die }
  }

  const server = createServer((incoming, response) => {
    if (incoming.method === 'PUT') filling()
    const { when, die } = counted(incoming)
    if (when === 'before') die()
    else if (when === 'during') forward(engine, incoming, response, { sent: die })
    else if (when === 'after') forward(engine, incoming, response, { answered: die })
    else forward(engine, incoming, response)
  })
  // A program in a container: the connection becomes its input and output.
  server.on('upgrade', (incoming: IncomingMessage, client: Socket, head: Buffer) => {
    const { when, die } = counted(incoming)
    if (when === 'before') return die()
    passOn(engine, { incoming, client, head, open }, when === 'after' ? die : null)
    if (when === 'during') setTimeout(die, 5)
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
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** A wait is a question, and a program that was only made does nothing yet. */
function isMutating(incoming: IncomingMessage): boolean {
  const name = nameOf(incoming)
  if (['POST /containers/wait', 'POST /containers/exec'].includes(name)) return false
  return ['POST', 'DELETE', 'PUT'].includes(incoming.method ?? '')
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
  // The engine must see that the rest of an archive never comes.
  incoming.once('close', () => {
    if (!incoming.complete) onward.destroy()
  })
  if (instead.sent !== undefined) {
    const begun = () => setTimeout(() => instead.sent?.(), 5)
    if (method === 'PUT') incoming.once('data', begun)
    else onward.once('finish', begun)
  }
  // A pull or a wait that its client has left ends in the engine, too.
  else if (instead.answered === undefined) response.once('close', () => onward.destroy())
}

type Upgrade = { incoming: IncomingMessage; client: Socket; head: Buffer; open: Set<Socket> }

/** Both ways as they come, each with an end of its own; `ended` is called instead of passing the engine's end on. */
function passOn(
  engine: RequestOptions,
  { incoming, client, head, open }: Upgrade,
  ended: (() => void) | null,
): void {
  const { method, url, rawHeaders } = incoming
  const address =
    engine.socketPath == null
      ? { host: String(engine.host), port: Number(engine.port) }
      : { path: engine.socketPath }
  const onward = connect({ ...address, allowHalfOpen: true })
  const lines = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1]}`] : []))
  onward.write(`${method} ${url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  onward.write(head)
  for (const [one, other] of [
    [client, onward],
    [onward, client],
  ] as const) {
    open.add(one)
    one.on('error', () => other.destroy())
    one.on('close', () => {
      open.delete(one)
      other.destroy()
    })
  }
  client.pipe(onward)
  onward.pipe(client, { end: ended === null })
  if (ended !== null) onward.once('end', ended)
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
