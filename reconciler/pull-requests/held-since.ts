import type { Operation } from '../journal/operation.ts'
import type { Journal } from '../journal.ts'
import { isBump } from './revert-text.ts'

/**
 * Whether what was put back holds by now: a person let it be tried again, or a correction of its configuration made it
 * good. Taking it back in the repository would undo that.
 */
export function heldSince(journal: Pick<Journal, 'lastApplied'>, failed: Operation): boolean {
  const last = journal.lastApplied(failed.service)
  if (last === null || last.startedAt <= failed.startedAt || last.to?.digest !== failed.to?.digest)
    return false
  return isBump(failed) || last.intent.configuration === failed.intent.configuration
}
