import type { Journal } from './journal.ts'
import { shownRecipient } from './notify/recipients.ts'
import type { Problem, Status } from './status.ts'

/** What people are to be told and were not told yet, for `status` and the metrics. */
export function notificationsOf(journal: Journal): Status['notifications'] {
  const waiting = journal.waitingNotifications()
  const [first] = waiting
  const lastSent = journal.note('notification-sent-at')
  return {
    waiting: waiting.length,
    since: first === undefined ? null : new Date(first.at).toISOString(),
    problem: waiting.find((each) => each.problem !== '')?.problem ?? null,
    lastSent: lastSent === null ? null : new Date(Number(lastSent)).toISOString(),
    ...journal.notificationCounts(),
  }
}

/** One for each recipient that was not reached. */
export function notificationProblems(journal: Journal): Problem[] {
  const waiting = Map.groupBy(journal.waitingNotifications(), (each) => each.recipient)
  return [...waiting].flatMap(([recipient, messages]) => {
    const problem = messages.find((each) => each.problem !== '')?.problem
    if (problem === undefined) return []
    const many = messages.length === 1 ? '1 message waits' : `${messages.length} messages wait`
    const since = new Date(messages[0]?.at ?? 0).toISOString()
    const [sentence = '', next] = problem.split('; next: ')
    return [
      {
        about: shownRecipient(recipient),
        message: `${many} since ${since}: ${sentence}`,
        next: next ?? 'samovar notify test tries all of them',
      },
    ]
  })
}
