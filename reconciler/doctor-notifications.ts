import type { Host } from './desired-state.ts'
import { check, type Finding, ok } from './doctor-finding.ts'
import { recipientsOf, shownRecipient } from './notify/recipients.ts'
import { noWayForMail } from './notify-work.ts'
import type { Parts } from './parts.ts'

const longest = 30_000

/**
 * Whether the people whom host.yaml names can be told. Nobody is told anything: the mail server is asked for its TLS
 * and takes the login; a webhook cannot be tried so.
 */
export async function* examineNotifications(
  { notifiers, settings }: Pick<Parts, 'notifiers' | 'settings'>,
  host: Pick<Host, 'notify'> | null,
): AsyncGenerator<Finding> {
  const recipients = host === null ? [] : [...recipientsOf(host)]
  const mails = recipients.filter(([, { kind }]) => kind === 'mail').length
  if (mails > 0 || notifiers.mail !== null)
    yield await check(
      'mail',
      (said) => (mails > 0 ? said : `${said}; nobody in \`notify\` wants mail`),
      async () => {
        if (notifiers.mail === null) throw noWayForMail()
        return `${await notifiers.mail.check(AbortSignal.timeout(longest))}, from ${settings.mail?.from.address ?? ''}`
      },
    )
  const webhooks = recipients
    .filter(([, { kind }]) => kind === 'webhook')
    .map(([name]) => shownRecipient(name))
  if (webhooks.length > 0)
    yield ok('webhooks', `${webhooks.join(', ').replaceAll('webhook ', '')}; samovar notify test tries them`)
  if (host !== null && recipients.length === 0)
    yield { ...ok('notify', 'nobody is told anything'), next: 'to be told, add `notify` to host.yaml' }
}
