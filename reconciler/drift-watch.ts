import type { EngineEvent } from './engine/engine.ts'
import type { Memory } from './look.ts'
import type { Parts } from './parts.ts'
import { isParked } from './plan/target.ts'

/** `healthy` is no drift, nor is `start` of a service's own container; `die` and `stop` come together, one of them is enough. */
const driftActions: ReadonlySet<string> = new Set([
  'die',
  'destroy',
  'unhealthy',
  'update',
  'rename',
  'pause',
  'connect',
  'disconnect',
])

/** Whether an event means that the host may no longer be as it was rolled out. */
export const isDrift = (event: EngineEvent): boolean =>
  driftActions.has(event.action) || (event.action === 'start' && isParked(event))

/**
 * Follows the events of a project; when the project gets another name, those of the new one. What happened to a
 * container makes the next look at it an exact one.
 */
export function watchProject(parts: Parts, memory: Memory, stopping: AbortSignal) {
  let watched: { project: string; end: AbortController } | null = null
  return (project: string, onEvent: (event: EngineEvent) => void): void => {
    if (watched?.project === project) return
    watched?.end.abort()
    const end = new AbortController()
    watched = { project, end }
    const hear = (event: EngineEvent) => {
      memory.trusted.delete(event.instance)
      onEvent(event)
    }
    const signal = AbortSignal.any([stopping, end.signal])
    parts.engine
      .watch(project, hear, () => memory.trusted.clear(), signal)
      .catch(() => {
        // It could not even begin: the next look begins it again, and the polls go on meanwhile.
        if (watched?.end === end) watched = null
      })
  }
}
