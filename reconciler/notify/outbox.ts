import { codeOf, reasonOf, sentenceOf } from '../errors.ts'
import type { Notification } from '../journal/notifications.ts'
import type { Journal } from '../journal.ts'

type Records = Pick<
  Journal,
  'dropNotification' | 'notificationFailed' | 'notificationSent' | 'waitingNotifications'
>

export type Sending = {
  /** Resolves when it arrived; throws as `Notifier.send`, and `not-found` when nobody is to be told any more. */
  send(notification: Notification, signal: AbortSignal): Promise<void>
  /** Milliseconds since 1970. */
  now: () => number
  signal: AbortSignal
  told: {
    sent(notification: Notification): void
    failed(notification: Notification, error: unknown): void
    gaveUp(notification: Notification, why: string): void
  }
}

const shortestPause = 2_000
const longestPause = 15 * 60_000
/** A message that was refused for itself needs a person most often. */
const longestPauseOfRefused = 60 * 60_000
const givenUpAfter = 14 * 24 * 60 * 60_000
const recipientsAtOnce = 4

/**
 * Sends what is due: each recipient its messages in their order, several recipients at the same time, so that none
 * waits for another one's server. It is recorded after the other side has taken it: who is killed in between sends it
 * once more, with the same id.
 */
export async function sendDue(journal: Records, about: Sending): Promise<void> {
  const due = journal.waitingNotifications().filter((each) => each.nextAt <= about.now())
  const queues = [...Map.groupBy(due, (each) => each.recipient).values()]
  const work = async () => {
    for (let queue = queues.shift(); queue !== undefined; queue = queues.shift())
      for (const each of queue) if ((await sendOne(journal, each, about)) === 'away') break
  }
  await Promise.all(Array.from({ length: recipientsAtOnce }, work))
}

async function sendOne(
  journal: Records,
  notification: Notification,
  about: Sending,
): Promise<'sent' | 'refused' | 'away'> {
  if (about.signal.aborted) return 'away'
  try {
    await about.send(notification, about.signal)
  } catch (error) {
    return failed(journal, { notification, error }, about)
  }
  journal.notificationSent(notification, about.now())
  about.told.sent(notification)
  return 'sent'
}

function failed(
  journal: Records,
  { notification, error }: { notification: Notification; error: unknown },
  { now, told, signal }: Sending,
): 'refused' | 'away' {
  // It was not its fault, and nobody knows whether it arrived: it is sent again at once by the next one.
  if (signal.aborted) return 'away'
  const code = codeOf(error)
  if (code === 'not-found' || now() - notification.at > givenUpAfter) {
    journal.dropNotification(notification.id)
    told.gaveUp(notification, sentenceOf(error))
    return 'refused'
  }
  const isAway = code !== 'notify-refused'
  const longest = isAway ? longestPause : longestPauseOfRefused
  const pause = Math.min(shortestPause * 2 ** Math.min(notification.attempts, 20), longest)
  const problem = reasonOf(error).slice(0, 1_000)
  journal.notificationFailed(notification, { problem, nextAt: now() + pause, all: isAway })
  told.failed(notification, error)
  return isAway ? 'away' : 'refused'
}
