import { codeOf, reasonOf, SamovarError, sentenceOf } from '../errors.ts'
import type { Message } from '../journal/outbox.ts'
import type { Journal } from '../journal.ts'

type Records = Pick<
  Journal,
  | 'delivered'
  | 'dropMessage'
  | 'dueMessages'
  | 'forgetSaid'
  | 'nextMessageAt'
  | 'notDelivered'
  | 'takeMessage'
  | 'tryMessagesNow'
>

/**
 * Says one message to Gitea. It looks first and does only what is missing: it is called again when an answer was lost,
 * also after a crash.
 */
export type Deliver = (content: unknown, signal: AbortSignal) => Promise<void>

export type Told = {
  /** A message was given up. */
  dropped(message: Message, why: string): void
}

const shortestPause = 2_000
const longestPause = 5 * 60_000
/** What Gitea refuses is most often a right that a person has to give: that takes longer. */
const longestPauseOfRefused = 60 * 60_000
const givenUpAfter = 14 * 24 * 60 * 60_000
const atOnce = 50
const remembered = 5_000

/**
 * Delivers what is due, oldest first, and of one subject in its order. When Gitea is away the round ends at the first
 * message that found out: the others would only wait for the same.
 *
 * @param deliver how to say each kind
 * @returns whether Gitea answered; null when nothing was due
 */
export async function deliverDue(
  journal: Records,
  about: { deliver: Record<string, Deliver>; now: () => number; signal: AbortSignal; told: Told },
): Promise<'answers' | 'away' | null> {
  let answer: 'answers' | 'away' | null = null
  for (;;) {
    const due = journal.dueMessages(about.now(), atOnce)
    if (due.length === 0 || about.signal.aborted) break
    for (const message of due) {
      if (about.signal.aborted) return answer
      const result = await deliverOne(journal, message, about)
      if (result === 'away') return 'away'
      // What waits for the end of a long pause need not wait any longer.
      if (answer === null && message.attempts > 0) journal.tryMessagesNow(about.now())
      answer = 'answers'
    }
  }
  if (answer !== null) journal.forgetSaid(remembered)
  return answer
}

async function deliverOne(
  journal: Records,
  message: Message,
  about: Parameters<typeof deliverDue>[1],
): Promise<'answers' | 'away'> {
  // A newer one has taken its place since it was read.
  if (!journal.takeMessage(message.id)) return 'answers'
  const now = about.now()
  const deliver = about.deliver[message.kind]
  try {
    if (deliver === undefined) throw new SamovarError('not-found', `nobody delivers "${message.kind}"`)
    await deliver(JSON.parse(message.content), about.signal)
    journal.delivered(message, about.now())
    return 'answers'
  } catch (error) {
    const isAway = codeOf(error) === 'forge-unreachable' || codeOf(error) === 'interrupted'
    const problem = reasonOf(error).slice(0, 1_000)
    if (!isAway && now - message.at > givenUpAfter) {
      journal.dropMessage(message.id)
      about.told.dropped(message, sentenceOf(error))
      return 'answers'
    }
    const longest = isAway ? longestPause : longestPauseOfRefused
    const pause = Math.min(shortestPause * 2 ** Math.min(message.attempts, 20), longest)
    journal.notDelivered(message.id, { problem, nextAt: about.now() + pause })
    return isAway ? 'away' : 'answers'
  }
}
