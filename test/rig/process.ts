import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

export type Finished = { exitCode: number; stdout: string; stderr: string }
export type RunOptions = {
  cwd?: string
  env?: NodeJS.ProcessEnv
  input?: string | Uint8Array
  /** Milliseconds after which the command is killed; five minutes when not named. */
  timeoutMs?: number
}

/** Runs a command to its end and answers what it printed; throws only when it could not be started. */
export async function run(command: string, args: string[], options: RunOptions = {}): Promise<Finished> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
  })
  // Not spawn's own timeout: that one keeps this process alive when the command could not be started.
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 300_000)
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A command that ends without reading its input is no failure of ours: its exit code says what it thinks.
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 137))
  }).finally(() => clearTimeout(timer))
  return { exitCode, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
}

/** As `run`, but a failure is an error that carries the command and the last lines it wrote. Answers stdout. */
export async function mustRun(command: string, args: string[], options: RunOptions = {}): Promise<string> {
  const finished = await run(command, args, options)
  if (finished.exitCode !== 0) {
    const last = `${finished.stdout}\n${finished.stderr}`.trim().split('\n').slice(-12).join('\n')
    throw new Error(`\`${[command, ...args].join(' ')}\` ended with exit code ${finished.exitCode}:\n${last}`)
  }
  return finished.stdout
}

/** True when the command is there and ends with 0. */
export async function works(command: string, args: string[], options: RunOptions = {}): Promise<boolean> {
  return run(command, args, { timeoutMs: 20_000, ...options }).then(
    (finished) => finished.exitCode === 0,
    () => false,
  )
}

/** One process, also after its number was given to another one and after a reboot. */
export type Owner = { pid: number; startTicks: number; boot: string }

const bootId = (() => {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return 'unknown'
  }
})()

/** Field 22 of /proc/PID/stat: clock ticks from boot to the start of the process; 0 when there is none. */
function startTicks(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? 0 : Number(fields[19])
  } catch {
    return 0
  }
}

export function ownerOf(pid: number): Owner {
  return { pid, startTicks: startTicks(pid), boot: bootId }
}

/** True while exactly that process runs. */
export function isAlive(owner: Owner): boolean {
  return owner.boot === bootId && owner.startTicks !== 0 && startTicks(owner.pid) === owner.startTicks
}

/** True while the machine has not been restarted since. */
export function isThisBoot(owner: Owner): boolean {
  return owner.boot === bootId
}

/** Ends a process: SIGTERM, and SIGKILL when it has not ended within the grace (milliseconds). */
export async function end(owner: Owner, graceMs: number): Promise<void> {
  for (const [signal, patience] of [
    ['SIGTERM', graceMs],
    ['SIGKILL', 5_000],
  ] as const) {
    const deadline = Date.now() + patience
    if (!isAlive(owner)) return
    process.kill(owner.pid, signal)
    while (isAlive(owner) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
