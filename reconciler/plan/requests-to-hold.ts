import type { ServicePolicy } from '../desired-state.ts'
import type { HoldIntent } from '../journal/operation.ts'
import { restartedWith } from './order.ts'
import type { Target } from './target.ts'

type Given = {
  targets: Target[]
  policies: Record<string, Pick<ServicePolicy, 'health' | 'hold'>>
  /** Services whose containers are replaced, the one that is rolled out first. */
  swapped: string[]
  /** Services that stand still for the copy of the data. */
  stopped: string[]
}

/**
 * Whose requests the proxy holds during a roll-out: of everybody who is away meanwhile and wishes it, also of those who
 * are only restarted with the service. The shortest `hold` counts: no request waits longer than was said for its
 * service. Null when nobody wishes it.
 */
export function requestsToHold({ targets, policies, swapped, stopped }: Given): HoldIntent | null {
  const [main = ''] = swapped
  const restarted = restartedWith(main, targets).map((target) => target.service)
  const held = [...new Set([...swapped, ...restarted, ...stopped])].flatMap((service) => {
    const policy = policies[service]
    const target = targets.find((each) => each.service === service)
    if (policy?.hold == null || target === undefined) return []
    return [{ service, tag: target.image.tag, health: policy.health, ms: policy.hold }]
  })
  if (held.length === 0) return null
  return {
    ms: Math.min(...held.map((each) => each.ms)),
    services: held.map((each) => each.service),
    others: held
      .filter((each) => !swapped.includes(each.service))
      .map(({ service, tag, health }) => ({ service, tag, health })),
    since: null,
  }
}
