import { isDeepStrictEqual } from 'node:util'
import type { Host } from '../desired-state.ts'
import type { Loaded } from '../load.ts'
import type { HeadPlan } from './head-plan.ts'

/** Names of variables that differ; a secret differs when its reference does. */
export function variableChanges(head: Host, inForce: Host): HeadPlan['variables'] {
  const [now, before] = [head.variables, inForce.variables]
  const names = [...new Set([...Object.keys(now), ...Object.keys(before)])].sort()
  const isIn = (variables: Host['variables'], name: string) => Object.hasOwn(variables, name)
  return {
    changed: names.filter(
      (name) => isIn(now, name) && isIn(before, name) && !isDeepStrictEqual(now[name], before[name]),
    ),
    new: names.filter((name) => !isIn(before, name)),
    gone: names.filter((name) => !isIn(now, name)),
  }
}

/** What is told elsewhere. */
const toldElsewhere = new Set(['variables', 'service', 'file', 'image', 'tag', 'digest'])

/** Keys of host.yaml and of service files that mean something else now. */
export function settingChanges(
  head: Pick<Loaded, 'state'>,
  inForce: Pick<Loaded, 'state'>,
): HeadPlan['settings'] {
  const pairs: [string, object, object | undefined][] = [
    ['host', head.state.host, inForce.state.host],
    ...Object.entries(head.state.services).map(([service, policy]): [string, object, object | undefined] => [
      service,
      policy,
      inForce.state.services[service],
    ]),
  ]
  return pairs.flatMap(([of, now, before]) => {
    if (before === undefined) return []
    const [a, b] = [now, before] as [Record<string, unknown>, Record<string, unknown>]
    const keys = Object.keys(a).filter((key) => !toldElsewhere.has(key) && !isDeepStrictEqual(a[key], b[key]))
    return keys.length === 0 ? [] : [{ of, keys: keys.sort() }]
  })
}
