import type { FieldDifference } from '../engine/container-body.ts'
import type { Running } from '../engine/engine.ts'

export type Action = 'create' | 'replace' | 'start' | 'remove' | 'none'

export type Change = {
  service: string
  action: Action
  reasons: FieldDifference[]
  /** Why it is not done now, in a sentence; null when it is. */
  held: string | null
  /** When what is held starts by itself, in milliseconds since 1970; null when it is not held, or nobody knows. */
  startsAt: number | null
  /** True when the host moved away from what was rolled out, false when the commit asks for something new. */
  drift: boolean
  /** The container it is about; null when there is none yet. */
  current: Running | null
  /** The service this one is replaced together with (it lives in its network), or null. */
  together: string | null
}
