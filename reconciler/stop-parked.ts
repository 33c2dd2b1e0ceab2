import type { Outlook } from './look.ts'
import type { Parts } from './parts.ts'
import { isParked } from './plan/target.ts'

/**
 * A container that was set aside may run again by another's hand: `docker compose start` and `restart` take every
 * container of a service. It stands on the volumes of the one that took its place, so it is stopped before anything
 * else, and its restart policy with it.
 *
 * @returns whether anything was stopped
 */
export async function stopParked(parts: Parts, outlook: Outlook): Promise<boolean> {
  const running = outlook.running.filter(
    (each) => isParked(each) && ['running', 'restarting', 'paused'].includes(each.state),
  )
  for (const each of running) {
    const operation = each.name.slice(each.name.lastIndexOf('.') + '.old-'.length)
    await parts.engine.retire(await parts.engine.describe(operation, each, each.service))
  }
  return running.length > 0
}
