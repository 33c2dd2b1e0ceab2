import type { HealthCheck } from '../desired-state.ts'
import type { Check, CheckContext } from './health-check.ts'

/**
 * Runs a command in the running container of a service; exit code 0 passes. A failure quotes the last line the command
 * wrote, since that is where programs say why.
 */
export function commandCheck(
  policy: Extract<HealthCheck, { kind: 'command' }>,
  context: Pick<CheckContext, 'engine' | 'instanceOf'>,
): Check {
  const shown = `${policy.command.join(' ')} in ${policy.service}`
  return {
    name: `command ${shown}`,
    every: policy.every,
    timeout: policy.timeout,
    run: async () => {
      const instance = await context.instanceOf(policy.service)
      const { exitCode, output } = await context.engine.run(instance, policy.command, policy.timeout)
      if (exitCode === 0) return { ok: true, said: `exit code 0 (${shown})` }
      const last = lastLine(output)
      return {
        ok: false,
        said: `exit code ${exitCode}${last === '' ? '' : `: ${last}`} (${shown}), expected 0`,
      }
    },
  }
}

function lastLine(output: string): string {
  const line = output.trimEnd().split('\n').at(-1)?.trim() ?? ''
  return line.length <= 200 ? line : `${line.slice(0, 197)}...`
}
