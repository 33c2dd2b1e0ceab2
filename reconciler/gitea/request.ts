import { SamovarError } from '../errors.ts'
import { ForgeRefusal, TooLarge } from './refusal.ts'

/** How requests go out. */
export type Wire = {
  authorization: () => string | undefined
  timeoutMs: number
  signal?: AbortSignal
}

/** `path` is what messages say of it; the rest of the address is in the settings already. */
export type Request = { method: string; url: URL; path: string; body: unknown }

export type Answer = {
  status: number
  /** JSON, or null when the answer is empty or no JSON. */
  body: unknown
  /** Beginning of what is no JSON, for messages. */
  text: string
  /** `X-Total-Count`: how many items a list has on all its pages. */
  total: number | null
}

/** Much more than any answer we ask for; a file of 6 MB still fits. */
const mostBytes = 8 * 1024 * 1024
/** A repository that was renamed answers with a redirect; of several in a row something is wrong. */
const mostRedirects = 3

/**
 * One request and its whole answer. Redirects are followed with the same method, and only to the origin that was asked:
 * another one must not get the token. For a repository that was renamed Gitea answers 307, since 1.23 or later 301.
 *
 * @throws `forge-unreachable` when there is no answer in time or one that is not Gitea's, `interrupted` when the signal
 * says so, `forge-refused` for an answer that is too large or a redirect elsewhere
 */
export async function requestOnce(wire: Wire, request: Request): Promise<Answer> {
  const limit = timeLimit(wire)
  try {
    let url = request.url
    for (let redirects = 0; ; redirects += 1) {
      const response = await fetch(url, {
        method: request.method,
        headers: headersOf(wire, request),
        redirect: 'manual',
        signal: limit.signal,
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      })
      const next = redirectOf(response, request, url)
      if (next === null) return await wholeAnswer(response, request)
      await response.body?.cancel()
      if (redirects === mostRedirects) throw wrongRedirect(request, response.status, 'again and again')
      url = next
    }
  } catch (error) {
    throw failureOf(error, wire, request)
  } finally {
    limit.end()
  }
}

/** Codes of Node and of its `fetch` for a connection that was never there, so that nothing was done. */
const withoutConnection = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** True when Gitea cannot have heard of the request. */
export function neverConnected(error: unknown): boolean {
  return error instanceof SamovarError && withoutConnection.has(codeOf(error.cause))
}

/** An own timer instead of `AbortSignal.any`: the signal of the daemon lives long and must not collect listeners. */
function timeLimit(wire: Wire): { signal: AbortSignal; end: () => void } {
  const controller = new AbortController()
  const stop = () => controller.abort()
  const timer = setTimeout(stop, wire.timeoutMs)
  wire.signal?.addEventListener('abort', stop)
  if (wire.signal?.aborted) stop()
  return {
    signal: controller.signal,
    end: () => {
      clearTimeout(timer)
      wire.signal?.removeEventListener('abort', stop)
    },
  }
}

function headersOf(wire: Wire, request: Request): Record<string, string> {
  const authorization = wire.authorization()
  return {
    accept: 'application/json',
    'user-agent': 'samovar',
    ...(authorization === undefined ? {} : { authorization }),
    ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
  }
}

function redirectOf(response: Response, request: Request, from: URL): URL | null {
  const keepsMethod = [301, 307, 308].includes(response.status) || request.method === 'GET'
  if (![301, 302, 303, 307, 308].includes(response.status)) return null
  const location = response.headers.get('location') ?? ''
  if (!URL.canParse(location, from.href)) throw wrongRedirect(request, response.status, 'to nowhere')
  const next = new URL(location, from)
  if (next.origin !== from.origin || next.username !== '' || next.password !== '')
    throw wrongRedirect(request, response.status, `to another server, ${next.origin}`)
  if (!keepsMethod) throw wrongRedirect(request, response.status, 'for a change')
  return next
}

function wrongRedirect(request: Request, status: number, where: string): ForgeRefusal {
  return new ForgeRefusal(
    status,
    `Gitea refused ${request.method} ${request.path}: HTTP ${status}, a redirect ${where}, which is not followed`,
    { next: 'Set SAMOVAR_GITEA_URL and SAMOVAR_GITEA_REPOSITORY to the address that Gitea has now.' },
  )
}

async function wholeAnswer(response: Response, request: Request): Promise<Answer> {
  const text = (await boundedBody(response, request)).toString('utf8')
  const isJson = /^application\/json\b/i.test(response.headers.get('content-type') ?? '')
  const total = Number.parseInt(response.headers.get('x-total-count') ?? '', 10)
  const answer = { status: response.status, total: Number.isNaN(total) ? null : total }
  if (text.trim() === '') return { ...answer, body: null, text: '' }
  try {
    return { ...answer, body: JSON.parse(text), text: '' }
  } catch (error) {
    // A page of a proxy says no more than its status. With a status of success it is not Gitea that answers.
    if (response.status >= 400) return { ...answer, body: null, text: isJson ? '' : text.slice(0, 200) }
    const sentence = `${request.method} ${request.path}: what answers is not Gitea's API (no JSON)`
    const next = 'Check SAMOVAR_GITEA_URL, and whether a proxy in front of Gitea asks for a login.'
    throw new SamovarError('forge-unreachable', sentence, { next, cause: error })
  }
}

async function boundedBody(response: Response, request: Request): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of response.body ?? []) {
    bytes += piece.byteLength
    if (bytes > mostBytes) {
      const call = `${request.method} ${request.path}`
      const sentence = `Gitea answered ${call} with more than ${mostBytes} bytes, which is not read`
      throw new TooLarge(response.status, sentence)
    }
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

/** `fetch` wraps what happened once or twice; the innermost says it. */
function failureOf(error: unknown, wire: Wire, request: Request): SamovarError {
  if (error instanceof SamovarError) return error
  const call = `${request.method} ${request.path}`
  if (wire.signal?.aborted) return new SamovarError('interrupted', `${call} was cut short`, { cause: error })
  if (error instanceof Error && error.name === 'AbortError') {
    const sentence = `Gitea did not answer ${call} within ${wire.timeoutMs / 1000} s`
    return new SamovarError('forge-unreachable', sentence, { cause: error })
  }
  const reason = codeOf(error) || (error instanceof Error ? error.message : String(error))
  return new SamovarError('forge-unreachable', `Gitea did not answer ${call}: ${reason}`, { cause: error })
}

/** Of several addresses tried (IPv4 and IPv6) the first one's counts. */
function codeOf(error: unknown): string {
  for (let each = error; each instanceof Error; each = each.cause) {
    if ('code' in each && typeof each.code === 'string') return each.code
    if (each instanceof AggregateError) return codeOf(each.errors[0])
  }
  return ''
}
