import { createHash } from 'node:crypto'
import type { Host, Tidings } from '../desired-state.ts'
import type { Journal } from '../journal.ts'
import { shownWebhook } from './webhook.ts'

/** Who is told what, as host.yaml said at the last look; the addresses of webhooks are not in it. */
export type Audience = {
  host: string
  timezone: string
  /** Names of the jobs there are. */
  jobs: string[]
  recipients: { recipient: string; on: Tidings[] }[]
  /** What ended before that is nobody's news. Milliseconds since 1970. */
  since: number
}

/** Where a recipient is reached. */
export type Target = { kind: 'mail' | 'webhook'; to: string }

type Records = Pick<Journal, 'note' | 'writeNote'>

/**
 * One for each address, however many entries name it: one that is wrong keeps no other waiting. The name may be shown
 * and written down.
 */
export function recipientsOf(host: Pick<Host, 'notify'>): Map<string, Target & { on: Tidings[] }> {
  const all = new Map<string, Target & { on: Tidings[] }>()
  const add = (recipient: string, target: Target, on: Tidings[]) => {
    const before = all.get(recipient)?.on ?? []
    all.set(recipient, { ...target, on: [...new Set([...before, ...on])] })
  }
  for (const entry of host.notify) {
    if (entry.kind === 'mail') for (const to of entry.to) add(`mail ${to}`, { kind: 'mail', to }, entry.on)
    else add(webhookName(entry.url), { kind: 'webhook', to: entry.url }, entry.on)
  }
  return all
}

function webhookName(url: string): string {
  const hash = createHash('sha256').update(url).digest('hex').slice(0, 16)
  return `webhook ${shownWebhook(url)} (${hash})`
}

/** For people: without the hash that tells two webhooks of one server apart. */
export const shownRecipient = (recipient: string): string => recipient.replace(/ \([0-9a-f]{16}\)$/, '')

const note = 'audience'

/**
 * Written down at each look that finds it changed, so that what ends is told to the right people at once, also when
 * Git is away, and after a crash before the next look.
 */
export function rememberAudience(journal: Records, host: Host, now: number): void {
  const before = audience(journal)
  const recipients = [...recipientsOf(host)].map(([recipient, { on }]) => ({ recipient, on }))
  const { name, timezone, jobs } = host
  const since = before?.since ?? now
  const text = JSON.stringify({ host: name, timezone, jobs: Object.keys(jobs), recipients, since })
  if (journal.note(note) !== text) journal.writeNote(note, text)
}

/** Null as long as no look ever saw a good commit. */
export const audience = (journal: Records): Audience | null =>
  JSON.parse(journal.note(note) ?? 'null') as Audience | null
