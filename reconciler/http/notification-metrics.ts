import { Counter, Gauge, type Registry } from 'prom-client'
import type { Status } from '../status.ts'

/**
 * Whether people are still reached: mail that a provider swallows is silent, so the way of the alerts needs an alert
 * of its own.
 *
 * @param read at each scrape
 * @param now milliseconds since 1970
 */
export function addNotificationMetrics(
  registry: Registry,
  read: () => Status['notifications'],
  now: () => number,
): void {
  const gauge = (name: string, help: string, value: (of: Status['notifications']) => number | null) =>
    new Gauge({
      name: `samovar_notifications_${name}`,
      help,
      registers: [registry],
      collect() {
        const found = value(read())
        // What is not known is left out: a reset would say 0.
        if (found === null) this.remove()
        else this.set(found)
      },
    })
  const counter = (name: string, help: string, value: (of: Status['notifications']) => number) =>
    new Counter({
      name: `samovar_notifications_${name}_total`,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(value(read()))
      },
    })
  gauge('waiting', 'Mails and webhooks that are not delivered yet', ({ waiting }) => waiting)
  gauge('oldest_seconds', 'How long the oldest of them has been waiting', ({ since }) =>
    since === null ? 0 : (now() - Date.parse(since)) / 1000,
  )
  gauge('last_success_timestamp_seconds', 'When the last mail or webhook was taken', ({ lastSent }) =>
    lastSent === null ? null : Date.parse(lastSent) / 1000,
  )
  counter('sent', 'Mails and webhooks that were taken by the other side', ({ sent }) => sent)
  counter('failed', 'Tries to deliver one that failed; they are made again', ({ failed }) => failed)
  counter('given_up', 'Those that were given up', ({ givenUp }) => givenUp)
}
