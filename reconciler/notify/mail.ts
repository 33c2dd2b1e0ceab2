import { SamovarError, sentenceOf } from '../errors.ts'
import { oneLine } from '../log.ts'
import type { MailAddress, MailRoute, SmtpRoute } from './mail-route.ts'
import type { Delivery, Notifier } from './notifier.ts'

/** A mail as bytes, and its envelope. */
export type Composed = { from: string; to: string; message: Buffer }

/** A way for one mail; closed after it, or in the middle of it. */
export type Road = {
  send(mail: Composed): Promise<void>
  /** Everything but a mail. */
  check(): Promise<void>
  close(): void
}

const longest = 60_000

/**
 * Mail by any SMTP server, or by the API of Amazon SES. The libraries are loaded with the first mail. Each mail has a
 * connection of its own: there are few, and hours between them.
 */
export function mailNotifier(route: MailRoute, from: MailAddress): Notifier {
  return {
    async send(delivery, signal) {
      const message = await composed(delivery, from)
      await within(route, signal, (road) => road.send({ from: from.address, to: delivery.to, message }))
    },
    async check(signal) {
      await within(route, signal, (road) => road.check())
      return `${nameOf(route)} answers${route.kind === 'smtp' ? securityOf(route) : ''}`
    },
  }
}

/** Without the password; the user may be the name of a key. */
const nameOf = (route: MailRoute): string =>
  route.kind === 'ses' ? `Amazon SES in ${route.region}` : `the mail server ${route.host}:${route.port}`

function securityOf({ tls, login }: SmtpRoute): string {
  const how = tls === 'none' ? ' in plain text' : ' through TLS'
  return login === null ? `${how}, without a login` : `${how} and takes the login`
}

async function composed(delivery: Delivery, from: MailAddress): Promise<Buffer> {
  const { default: Composer } = await import('nodemailer/lib/mail-composer')
  const { id, about, to, at, subject, text, html, document } = delivery
  const composer = new Composer({
    from,
    // As an object it is one address, whatever stands in it.
    to: { name: '', address: to },
    subject: oneLine(subject),
    text,
    html,
    messageId: `<${id}>`,
    ...(about === null ? {} : { inReplyTo: `<${about}>`, references: [`<${about}>`] }),
    date: new Date(at),
    headers: {
      // Nobody's absence note is to answer (RFC 3834), and people sort by the other two.
      'Auto-Submitted': 'auto-generated',
      'X-Auto-Response-Suppress': 'All',
      'X-Samovar-Host': oneLine(document.host),
      'X-Samovar-Event': oneLine(document.event),
      // SES gives a message another Message-ID.
      'X-Samovar-Delivery': id,
    },
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return composer.compile().build()
}

async function open(route: MailRoute): Promise<Road> {
  if (route.kind === 'ses') return (await import('./ses.ts')).openSes(route)
  return (await import('./smtp.ts')).openSmtp(route)
}

/** Opens, does, closes; every failure becomes one of the two that a caller tells apart. */
async function within(
  route: MailRoute,
  signal: AbortSignal,
  act: (road: Road) => Promise<void>,
): Promise<void> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(longest)])
  const ended = Promise.withResolvers<never>()
  ended.promise.catch(() => undefined)
  const end = () => ended.reject(new Error(`no end within ${longest / 1000} s`))
  let road: Road | null = null
  try {
    bounded.throwIfAborted()
    road = await open(route)
    bounded.throwIfAborted()
    bounded.addEventListener('abort', end, { once: true })
    await Promise.race([act(road), ended.promise])
  } catch (error) {
    if (signal.aborted) throw new SamovarError('interrupted', 'a mail was cut short; it is sent again later')
    throw failureOf(route, error)
  } finally {
    bounded.removeEventListener('abort', end)
    road?.close()
  }
}

type MailError = { code?: string; responseCode?: number; name?: string }

/** What SES says of a single message or recipient; everything else concerns all of them. */
const refusedBySes = new Set(['MessageRejected', 'BadRequestException'])

function failureOf(route: MailRoute, error: unknown): SamovarError {
  const { code = '', responseCode = 0, name = '' } = error as MailError
  const said = brief(withoutPassword(route, sentenceOf(error)))
  const isRefused = code === 'EENVELOPE' || code === 'EMESSAGE' || refusedBySes.has(name)
  // 421: the server is about to close, whatever it was asked.
  if (isRefused && responseCode !== 421)
    return new SamovarError('notify-refused', `${nameOf(route)} did not take the mail: ${said}`, {
      next: route.kind === 'ses' ? sesRefused : 'Correct the address in `notify`, or SMTP_FROM.',
    })
  return new SamovarError('notify-unreachable', `${nameOf(route)}: ${said}`, {
    next: nextOf(route, code, said),
  })
}

const sesRefused =
  'Verify the sender (and in the sandbox the recipient) in this region: https://docs.aws.amazon.com/ses/latest/dg/verify-addresses-and-domains.html'

function nextOf(route: MailRoute, code: string, said: string): string {
  if (route.kind === 'ses') return 'Give the role or key of this machine ses:SendEmail and ses:SendRawEmail.'
  if (code === 'EAUTH') return 'Correct user and password in SMTP_URL.'
  if (code === 'ETLS' || /certificate|TLS|SSL/i.test(said))
    return 'Use smtps:// for TLS from the start (465) and smtp:// for STARTTLS (587); `?ca=/path` names an own certificate authority.'
  return 'Check the host and the port in SMTP_URL, and whether this machine may reach it.'
}

function withoutPassword(route: MailRoute, text: string): string {
  const password = route.kind === 'smtp' ? (route.login?.password.reveal() ?? '') : ''
  return password === '' ? text : text.replaceAll(password, '***')
}

const brief = (text: string): string => {
  const line = oneLine(text)
  return line.length <= 300 ? line : `${line.slice(0, 300)}...`
}
