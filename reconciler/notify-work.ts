import type { Host } from './desired-state.ts'
import { codeOf, SamovarError } from './errors.ts'
import { repositoryInForge } from './gitea/forge-address.ts'
import { durationInWords } from './health/clock.ts'
import { inForce } from './in-force.ts'
import type { Notification } from './journal/notifications.ts'
import { whatAndNext } from './log.ts'
import { type Memory, newMemory } from './look.ts'
import type { Delivery } from './notify/notifier.ts'
import { type Sending, sendDue } from './notify/outbox.ts'
import { recipientsOf, shownRecipient, type Target } from './notify/recipients.ts'
import { type Links, reportOf } from './notify/report.ts'
import type { Teller } from './notify/tell.ts'
import type { Parts } from './parts.ts'
import type { Kept } from './tell-people.ts'
import { linksFrom } from './what-to-say.ts'

/** How often it is looked whether something is to be sent; one read of SQLite. */
const lookEvery = 500

export type NotifyTold = {
  teller: Teller
  /** For those who look closely. */
  sent(what: string): void
  gaveUp(what: string, why: string): void
}

type Wanted = Pick<Parts, 'journal' | 'now' | 'settings' | 'notifiers'>

/**
 * Sends what people are to be told, beside the passes and never in their way: a mail server that hangs costs nothing
 * but the mail's own time. Ends when the signal has fired. Never throws.
 *
 * @param about.host as the last look saw it, or null before the first
 */
export async function notifyWork(
  parts: Parts,
  about: { stopping: AbortSignal; told: NotifyTold; host: () => Host | null },
): Promise<void> {
  const { journal, clock, now } = parts
  const { stopping, told } = about
  const memory = newMemory()
  const host = async () => about.host() ?? (await inForce(parts, memory)).state.host
  while (!stopping.aborted) {
    try {
      if ((journal.nextNotificationAt() ?? Number.POSITIVE_INFINITY) <= now())
        await sendDue(journal, { ...sendingOf(parts, host, told), signal: stopping })
    } catch (error) {
      if (!stopping.aborted) tellFailed(told, error)
    }
    await clock.sleep(lookEvery, stopping)
  }
}

/** Nobody is left to tell when this fails too: a journal that cannot be written ends the passes as well. */
function tellFailed({ teller }: NotifyTold, error: unknown): void {
  try {
    teller.problem('notifications', codeOf(error) ?? 'failed', whatAndNext(error))
  } catch {
    // The next round tells it.
  }
}

function sendingOf(parts: Wanted, host: () => Promise<Host>, told: NotifyTold): Omit<Sending, 'signal'> {
  const subjectOf = ({ recipient }: Notification) => `notify ${shownRecipient(recipient)}`
  return {
    now: parts.now,
    send: senderOf(parts, host),
    told: {
      sent(notification) {
        told.teller.well(subjectOf(notification), 'it is told again')
        told.sent(`${whatOf(notification)} to ${shownRecipient(notification.recipient)}`)
      },
      failed(notification, error) {
        const sentence = `${whatOf(notification)} waits: ${whatAndNext(error)}`
        told.teller.problem(subjectOf(notification), codeOf(error) ?? 'failed', sentence)
      },
      gaveUp(notification, why) {
        told.gaveUp(`${whatOf(notification)} to ${shownRecipient(notification.recipient)}`, why)
      },
    },
  }
}

function whatOf({ content }: Notification): string {
  const { news } = JSON.parse(content) as Kept
  return `"${news.about} ${news.event}"`
}

/** How one message is sent, to whomever host.yaml names now: an address that was corrected is not tried any more. */
function senderOf(parts: Wanted, host: () => Promise<Host>): Sending['send'] {
  return async (notification, signal) => {
    const found = await host().catch((error: unknown) => {
      throw new SamovarError('notify-unreachable', `host.yaml cannot be read: ${whatAndNext(error)}`)
    })
    const target = recipientsOf(found).get(notification.recipient)
    if (target === undefined) throw new SamovarError('not-found', 'host.yaml does not name it any more')
    const { news, after } = JSON.parse(notification.content) as Kept
    const report = reportOf(news, linksOf(parts, news.operation))
    await send(
      parts,
      target,
      { id: notification.id, about: after, to: target.to, at: news.at, ...report },
      signal,
    )
  }
}

/** @throws as `Notifier.send`; `notify-unreachable` too when there is no way for mail */
export function send(
  { notifiers }: Pick<Parts, 'notifiers'>,
  { kind }: Target,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<void> {
  const notifier = notifiers[kind]
  if (notifier === null) throw noWayForMail()
  return notifier.send(delivery, signal)
}

export const noWayForMail = (): SamovarError =>
  new SamovarError('notify-unreachable', 'SMTP_URL is not set, so no mail can be sent', {
    next: 'Set SMTP_URL and SMTP_FROM, or take the mail addresses out of `notify` in host.yaml.',
  })

function linksOf({ settings, journal }: Wanted, operation: { id: string; commit: string } | null): Links {
  if (operation === null) return { operation: null, commit: null, pullRequest: null }
  const { id, commit } = operation
  const forge = repositoryInForge(settings)
  const repository = forge === null || 'problem' in forge ? null : `${forge.url}/${forge.fullName}`
  const number = journal.revertOf(id)?.number
  const page = linksFrom(settings.publicUrl).operation(id)
  return {
    operation: page === '' ? null : page,
    commit: repository === null || commit === '' ? null : `${repository}/commit/${commit}`,
    pullRequest: repository === null || number === undefined ? null : `${repository}/pulls/${number}`,
  }
}

/**
 * For a verb that did the work itself: sends what it can within some seconds. The rest waits for the daemon, or for the
 * next verb.
 *
 * @param about.longest milliseconds
 * @returns how many messages wait after that, and why
 */
export async function notifyBriefly(
  parts: Parts,
  about: { memory: Memory; stopping: AbortSignal; longest: number },
): Promise<{ waiting: number; problem: string }> {
  const { journal } = parts
  if (journal.nextNotificationAt() === null) return { waiting: 0, problem: '' }
  let why = ''
  const host = async () => (await inForce(parts, about.memory)).state.host
  const signal = AbortSignal.any([about.stopping, AbortSignal.timeout(about.longest)])
  const silent: NotifyTold = {
    teller: { problem: () => undefined, well: () => undefined },
    sent: () => undefined,
    gaveUp: (_what, said) => {
      why = said
    },
  }
  await sendDue(journal, { ...sendingOf(parts, host, silent), signal })
  const waiting = journal.waitingNotifications()
  const isLate = signal.aborted && !about.stopping.aborted
  const problem = waiting.find((each) => each.problem !== '')?.problem
  return {
    waiting: waiting.length,
    problem: problem ?? (isLate ? `not all could be told within ${durationInWords(about.longest)}` : why),
  }
}
