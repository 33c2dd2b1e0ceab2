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
const ownGivenUpAfter = 24 * 60 * 60_000
const atOnce = 50
const remembered = 5_000

/**
 * Delivers what is due, oldest first, and of one subject in its order. When Gitea is away the round ends at the first
 * message that found out: the others would only wait for the same. When it has answered others in this round, what
 * fails all the time is taken for refused, so that one message keeps no other waiting.
 *
 * @param deliver how to say each kind
 * @returns whether Gitea answered; null when nothing was due
 */
export async function deliverDue(
  journal: Records,
  about: { deliver: Record<string, Deliver>; now: () => number; signal: AbortSignal; told: Told },
): Promise<'answers' | 'away' | null> {
  let answer: 'answers' | null = null
  for (;;) {
    const due = journal.dueMessages(about.now(), atOnce)
    if (due.length === 0 || about.signal.aborted) break
    for (const message of due) {
      if (about.signal.aborted) return answer
      const result = await deliverOne(journal, message, { ...about, answers: answer !== null })
      if (result === 'away') return 'away'
      // What waits for the end of a long pause need not wait any longer.
      if (result === 'delivered' && answer === null && message.attempts > 0)
        journal.tryMessagesNow(about.now())
      answer = 'answers'
    }
  }
  if (answer !== null) journal.forgetSaid(remembered)
  return answer
}

async function deliverOne(
  journal: Records,
  message: Message,
  about: Parameters<typeof deliverDue>[1] & { answers: boolean },
): Promise<'delivered' | 'refused' | 'away'> {
  // A newer one has taken its place since it was read.
  if (!journal.takeMessage(message.id)) return 'refused'
  const deliver = about.deliver[message.kind]
  try {
    if (deliver === undefined) throw new SamovarError('not-found', `nobody delivers "${message.kind}"`)
    await deliver(JSON.parse(message.content), about.signal)
    journal.delivered(message, about.now())
    return 'delivered'
  } catch (error) {
    const code = codeOf(error)
    const isAway = code === 'interrupted' || (code === 'forge-unreachable' && !about.answers)
    putBack(journal, { message, error, isAway }, about)
    return isAway ? 'away' : 'refused'
  }
}

function putBack(
  journal: Records,
  { message, error, isAway }: { message: Message; error: unknown; isAway: boolean },
  { now, told }: Pick<Parameters<typeof deliverDue>[1], 'now' | 'told'>,
): void {
  // What does not come from Gitea at all (a file that cannot be edited, too many files) does not get better by waiting.
  const isGiteas = codeOf(error) === 'forge-refused' || codeOf(error) === 'forge-unreachable'
  const since = message.refusedAt ?? now()
  if (!isAway && now() - since > (isGiteas ? givenUpAfter : ownGivenUpAfter)) {
    journal.dropMessage(message.id)
    told.dropped(message, sentenceOf(error))
    return
  }
  const pause = Math.min(
    shortestPause * 2 ** Math.min(message.attempts, 20),
    isAway ? longestPause : longestPauseOfRefused,
  )
  const problem = reasonOf(error).slice(0, 1_000)
  journal.notDelivered(message.id, { problem, nextAt: now() + pause, refusedAt: isAway ? null : now() })
}
