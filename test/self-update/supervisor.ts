import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

/**
 * Stands in for systemd: starts what `current` names, again when it ends, and anew when it is told to. As with
 * Type=notify, telling it so ends when the service serves, and fails when it ended before that.
 */
export type Supervisor = {
  /** For /bin/sh. */
  restartCommand: string
  restarts: number
  start(): Promise<void>
  running(): number | undefined
} & AsyncDisposable

/** As RestartSec, only shorter. */
const pause = 100

export async function startSupervisor(
  root: string,
  options: { environment: Record<string, string>; url: string },
): Promise<Supervisor> {
  let child: ChildProcess | null = null
  let ended = false
  let wanted = 0
  const begin = () => {
    const turn = ++wanted
    child = spawn(process.execPath, [join(root, 'current/reconciler/cli.ts'), 'run'], {
      env: options.environment,
      stdio: 'ignore',
    })
    child.once('exit', () => {
      setTimeout(() => {
        if (!ended && turn === wanted) begin()
      }, pause)
    })
  }
  const stop = async () => {
    wanted += 1
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    const timer = setTimeout(() => child?.kill('SIGKILL'), 10_000)
    await gone
    clearTimeout(timer)
  }
  /** False when what was started has ended. */
  const serves = async (): Promise<boolean> => {
    const started = child
    while (started?.exitCode === null && started.signalCode === null) {
      const answer = await fetch(options.url, { headers: { connection: 'close' } }).catch(() => null)
      if (answer !== null) return true
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
    return false
  }
  const server = createServer((_request, response) => {
    supervisor.restarts += 1
    void stop()
      .then(() => {
        begin()
        return serves()
      })
      .then((isFine) => response.writeHead(isFine ? 200 : 500).end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const supervisor: Supervisor = {
    restartCommand: `${process.execPath} -e "fetch('http://127.0.0.1:${port}/').then((answer) => process.exit(answer.ok ? 0 : 1))"`,
    restarts: 0,
    async start() {
      await stop()
      begin()
    },
    running: () => child?.pid,
    async [Symbol.asyncDispose]() {
      ended = true
      await stop()
      server.closeAllConnections()
      server.close()
    },
  }
  return supervisor
}
