import { dataBeforeUpdate } from './data-of.ts'
import type { Journal } from './journal.ts'
import type { Loaded } from './load.ts'
import { expectedTime, lastRollOuts } from './plan/expected-time.ts'
import { lastOf } from './rollout/data.ts'

/**
 * How long the roll-outs of a commit are expected to take, in milliseconds by service; nothing where there are no
 * windows they have to fit into.
 */
export function expectedTimes(journal: Journal, loaded: Loaded): Map<string, number> {
  const { host, services } = loaded.state
  const takes = new Map<string, number>()
  if (Object.keys(host.windows).length === 0) return takes
  for (const { service, health } of Object.values(services)) {
    const times = journal.rollOutTimes(service, lastRollOuts)
    const data = times.length > 0 ? null : dataBeforeUpdate(loaded, [service])
    const lastBackup = data === null ? 0 : (lastOf({ journal }, data)?.ms ?? 0)
    takes.set(service, expectedTime({ times, within: health.within, lastBackup }))
  }
  return takes
}
