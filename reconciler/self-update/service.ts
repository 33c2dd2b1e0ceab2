import { sentenceOf } from '../errors.ts'
import { type Clock, durationInWords } from '../health/clock.ts'
import { runProgram } from './run-program.ts'

/** How the running Samovar stands: `ready`, it `answers` but is not ready, or nothing answers. */
export type Sight = { state: 'ready' | 'answers' | 'away'; version: string | null; said: string }

const patience = 2_000
const every = 250

/** Asks /readyz once. Never throws. */
export async function lookAtService(url: string): Promise<Sight> {
  try {
    const answer = await fetch(`${url}/readyz`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(patience),
    })
    const { version, reason } = (await answer.json()) as { version?: unknown; reason?: unknown }
    if (typeof version !== 'string') throw new Error('what answers is not Samovar')
    if (answer.ok) return { state: 'ready', version, said: `version ${version} is ready` }
    return { state: 'answers', version, said: `version ${version} is not ready: ${String(reason)}` }
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    return { state: 'away', version: null, said: `nothing answers at ${url} (${sentenceOf(cause)})` }
  }
}

export type Expected = { version: string; least: 'ready' | 'answers'; withinMs: number; steadyMs: number }

/**
 * Waits until that very version stands as expected for a while without a break.
 * @returns null, or what was seen last when the time was over
 */
export async function waitForService(url: string, expected: Expected, clock: Clock): Promise<string | null> {
  const never = new AbortController().signal
  const deadline = clock.now() + expected.withinMs
  let goodSince: number | null = null
  for (;;) {
    const sight = await lookAtService(url)
    const isGood =
      sight.version === expected.version && (sight.state === 'ready' || sight.state === expected.least)
    goodSince = isGood ? (goodSince ?? clock.now()) : null
    if (goodSince !== null && clock.now() - goodSince >= expected.steadyMs) return null
    if (clock.now() >= deadline) {
      const said =
        sight.version !== null && sight.version !== expected.version
          ? `version ${sight.version} answers instead`
          : sight.said
      return `${said}, ${durationInWords(expected.withinMs)} after the restart`
    }
    await clock.sleep(every, never)
  }
}

/**
 * Restarts the service through the command of the init system.
 * @returns null, or why that failed
 */
export async function restartService(
  command: string,
  about: { timeoutMs: number; environment: Record<string, string | undefined> },
): Promise<string | null> {
  try {
    const { exitCode, stderr } = await runProgram('/bin/sh', ['-c', command], about)
    if (exitCode === 0) return null
    const last = stderr.trim().split('\n').at(-1) ?? ''
    return `\`${command}\` ended with exit code ${exitCode}${last === '' ? '' : `: ${last}`}`
  } catch (error) {
    return `\`${command}\` cannot be run: ${sentenceOf(error)}`
  }
}
