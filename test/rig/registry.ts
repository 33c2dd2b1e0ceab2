import { spawn } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { findProgram, needPackages, type Say } from './packages.ts'
import { end, type Owner, ownerOf } from './process.ts'
import { until } from './until.ts'

export type TestRegistry = {
  /** `127.0.0.1:PORT`; an engine speaks plain HTTP with addresses in 127.0.0.0/8. */
  address: string
  process: Owner
  stop(): Promise<void>
}

/**
 * Debian's docker-registry on a free loopback port. It goes on when this process is killed; the run's record has
 * its process, so that the next run ends it.
 *
 * @param folder an own folder for its configuration, data and log
 */
export async function startRegistry(folder: string, say: Say): Promise<TestRegistry> {
  await needPackages(
    [{ package: 'docker-registry', program: 'docker-registry', why: 'the registry of the test images' }],
    say,
  )
  await mkdir(folder, { recursive: true })
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(folder, await freePort())
    } catch (error) {
      // Another process may have taken the port between looking and listening.
      if (attempt === 3) throw error
    }
  }
}

async function startOnce(folder: string, port: number): Promise<TestRegistry> {
  const address = `127.0.0.1:${port}`
  const configuration = {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: { addr: address },
  }
  const file = join(folder, 'config.yml')
  await writeFile(file, JSON.stringify(configuration))
  const log = openSync(join(folder, 'registry.log'), 'w')
  const server = spawn(findProgram('docker-registry') ?? 'docker-registry', ['serve', file], {
    detached: true,
    stdio: ['ignore', log, log],
  })
  let ended: string | null = null
  server.once('exit', (code) => {
    ended = `docker-registry ended with exit code ${code}`
  })
  server.once('error', (error) => {
    ended = error.message
  })
  server.unref()
  await until(
    `the registry answers at ${address}`,
    async () => ended !== null || (await fetch(`http://${address}/v2/`)).ok,
    { withinMs: 20_000 },
  )
  // The log is read here and not at the end of the process: by then the folder of the run may be gone.
  if (ended !== null) {
    const said = readFileSync(join(folder, 'registry.log'), 'utf8').slice(-600)
    throw new Error(`${String(ended)}: ${said}`)
  }
  const owner = ownerOf(server.pid ?? 0)
  return { address, process: owner, stop: () => end(owner, 3_000) }
}

/**
 * A loopback port that nobody listens on at the moment. Below the range from which the kernel takes the ports of
 * outgoing connections: one of those may be in use again before the port is bound.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (await canListen(port)) return port
  }
  throw new Error('No free port on 127.0.0.1 between 20000 and 32000.')
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer()
  const listens = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => resolve(true))
  })
  if (listens) await new Promise((resolve) => server.close(resolve))
  return listens
}
