import { createConnection, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { tempFolder } from '../rig/temp-folder.ts'

export type CountedEngine = {
  /** For DOCKER_HOST: everything said to it reaches the real engine. */
  dockerHost: string
  /** Forgets what was counted and answers it: `GET /containers/json`, without version and query. */
  taken(): string[]
} & AsyncDisposable

/**
 * Stands between a program and a Docker Engine and counts its requests. It passes bytes on as they are, so that
 * event streams and hijacked connections work; each request begins a chunk of its own, since nobody pipelines here.
 *
 * @param dockerHost `unix://...` or `tcp://...`
 */
export async function countedEngine(dockerHost: string): Promise<CountedEngine> {
  const folder = await tempFolder('counted')
  const path = join(folder.path, 'engine.sock')
  const open = new Set<Socket>()
  let calls: string[] = []
  const server = createServer((client) => {
    const engine = createConnection(whereIs(dockerHost))
    for (const socket of [client, engine]) {
      open.add(socket)
      socket.once('close', () => open.delete(socket))
      socket.on('error', () => [client, engine].forEach((each) => each.destroy()))
    }
    client.on('data', (chunk) => calls.push(...requestIn(chunk)))
    client.pipe(engine).pipe(client)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  return {
    dockerHost: `unix://${path}`,
    taken: () => {
      const counted = calls
      calls = []
      return counted
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await folder[Symbol.asyncDispose]()
    },
  }
}

function requestIn(chunk: Buffer): string[] {
  const line = /^(GET|HEAD|POST|PUT|DELETE) (?:\/v[\d.]+)?(\/[^ ?]*)\S* HTTP\/1\.1\r\n/.exec(
    chunk.subarray(0, 4096).toString('latin1'),
  )
  return line === null ? [] : [`${line[1]} ${line[2]}`]
}

function whereIs(dockerHost: string): { path: string } | { host: string; port: number } {
  if (dockerHost.startsWith('unix://')) return { path: dockerHost.slice('unix://'.length) }
  const url = new URL(dockerHost.replace(/^tcp:/, 'http:'))
  return { host: url.hostname, port: Number(url.port || 2375) }
}
