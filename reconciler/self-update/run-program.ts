import { spawn } from 'node:child_process'

export type Ended = { exitCode: number; stdout: string; stderr: string }
type RunOptions = { timeoutMs: number; environment?: Record<string, string | undefined>; cwd?: string }

/** Nobody reads more of what a program says. */
const mostText = 1024 * 1024

/**
 * Runs a program to its end, or kills it when its time (milliseconds) is over: then the exit code is 137.
 * @throws the error of `spawn` when it cannot be started
 */
export async function runProgram(command: string, args: string[], options: RunOptions): Promise<Ended> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: options.cwd,
    ...(options.environment === undefined ? {} : { env: options.environment }),
  })
  const texts = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      if (texts[name].length < mostText) texts[name] += chunk
    })
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs)
  try {
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      // Not `close`: a service that the command started may keep its streams.
      child.once('exit', (code) => setImmediate(() => resolve(code ?? 137)))
    })
    return { exitCode, ...texts }
  } finally {
    clearTimeout(timer)
    child.stdout.destroy()
    child.stderr.destroy()
  }
}
