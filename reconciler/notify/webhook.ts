import type { FoundSecret } from '../desired-state/variables.ts'
import { SamovarError } from '../errors.ts'
import { durationInWords } from '../health/clock.ts'
import { oneLine } from '../log.ts'
import { version } from '../version.ts'
import type { Notifier } from './notifier.ts'

const longest = 15_000

/**
 * A JSON document by POST. The address often is a key of its own, so no error shows more of it than the server, and it
 * is given to nobody else: a redirect is not followed. What the other side answers is not read.
 *
 * @param options.longestMs milliseconds for one call
 * @param options.secretOf where an address is read that host.yaml gives as a reference only
 */
export function webhookNotifier(
  options: { longestMs?: number; secretOf?: (reference: string) => Promise<FoundSecret> } = {},
): Notifier {
  const { longestMs = longest, secretOf } = options
  return {
    async send({ id, to, document, subject, text }, signal) {
      const found = isWebAddress(to) || secretOf === undefined ? { value: to } : await secretOf(to)
      if ('why' in found)
        throw new SamovarError('notify-unreachable', `the address of a webhook is missing: ${found.why}`, {
          next: `As for secrets: ${found.next}.`,
        })
      const url = isWebAddress(found.value) ? URL.parse(found.value) : null
      if (url === null)
        throw new SamovarError('notify-refused', 'what host.yaml names for a webhook is no web address', {
          next: 'Write an address that begins with https:// there.',
        })
      const answer = await post(url, {
        headers: { 'x-samovar-delivery': id, 'x-samovar-event': oneLine(document.event) },
        // Slack, Mattermost and Rocket.Chat show `text`.
        body: JSON.stringify({ delivery: id, subject, text, ...document }),
        signal,
        longestMs,
      })
      if (answer.status >= 200 && answer.status < 300) return
      throw refusal(url, answer.status)
    },
    check: () => Promise.resolve('a webhook cannot be tried without telling it something'),
  }
}

const isWebAddress = (text: string): boolean => /^https?:\/\//i.test(text)

/** As much of the address of a webhook as may be shown; a reference is no secret. */
export function shownWebhook(address: string): string {
  if (!isWebAddress(address)) return address
  const url = URL.parse(address)
  return url === null ? 'webhook' : `${url.protocol}//${url.host}/***`
}

type Post = { headers: Record<string, string>; body: string; signal: AbortSignal; longestMs: number }

async function post(url: URL, { headers, body, signal, longestMs }: Post): Promise<{ status: number }> {
  const { username, password } = url
  const bare = new URL(url)
  bare.username = ''
  bare.password = ''
  try {
    signal.throwIfAborted()
    const answer = await fetch(bare, {
      method: 'POST',
      redirect: 'manual',
      body,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'user-agent': `samovar/${version}`,
        ...headers,
        ...(username === '' ? {} : { authorization: basic(username, password) }),
      },
      signal: AbortSignal.any([signal, AbortSignal.timeout(longestMs)]),
    })
    // Nothing of it is wanted, and it may be endless.
    await answer.body?.cancel()
    return answer
  } catch (error) {
    if (signal.aborted)
      throw new SamovarError('interrupted', 'a webhook was cut short; it is called again later')
    throw new SamovarError('notify-unreachable', `${shownWebhook(url.href)}: ${whyOf(error, longestMs)}`, {
      next: 'Check `webhook` in host.yaml, and whether this machine may reach it.',
    })
  }
}

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${decodeURIComponent(user)}:${decodeURIComponent(password)}`).toString('base64')}`

/** The text of an error of `fetch` may quote the address; its code does not. */
function whyOf(error: unknown, longestMs: number): string {
  const { name, cause } = error as { name?: string; cause?: { code?: string } }
  if (name === 'TimeoutError') return `no answer within ${durationInWords(longestMs)}`
  return `no connection (${cause?.code ?? name ?? 'unknown'})`
}

function refusal(url: URL, status: number): SamovarError {
  const shown = shownWebhook(url.href)
  if (status >= 300 && status < 400)
    return new SamovarError(
      'notify-refused',
      `${shown} sends elsewhere (HTTP ${status}), which is not followed`,
      {
        next: 'Name the address in host.yaml that it sends to.',
      },
    )
  if (status === 429 || status >= 500)
    return new SamovarError('notify-unreachable', `${shown} answers HTTP ${status}`, {
      next: 'It is called again later; look there when that goes on.',
    })
  return new SamovarError('notify-refused', `${shown} answers HTTP ${status}`, {
    next: 'Check `webhook` in host.yaml: the address, or the key in it, is not taken.',
  })
}
