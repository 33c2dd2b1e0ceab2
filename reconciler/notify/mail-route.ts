import type { Secret } from '../settings.ts'
import { sesPassword } from './ses-password.ts'

export type MailAddress = { name: string; address: string }

/** The way a mail takes to its first server, as SMTP_URL names it. */
export type MailRoute = SmtpRoute | SesRoute

export type SmtpRoute = {
  kind: 'smtp'
  host: string
  port: number
  /** `implicit`: TLS from the first byte; `starttls`: it must be offered and must work; `none`: plain text. */
  tls: 'implicit' | 'starttls' | 'none'
  /** PEM file of an own certificate authority, or null. */
  ca: string | null
  login: { user: string; password: Secret } | null
}

/** The SES v2 API over HTTPS, with the credentials that the AWS SDK finds: most often the role of the machine. */
export type SesRoute = { kind: 'ses'; region: string; endpoint: string | null }

export type RouteSurroundings = {
  /** The long-lived key for `ses+smtp://`, or null. */
  awsKey: { id: string; secret: string } | null
  /** The key above is one of a role: no SMTP password can be made of it. */
  isTemporary: boolean
  /** Address of another server than that of SES, for `ses://`; or null. */
  sesEndpoint: string | null
  hide: (text: string) => Secret
}

const expected =
  'expected smtps://USER:PASSWORD@HOST, smtp://USER:PASSWORD@HOST:587, ses://REGION or ses+smtp://REGION (characters such as @ : / # in user and password are written as %40 and so on)'

/**
 * Reads SMTP_URL. Outside of the loopback address mail goes through TLS alone, unless `?tls=none` says otherwise.
 * A problem never shows the address, which holds a password.
 *
 * @returns the route, or what is wrong with the address
 */
export function readMailRoute(text: string, around: RouteSurroundings): MailRoute | { problem: string } {
  const url = URL.parse(text)
  if (url === null || url.hostname === '') return { problem: `SMTP_URL cannot be read; ${expected}` }
  switch (url.protocol) {
    case 'smtp:':
    case 'smtps:':
      return smtpRoute(url, around)
    case 'ses:':
    case 'ses+smtp:':
      return sesRoute(url, around)
    default:
      return { problem: `SMTP_URL begins with ${url.protocol}//; ${expected}` }
  }
}

function smtpRoute(url: URL, { hide }: RouteSurroundings): SmtpRoute | { problem: string } {
  const strange = strangeParts(url, ['tls', 'ca'])
  if (strange !== null) return { problem: strange }
  const host = url.hostname.replaceAll(/^\[|\]$/g, '')
  const wanted = url.searchParams.get('tls')
  if (wanted !== null && !(url.protocol === 'smtp:' && (wanted === 'none' || wanted === 'starttls')))
    return {
      problem: 'SMTP_URL has a `tls` that is not known; expected smtp://...?tls=none or ?tls=starttls',
    }
  const tls = url.protocol === 'smtps:' ? 'implicit' : (wanted ?? (isLoopback(host) ? 'none' : 'starttls'))
  const login = loginOf(url)
  if (login !== null && 'problem' in login) return login
  return {
    kind: 'smtp',
    host,
    port: url.port === '' ? usualPort(url.protocol, host) : Number(url.port),
    tls: tls as SmtpRoute['tls'],
    ca: url.searchParams.get('ca'),
    login: login === null ? null : { user: login.user, password: hide(login.password) },
  }
}

function sesRoute(url: URL, around: RouteSurroundings): MailRoute | { problem: string } {
  const strange = strangeParts(url, [])
  const region = url.hostname
  if (strange !== null || url.username !== '' || url.port !== '' || !/^[a-z]{2}(-[a-z]+)+-\d+$/.test(region))
    return {
      problem: `SMTP_URL names SES in another way than with a region such as eu-central-1; ${expected}`,
    }
  if (url.protocol === 'ses:') return { kind: 'ses', region, endpoint: around.sesEndpoint }
  const { awsKey } = around
  if (awsKey === null)
    return {
      problem: 'SMTP_URL is ses+smtp://, but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set',
    }
  if (around.isTemporary)
    return {
      problem:
        'SMTP_URL is ses+smtp://, but the AWS key has a session token: SES takes no such key by SMTP; expected the key of an IAM user, or ses://REGION',
    }
  return {
    kind: 'smtp',
    host: `email-smtp.${region}.amazonaws.com`,
    // EC2 lets hardly anything out to port 25.
    port: 587,
    tls: 'starttls',
    ca: null,
    login: { user: awsKey.id, password: around.hide(sesPassword(awsKey.secret, region)) },
  }
}

function strangeParts(url: URL, known: string[]): string | null {
  if ((url.pathname !== '' && url.pathname !== '/') || url.hash !== '')
    return `SMTP_URL goes on after the host; ${expected}`
  const strange = [...url.searchParams.keys()].find((name) => !known.includes(name))
  return strange === undefined
    ? null
    : 'SMTP_URL has something after the ? that is not known; expected tls=none, tls=starttls or ca=/path'
}

function loginOf(url: URL): { user: string; password: string } | { problem: string } | null {
  if (url.username === '' && url.password === '') return null
  if (url.username === '' || url.password === '')
    return { problem: 'SMTP_URL has a user without a password, or the other way round' }
  try {
    return { user: decodeURIComponent(url.username), password: decodeURIComponent(url.password) }
  } catch {
    return { problem: `SMTP_URL has a % in user or password that stands for nothing (write it as %25)` }
  }
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)

function usualPort(protocol: string, host: string): number {
  if (protocol === 'smtps:') return 465
  return isLoopback(host) ? 25 : 587
}

/** `ops@example.com` or `Samovar <ops@example.com>`; null when it is neither. */
export function readMailAddress(text: string): MailAddress | null {
  if (/\p{Cc}/u.test(text)) return null
  const named = /^"?([^"<>]*?)"?\s*<([^<>]+)>$/.exec(text.trim())
  const address = (named?.[2] ?? text).trim()
  if (!/^[^\s@,;<>"]+@[^\s@,;<>"]+$/.test(address)) return null
  return { name: (named?.[1] ?? '').trim(), address }
}
