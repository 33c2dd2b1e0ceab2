import type { HealthCheck } from '../desired-state.ts'
import type { Engine } from '../engine/engine.ts'
import { sentenceOf } from '../errors.ts'
import { type Clock, durationInWords, realClock } from './clock.ts'
import { commandCheck } from './command.ts'
import { containerCheck } from './container.ts'
import { httpCheck } from './http.ts'
import { tcpCheck } from './tcp.ts'

/**
 * What a check saw, as a sentence for a person and safe to show. `final` says that no later run can pass, so
 * that nobody waits for it.
 */
export type CheckResult = { ok: true; said: string } | { ok: false; said: string; final?: boolean }

/** One health check, ready to run as often as wanted. */
export type Check = {
  /** For people, safe to show: `http https://git.example.com/api/v1/version`. */
  name: string
  /** Milliseconds from the end of one run to the start of the next. */
  every: number
  /** Milliseconds one run may take; `runCheck` keeps it. */
  timeout: number
  /** Looks once. Ends early when the signal fires; what it then answers or throws does not matter. */
  run(signal: AbortSignal): Promise<CheckResult>
}

/** What the checks of one service need to know about the roll-out they judge. */
export type CheckContext = {
  /** The Compose service whose container is judged. */
  service: string
  /** Stands for `{tag}` in url, header, body and json values. */
  tag: string
  engine: Pick<Engine, 'run' | 'inspect'>
  /** The instance that serves a Compose service now. */
  instanceOf: (service: string) => Promise<string>
  /** Restart count of the service's instance when the wait began; any more is a failure. */
  restartsAtStart: number
  /** The checkout; a relative `ca` file is looked up there. */
  root: string
  /** True for a service that is meant to end by itself with exit code 0 (others wait for its completion). */
  endsByItself?: boolean
  /** Shown to the proxy while it holds requests, so that it lets the check pass. */
  pass?: string | null
}

/**
 * Builds the checks of a service. Its container is watched in every case, so that one that exited or was restarted
 * is noticed at once and not only when `within` is over. When no check is named, the watch is the check: the engine's
 * own health check if the image or the Compose file has one, else running without a restart.
 */
export function makeChecks(policy: HealthCheck[], context: CheckContext): Check[] {
  const named = policy.map((check) => makeCheck(check, context))
  if (policy.some((check) => check.kind === 'container')) return named
  const health = named.length === 0 ? 'if-any' : 'ignored'
  return [containerCheck({ every: 1000, timeout: 10_000 }, health, context), ...named]
}

function makeCheck(check: HealthCheck, context: CheckContext): Check {
  switch (check.kind) {
    case 'http':
      return httpCheck(check, context)
    case 'tcp':
      return tcpCheck(check)
    case 'command':
      return commandCheck(check, context)
    case 'container':
      return containerCheck(check, 'required', context)
  }
}

/**
 * Runs a check once, within its timeout, and never throws: what a check throws is a failure that says why.
 *
 * @param signal Ends the run at once, also of a check that does not listen to it.
 */
export async function runCheck(
  check: Check,
  signal: AbortSignal,
  clock: Clock = realClock,
): Promise<CheckResult> {
  const over = new AbortController()
  const timeout = new AbortController()
  const either = AbortSignal.any([signal, timeout.signal])
  const expired = clock.sleep(check.timeout, AbortSignal.any([signal, over.signal])).then((): CheckResult => {
    const why = signal.aborted ? 'was cut short' : `no answer within ${durationInWords(check.timeout)}`
    return { ok: false, said: `${why} (${check.name})` }
  })
  const seen = Promise.resolve()
    .then(() => check.run(either))
    .catch((error: unknown): CheckResult => ({ ok: false, said: `${sentenceOf(error)} (${check.name})` }))
  try {
    return await Promise.race([seen, expired])
  } finally {
    over.abort()
    timeout.abort()
  }
}
