/** One request and its answer, as they lie in test/fixtures/gitea/; nothing secret is in them. */
export type Exchange = {
  method: string
  /** With the query. */
  path: string
  /** Request body; null when there is none. */
  sent: unknown
  status: number
  /** Those that the client looks at. */
  headers: Record<string, string>
  /** JSON of the answer; null when it is empty, a string when it is no JSON. */
  answer: unknown
}

export type Recording = { version: string; exchanges: Exchange[] }

const keptHeaders = ['content-type', 'x-total-count', 'location']

/** Addresses in answers are given this host, so that a recording does not depend on where it was made. */
export const recordedUrl = 'https://git.example.com'

/** What stands for the nth token that Gitea gave; as long as a real one. */
export const maskedToken = (nth: number): string => String(nth).padStart(40, '0')

export function keptHeadersOf(headers: Headers): Record<string, string> {
  return Object.fromEntries(
    keptHeaders.flatMap((name) => (headers.has(name) ? [[name, headers.get(name) ?? '']] : [])),
  )
}

/** JSON, text, or null when it is empty. */
export function contentOf(text: string): unknown {
  if (text === '') return null
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/**
 * Remembers the tokens that it saw being made, and masks them wherever they turn up; passwords and secrets of hooks go
 * by their names. The same content always gives the same masked content.
 */
export function maskSecrets() {
  const tokens: string[] = []
  const maskText = (text: string): string =>
    tokens.reduce((masked, token, at) => masked.replaceAll(token, maskedToken(at + 1)), text)
  const mask = (value: unknown, name = ''): unknown => {
    const isToken = name === 'sha1' && typeof value === 'string' && value !== ''
    if (isToken && !tokens.includes(value)) tokens.push(value)
    if (['password', 'passwd', 'secret'].includes(name)) return '***'
    if (name === 'token_last_eight') return maskedEnd(tokens, String(value))
    if (typeof value === 'string') return maskText(value)
    if (Array.isArray(value)) return value.map((each) => mask(each))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, mask(each, key)]))
  }
  return (value: unknown): unknown => mask(value)
}

function maskedEnd(tokens: string[], end: string): string {
  const at = tokens.findIndex((token) => token.endsWith(end))
  return at === -1 ? '********' : maskedToken(at + 1).slice(-8)
}
