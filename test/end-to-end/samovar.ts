import { spawn } from 'node:child_process'
import { type Finished, run } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import { until } from '../rig/until.ts'
import type { TestHost } from './test-host.ts'

type About = Pick<TestHost, 'environment'> & {
  /** Words before the program, such as those of `unshare`, which become it. */
  launcher?: string[]
}

/** A verb as an operator calls it, in a process of its own. */
export const samovar = (host: About, args: string[], more: Record<string, string> = {}): Promise<Finished> =>
  run(process.execPath, ['reconciler/cli.ts', ...args], {
    env: { ...host.environment, ...more },
    timeoutMs: 60_000,
  })

/** The document of a verb with `--json`; fails when stdout holds anything else. */
export async function documentOf<T>(host: About, args: string[]): Promise<T> {
  return JSON.parse((await samovar(host, [...args, '--json'])).stdout) as T
}

export type Daemon = {
  url: string
  /** What it has logged so far. */
  log(): string[]
  /** Waits for a line of the log. */
  line(part: string, withinMs?: number): Promise<string>
  get(path: string): Promise<{ status: number; text: string }>
  metric(name: string): Promise<number>
  signal(name: NodeJS.Signals): void
  /** Resolves with the exit code. */
  ended: Promise<number | null>
} & AsyncDisposable

/** `samovar run` in a process of its own. */
export async function startDaemon(host: About, more: Record<string, string> = {}): Promise<Daemon> {
  const url = more['SAMOVAR_LISTEN'] ?? host.environment['SAMOVAR_LISTEN'] ?? `127.0.0.1:${await freePort()}`
  const [program, ...words] = [...(host.launcher ?? []), process.execPath, 'reconciler/cli.ts', 'run']
  const child = spawn(program, words, {
    env: { ...host.environment, SAMOVAR_LISTEN: url, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const log = () => text.split('\n').filter((line) => line !== '')
  const get = async (path: string) => {
    const answer = await fetch(`http://${url}${path}`, { headers: { connection: 'close' } })
    return { status: answer.status, text: await answer.text() }
  }
  return {
    url: `http://${url}`,
    log,
    line: (part, withinMs = 20_000) =>
      until(`the log says "${part}"`, () => log().find((line) => line.includes(part)), { withinMs }).catch(
        (error: Error) => {
          throw new Error(`${error.message}; the log:\n${text}`)
        },
      ),
    get,
    async metric(name) {
      const { text: metrics } = await get('/metrics')
      const line = metrics.split('\n').find((each) => each.startsWith(`${name} `))
      return Number(line?.slice(name.length))
    },
    signal: (name) => void child.kill(name),
    ended,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) child.kill('SIGKILL')
      await ended
    },
  }
}
