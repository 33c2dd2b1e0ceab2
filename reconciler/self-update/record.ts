import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeDurably } from './releases.ts'

/**
 * How far an update of Samovar itself has come.
 *
 *   checking    nothing that runs was touched
 *   swapping    the links are being set; may be half done
 *   judging     the links name the new release; it is restarted and looked at
 *   going-back  the links name the old release again, or are about to; never left for anything but an end
 *   kept | reverted | refused | stuck  over; `refused`: nothing was touched, `stuck`: the old one does not answer either
 */
export type UpdatePhase =
  | 'checking'
  | 'swapping'
  | 'judging'
  | 'going-back'
  | 'kept'
  | 'reverted'
  | 'refused'
  | 'stuck'

export type UpdateRecord = {
  phase: UpdatePhase
  from: string
  to: string
  /** What `previous` named before; it does so again when the update goes back. */
  previous: string | null
  /** How the service stood before; going back is well when it stands so again. */
  before: 'ready' | 'answers' | 'away'
  /** Milliseconds since 1970. */
  startedAt: number
  endedAt: number | null
  /** Why it went back or was refused. */
  reason: string
}

const fileOf = (root: string): string => join(root, 'update.json')

/** Null when there never was an update, or its record cannot be read. */
export function readRecord(root: string): UpdateRecord | null {
  try {
    return JSON.parse(readFileSync(fileOf(root), 'utf8')) as UpdateRecord
  } catch {
    return null
  }
}

export const writeRecord = (root: string, record: UpdateRecord): Promise<void> =>
  writeDurably(fileOf(root), `${JSON.stringify(record, null, 2)}\n`)

/** True while the links may name something that was not proven, or not yet. */
export const isCut = (record: UpdateRecord | null): record is UpdateRecord =>
  record !== null && ['swapping', 'judging', 'going-back'].includes(record.phase)
