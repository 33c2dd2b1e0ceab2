/**
 * Sends what waits in the journal of STATE_DIR, and is killed by its own hand when the first message was taken and
 * before that is written down. With DIE=never it sends all and ends.
 */
import { openJournal } from '../../reconciler/journal.ts'
import { sendDue } from '../../reconciler/notify/outbox.ts'
import { reportOf } from '../../reconciler/notify/report.ts'
import { notifiersOf } from '../../reconciler/parts.ts'
import { readSettings } from '../../reconciler/settings.ts'
import type { Kept } from '../../reconciler/tell-people.ts'

const journal = openJournal(process.env['STATE_DIR'] ?? '')
const { mail } = notifiersOf(readSettings({ repository: false }))
const dies = process.env['DIE'] !== 'never'
const mortal: typeof journal = {
  ...journal,
  notificationSent(notification, now) {
    if (dies) process.kill(process.pid, 'SIGKILL')
    journal.notificationSent(notification, now)
  },
}
await sendDue(mortal, {
  now: Date.now,
  signal: new AbortController().signal,
  told: {
    sent: () => undefined,
    failed: (_each, error) => process.stderr.write(String(error)),
    gaveUp: () => undefined,
  },
  async send({ id, recipient, content }, signal) {
    const { news, after } = JSON.parse(content) as Kept
    const report = reportOf(news, { operation: null, commit: null, pullRequest: null })
    const to = recipient.replace('mail ', '')
    await mail?.send({ id, about: after, to, at: news.at, ...report }, signal)
  },
})
journal.close()
