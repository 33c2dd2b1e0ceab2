import type { Operation } from '../journal/operation.ts'
import type { NewMessage } from '../journal/outbox.ts'
import type { Parts } from '../parts.ts'

/**
 * After a roll-out that was put back: the version is never proposed again, and the repository is to be told to take the
 * bump back. What the host moved away from by itself, and what says nothing against the version, is no matter of the
 * repository.
 */
export function wantRevert(parts: Pick<Parts, 'journal' | 'now'>, operation: Operation): void {
  const { result, kind, intent, from, to, service } = operation
  if (result !== 'reverted' || intent.drift || intent.blameless === true) return
  if ((kind !== 'replace' && kind !== 'create') || from === null || to === null) return
  // Said once: a person who lets the version be tried again must not be contradicted at every pass.
  if (!parts.journal.post(revertMessage(operation), parts.now()) || from.digest === to.digest) return
  if (parts.journal.revertOf(operation.id) !== null) return
  parts.journal.refuseVersion({
    service,
    image: to.name,
    tag: to.tag,
    digest: to.digest,
    why: `it was reverted here (${operation.id}): ${operation.reason}`,
    at: parts.now(),
  })
}

/** The journal has all about it, so the message is only its name. */
export const revertMessage = ({ id, service }: Operation): NewMessage => ({
  kind: 'revert',
  subject: `revert ${service} ${id}`,
  slot: id,
  content: { operation: id },
})
