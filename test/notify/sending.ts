import { realClock } from '../../reconciler/health/clock.ts'
import type { NotifyTold } from '../../reconciler/notify-work.ts'
import { notifyWork } from '../../reconciler/notify-work.ts'
import { notifiersOf, type Parts } from '../../reconciler/parts.ts'
import { readSettings } from '../../reconciler/settings.ts'
import type { People } from './people.ts'

export type Heard = { sent: string[]; gaveUp: string[]; problems: string[]; well: string[] }

/** Sends in the background what these people are to be told, as the daemon does it. */
export function startSending(people: People, environment: Record<string, string>) {
  const heard: Heard = { sent: [], gaveUp: [], problems: [], well: [] }
  const stopping = new AbortController()
  const settings = readSettings({ repository: false }, environment)
  const told: NotifyTold = {
    teller: {
      problem: (subject, _fingerprint, sentence) => heard.problems.push(`${subject}: ${sentence}`),
      well: (subject) => heard.well.push(subject),
    },
    sent: (what) => heard.sent.push(what),
    gaveUp: (what, why) => heard.gaveUp.push(`${what}: ${why}`),
  }
  const parts = {
    settings,
    journal: people.journal,
    notifiers: notifiersOf(settings),
    clock: realClock,
    now: people.now,
  } as unknown as Parts
  const running = notifyWork(parts, { stopping: stopping.signal, told, host: () => people.host })
  return {
    heard,
    parts,
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await running
    },
  }
}

export const mailTo = (server: { port: number }): Record<string, string> => ({
  SMTP_URL: `smtp://127.0.0.1:${server.port}`,
  SMTP_FROM: 'Samovar <samovar@example.com>',
})
