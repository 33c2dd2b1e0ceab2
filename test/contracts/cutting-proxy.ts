import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { tempFolder } from '../rig/temp-folder.ts'

/** A Unix socket in front of the engine that loses connections, as a proxy with a time limit does. */
export type CuttingProxy = {
  /** For DOCKER_HOST. */
  dockerHost: string
  /** Every connection ends, quietly, when the engine has sent that many bytes over it; null lets all through again. */
  cutAfter(bytes: number | null): void
} & AsyncDisposable

export async function startCuttingProxy(dockerHost: string): Promise<CuttingProxy> {
  const folder = await tempFolder('cutting')
  const socketPath = join(folder.path, 'engine.sock')
  const open = new Set<Socket>()
  let limit: number | null = null
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const engine = connect({ path: dockerHost.replace('unix://', ''), allowHalfOpen: true })
    let sent = 0
    for (const [one, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      open.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        open.delete(one)
        other.destroy()
      })
    }
    client.pipe(engine)
    engine.on('data', (chunk: Buffer) => {
      sent += chunk.length
      if (limit !== null && sent > limit) {
        client.end()
        engine.destroy()
      } else if (!client.write(chunk)) {
        engine.pause()
        client.once('drain', () => engine.resume())
      }
    })
    engine.on('end', () => client.end())
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return {
    dockerHost: `unix://${socketPath}`,
    cutAfter: (bytes) => {
      limit = bytes
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await folder[Symbol.asyncDispose]()
    },
  }
}
