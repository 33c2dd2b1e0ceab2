import { SamovarError, sentenceOf } from '../errors.ts'
import { version } from '../version.ts'

/** One registry, and what it has told us about asking it. */
export type Registry = {
  /** As in the names of images. */
  name: string
  origin: string
  /** It speaks plain HTTP: only an address of this machine does, as for the Engine. */
  isLoopback: boolean
  /** Milliseconds since 1970; nothing is asked before. */
  quietUntil: number
  now: () => number
  timeoutMs: number
}

export type Wanted = {
  method: 'GET' | 'HEAD' | 'POST'
  url: URL
  headers: Record<string, string>
  mostBytes: number
  /** Redirects to elsewhere are followed without `authorization`; false: none is. */
  follow: boolean
  body?: string
}

export type Answer = { status: number; headers: Headers; bytes: Buffer }

const mostRedirects = 4
const hour = 3_600_000
/** A registry that says stop without saying how long. */
const usualPause = 15 * 60_000
/** Whatever a registry says, it is asked again after a day. */
const longestPause = 24 * hour

export function registryNamed(name: string, about: Pick<Registry, 'now' | 'timeoutMs'>): Registry {
  const isLoopback = isLoopbackHost(name)
  const host = name === 'docker.io' ? 'registry-1.docker.io' : name
  return { name, origin: `${isLoopback ? 'http' : 'https'}://${host}`, isLoopback, quietUntil: 0, ...about }
}

function isLoopbackHost(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(host)
}

/** Tokens and passwords go over https, and in plain only from this machine to itself. */
export function isSafe(registry: Registry, url: URL): boolean {
  if (url.username !== '' || url.password !== '') return false
  return (
    url.protocol === 'https:' || (url.protocol === 'http:' && registry.isLoopback && isLoopbackHost(url.host))
  )
}

/**
 * One request to a registry, or to the host that it names for tokens and content. Whatever it answers is bounded in
 * size and time, and what it says about asking too often is kept.
 * @throws SamovarError `registry-unreachable`, also without asking while the registry wants to be left alone
 */
export async function request(registry: Registry, wanted: Wanted): Promise<Answer> {
  if (registry.now() < registry.quietUntil) throw beingQuiet(registry)
  let { url } = wanted
  let headers: Record<string, string> = {
    ...wanted.headers,
    // What is hashed must be what was sent.
    'accept-encoding': 'identity',
    'user-agent': `samovar/${version}`,
  }
  for (let hops = 0; hops <= mostRedirects; hops += 1) {
    const answer = await once(registry, { ...wanted, url, headers })
    noteLimits(registry, answer)
    if (answer.status === 429) throw beingQuiet(registry)
    const location = answer.headers.get('location')
    if (answer.status < 301 || answer.status > 308 || location === null) return answer
    const next = URL.canParse(location, url.href) ? new URL(location, url) : null
    if (!wanted.follow || next === null || !isSafe(registry, next))
      throw unreachable(registry, 'answers with a redirect that is not followed')
    if (next.origin !== url.origin) headers = withoutLogin(headers)
    url = next
  }
  throw unreachable(registry, 'redirects in a circle')
}

async function once(registry: Registry, { method, url, headers, body, mostBytes }: Wanted): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method,
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(registry.timeoutMs),
      ...(body === undefined ? {} : { body }),
    })
    const bytes = await bounded(registry, response, mostBytes)
    return { status: response.status, headers: response.headers, bytes }
  } catch (error) {
    if (error instanceof SamovarError) throw error
    const timedOut = error instanceof Error && error.name === 'TimeoutError'
    const why = timedOut
      ? `did not answer within ${registry.timeoutMs / 1000} s`
      : `cannot be reached (${causeOf(error)})`
    throw unreachable(registry, why, { cause: error })
  }
}

async function bounded(registry: Registry, response: Response, mostBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > mostBytes) throw unreachable(registry, `answers with more than ${mostBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** fetch hides the reason one level down. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return (cause as NodeJS.ErrnoException).code ?? sentenceOf(cause)
}

/**
 * 429, and 503 with a Retry-After, say how long to wait. Docker Hub counts pulls in a sliding window and tells what is
 * left (`ratelimit-remaining: 0;w=21600`): at nothing it is left alone for an hour rather than asked until it refuses.
 */
function noteLimits(registry: Registry, { status, headers }: Answer): void {
  const after = retryAfter(headers.get('retry-after'), registry.now())
  const isUsedUp = /^\s*0\s*(?:;|$)/.test(headers.get('ratelimit-remaining') ?? '')
  const pause =
    status === 429 ? (after ?? usualPause) : status === 503 && after !== null ? after : isUsedUp ? hour : 0
  const until = registry.now() + Math.min(pause, longestPause)
  if (pause > 0) registry.quietUntil = Math.max(registry.quietUntil, until)
}

/** Seconds, or a date. */
function retryAfter(text: string | null, now: number): number | null {
  if (text === null) return null
  const pause = /^\s*\d{1,9}\s*$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now
  return Number.isNaN(pause) ? null : Math.max(1000, pause)
}

function withoutLogin(headers: Record<string, string>): Record<string, string> {
  const { authorization: _, ...rest } = headers
  return rest
}

function beingQuiet(registry: Registry): SamovarError {
  const until = `${new Date(registry.quietUntil).toISOString().slice(0, 19)}Z`
  return unreachable(registry, 'wants not to be asked so often (429 or its rate limit)', {
    next: `Nothing to do: it is asked again after ${until}. A login (\`docker login\`) raises the limit of Docker Hub.`,
  })
}

/** `what` follows the name of the registry. */
export function unreachable(
  registry: Pick<Registry, 'name'>,
  what: string,
  options: { next?: string; cause?: unknown } = {},
): SamovarError {
  return new SamovarError('registry-unreachable', `The registry ${registry.name} ${what}`, options)
}
