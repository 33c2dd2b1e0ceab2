import { deliverComment } from './gitea/comment.ts'
import { deliverStatus } from './gitea/commit-status.ts'
import type { Forge } from './gitea/forge.ts'
import { type Deliver, deliverDue } from './gitea/outbox.ts'
import { durationInWords } from './health/clock.ts'
import type { Memory } from './look.ts'
import type { Parts } from './parts.ts'
import { deliverRevert } from './pull-requests/open-revert.ts'
import { deliverBump } from './pull-requests/propose-bump.ts'

/** How each kind of message is said to Gitea. */
export const deliveriesOf = (parts: Parts, forge: Forge, memory: Memory): Record<string, Deliver> => ({
  status: deliverStatus(forge),
  comment: deliverComment(forge),
  revert: deliverRevert(forge, parts, memory),
  bump: deliverBump(forge, parts, memory),
})

/**
 * For a verb that did the work itself: says what it can within some seconds. The rest waits for the daemon, or for the
 * next verb.
 *
 * @param longest milliseconds
 * @returns how many messages wait after that, and why; null when nothing is said to any Gitea
 */
export async function deliverBriefly(
  parts: Parts,
  about: { memory: Memory; stopping: AbortSignal; longest: number },
): Promise<{ waiting: number; problem: string } | null> {
  const { journal, forge } = parts
  if (forge === null) return null
  const signal = AbortSignal.any([about.stopping, AbortSignal.timeout(about.longest)])
  let gaveUp = ''
  const cut = new Promise<null>((resolve) => {
    signal.addEventListener('abort', () => resolve(null), { once: true })
  })
  const sent = deliverDue(journal, {
    deliver: deliveriesOf(parts, forge, about.memory),
    now: parts.now,
    signal,
    told: { dropped: (_message, why) => (gaveUp = why) },
  })
  const inTime = await Promise.race([sent.then(() => true), cut])
  sent.catch(() => undefined)
  const waiting = journal.waitingMessages()
  const hangs = inTime === null && !about.stopping.aborted ? notInTime(about.longest) : ''
  const problem = waiting.find((each) => each.problem !== '')?.problem ?? (gaveUp === '' ? hangs : gaveUp)
  return { waiting: waiting.length, problem }
}

const notInTime = (longest: number): string =>
  `Gitea did not answer to the end within ${durationInWords(longest)}`
