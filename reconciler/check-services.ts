import { isWaitedFor } from './compose/service-facts.ts'
import type { ServicePolicy } from './desired-state.ts'
import type { Running } from './engine/engine.ts'
import { SamovarError } from './errors.ts'
import { makeChecks } from './health/health-check.ts'
import { type HealthOutcome, waitUntilHealthy } from './health/wait-until-healthy.ts'
import type { Loaded } from './load.ts'
import type { Parts } from './parts.ts'
import { containerOf } from './plan/plan.ts'

export type CheckedService = { service: string; container: string; outcome: HealthOutcome }

type Asked = {
  parts: Pick<Parts, 'engine' | 'clock'>
  /** Milliseconds that `within` of a service is cut to. */
  longest?: number
  /** Services that are not looked at. */
  skip?: ReadonlySet<string>
  stopping: AbortSignal
  /** Told what is waited for. */
  waiting?: (service: string, checks: string[]) => void
}

/**
 * Every service that has a container through its own checks, all at the same time: what leads through a neighbour finds it
 * there. For a stack that has just been started.
 *
 * @throws SamovarError `interrupted`
 */
export async function checkServices(asked: Asked, loaded: Loaded): Promise<CheckedService[]> {
  const running = await asked.parts.engine.observe(loaded.state.host.project)
  const there = Object.keys(loaded.state.services).flatMap((service) => {
    const current = containerOf(service, running)
    return current === null || asked.skip?.has(service) === true ? [] : [{ service, current }]
  })
  const checked = await Promise.all(
    there.map(async ({ service, current }) => ({
      service,
      container: current.name,
      outcome: await outcomeOf(asked, loaded, { service, current }),
    })),
  )
  if (asked.stopping.aborted) throw new SamovarError('interrupted', 'Samovar was told to stop')
  return checked
}

async function outcomeOf(
  { parts, longest, stopping, waiting }: Asked,
  loaded: Loaded,
  { service, current }: { service: string; current: Running },
): Promise<HealthOutcome> {
  const { health } = loaded.state.services[service] as ServicePolicy
  const { restarts } = await parts.engine.inspect(current.instance)
  const instanceOf = async (name: string): Promise<string> => {
    const found = containerOf(name, await parts.engine.observe(loaded.state.host.project))
    if (found === null) throw new SamovarError('not-found', `there is no container for ${name}`)
    return found.instance
  }
  const checks = makeChecks(health.checks, {
    service,
    tag: current.image.tag,
    engine: parts.engine,
    instanceOf,
    restartsAtStart: restarts,
    root: loaded.root,
    endsByItself: isWaitedFor(loaded.model, service),
  })
  return waitUntilHealthy({
    checks,
    within: Math.min(health.within, longest ?? health.within),
    steady: 0,
    signal: stopping,
    clock: parts.clock,
    onProgress: ({ waitingFor }) => waiting?.(service, waitingFor),
  })
}
