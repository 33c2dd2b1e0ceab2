import type { Inspected } from '../engine/engine.ts'
import { codeOf } from '../errors.ts'
import type { Check, CheckContext, CheckResult } from './health-check.ts'

/** `required`: the engine must say healthy; `if-any`: when it has a health check; `ignored`: running is enough. */
export type EngineHealthUse = 'required' | 'if-any' | 'ignored'

/**
 * The service's own container: running, never restarted since the wait began, and healthy as `health` says. One that
 * exited, was restarted or is gone fails for good: a restart count does not go back, and a crash loop passes
 * through "running" and "starting" again and again.
 */
export function containerCheck(
  pace: { every: number; timeout: number },
  health: EngineHealthUse,
  context: Pick<CheckContext, 'service' | 'engine' | 'instanceOf' | 'restartsAtStart' | 'endsByItself'>,
): Check {
  return {
    name: `container ${context.service}`,
    every: pace.every,
    timeout: pace.timeout,
    run: async () => {
      try {
        const instance = await context.instanceOf(context.service)
        return judge(await context.engine.inspect(instance), health, context)
      } catch (error) {
        if (codeOf(error) !== 'not-found') throw error
        return { ok: false, said: `the container of ${context.service} is gone`, final: true }
      }
    },
  }
}

function judge(
  seen: Inspected,
  health: EngineHealthUse,
  context: Pick<CheckContext, 'restartsAtStart' | 'endsByItself'>,
): CheckResult {
  const restarts = seen.restarts - context.restartsAtStart
  if (restarts > 0 && context.endsByItself !== true)
    return over(`restarted ${times(restarts)} (${seen.name}), last exit code ${seen.exitCode}`)
  switch (seen.state) {
    case 'running':
      // A job is not done as long as it runs; who waits for its completion must not go on.
      if (context.endsByItself === true) return { ok: false, said: `still running (${seen.name})` }
      return judgeHealth(seen, health)
    case 'exited':
      if (context.endsByItself === true && seen.exitCode === 0) {
        return { ok: true, said: `ended with exit code 0 (${seen.name})` }
      }
      return over(`exited with code ${seen.exitCode} (${seen.name})`)
    case 'restarting':
      return over(`exited with code ${seen.exitCode} and is being restarted (${seen.name})`)
    case 'dead':
    case 'removing':
      return over(`is ${seen.state} (${seen.name}), exit code ${seen.exitCode}`)
    case 'created':
    case 'paused':
    case 'unreachable':
      return { ok: false, said: `container is ${seen.state} (${seen.name}), expected running` }
  }
}

function judgeHealth(seen: Inspected, health: EngineHealthUse): CheckResult {
  if (health === 'ignored' || (health === 'if-any' && seen.health === 'none')) {
    return { ok: true, said: `running without a restart (${seen.name})` }
  }
  switch (seen.health) {
    case 'healthy':
      return { ok: true, said: `container is healthy (${seen.name})` }
    case 'none':
      return over(`has no health check of its own (${seen.name}), expected healthy`)
    case 'starting':
    case 'unhealthy': {
      const log = seen.healthLog.at(-1)?.trim().split('\n').at(-1)?.slice(0, 200) ?? ''
      return { ok: false, said: `container is ${seen.health}${log === '' ? '' : `: ${log}`} (${seen.name})` }
    }
  }
}

function over(said: string): CheckResult {
  return { ok: false, said: said.startsWith('container') ? said : `container ${said}`, final: true }
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}
