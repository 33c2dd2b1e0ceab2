import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { EngineProxy, Request } from './engine-proxy.ts'

/** What one-pass.ts writes: a point it reached, or what a pass ended with. */
export type Line = { point: string; ms: number } | Report
export type Report = {
  operations: {
    id: string
    service: string
    kind: string
    result: string
    reason: string
    attempts: number
  }[]
  plan: { service: string; action: string; held: string | null }[]
  findings: string[]
}

/**
 * Where the process dies: at the n-th point that it tells or some milliseconds later, around its n-th mutating Engine request (`before` it
 * reaches the engine, `during`: the engine has it and nobody waits for the answer, `after`: the engine did it and
 * Samovar never heard), when a pull has begun, or after a time.
 */
export type Kill =
  | { at: 'point'; number: number; later?: number }
  | { at: 'request'; number: number; when: 'before' | 'during' | 'after' }
  | { at: 'pull' }
  | { at: 'time'; ms: number }

export type Ran = {
  /** True when SIGKILL ended it. */
  killed: boolean
  /** The points it told, in order: `replace: set aside begun`. */
  points: string[]
  /** How long the steps took that these points end; 0 at their beginnings. */
  took: number[]
  /** Its mutating Engine requests, in order. */
  requests: Request[]
  /** One for each pass that came to its end. */
  reports: Report[]
  ms: number
}

/** `operation` instead of passes: `backup`, `verify LEVEL` (of the newest) or `restore BACKUP`. */
export type Passes = { passes?: number; kill?: Kill; operation?: string }

/** Milliseconds; some twenty times what the longest one takes on a quiet machine. */
const longestPass = 150_000

/** Runs a process that makes passes, through the proxy, and kills it where asked. An error of its own is thrown. */
export async function runPasses(
  environment: Record<string, string>,
  proxy: EngineProxy,
  { passes = 1, kill, operation = '' }: Passes = {},
): Promise<Ran> {
  const began = performance.now()
  const crashAt = kill?.at === 'point' ? String(kill.number) : kill?.at === 'pull' ? 'pull' : ''
  const later = kill?.at === 'point' ? String(kill.later ?? 0) : '0'
  const child = spawn(process.execPath, [join(import.meta.dirname, 'one-pass.ts')], {
    env: {
      ...environment,
      DOCKER_HOST: proxy.dockerHost,
      CRASH_AT: crashAt,
      CRASH_LATER: later,
      PASSES: String(passes),
      OPERATION: operation,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const requests = proxy.follow(child, kill?.at === 'request' ? kill : null)
  const timer = kill?.at === 'time' ? setTimeout(() => child.kill('SIGKILL'), kill.ms) : undefined
  const stuck = setTimeout(() => child.kill('SIGKILL'), longestPass)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const end = await new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  clearTimeout(timer)
  clearTimeout(stuck)
  if (end.signal === null && end.code !== 0)
    throw new Error(`a pass failed (exit code ${end.code}):\n${stderr}`)
  const ms = performance.now() - began
  if (end.signal !== null && (kill === undefined || ms > longestPass))
    throw new Error(`a pass hung:\n${stdout}${stderr}`)
  const lines = stdout
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line) as Line)
  const findings = lines.flatMap((line) => ('point' in line ? [] : line.findings))
  if (findings.length > 0) throw new Error(`the test's own commit is not good: ${findings.join('; ')}`)
  return {
    killed: end.signal === 'SIGKILL',
    points: lines.flatMap((line) => ('point' in line ? [line.point] : [])),
    took: lines.flatMap((line) => ('point' in line ? [line.ms] : [])),
    reports: lines.flatMap((line) => ('point' in line ? [] : [line])),
    requests,
    ms,
  }
}
