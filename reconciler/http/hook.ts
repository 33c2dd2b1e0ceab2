import type { IncomingHttpHeaders } from 'node:http'

/** What became of a call, as `samovar_webhooks_total` counts it. */
export const hookResults = [
  'accepted',
  'ignored',
  'replay',
  'unauthorized',
  'malformed',
  'wrong-type',
  'too-large',
  'busy',
  'failed',
] as const

export type HookResult = (typeof hookResults)[number]

export type Answer = {
  result: HookResult
  /** For the caller, so never more than it may know. */
  why: string
  /** For the log of the operator, who is told at most hourly; always one of a few sentences of ours. */
  told?: string
  /** Done when the answer is on its way. */
  afterwards?: () => void
}

/** Something that others call to say that there may be news. It is only ever a hint: what is done comes from Git and the registry. */
export type Hook = {
  name: 'gitea' | 'diun'
  /** Bytes of the body; what is longer is refused and not kept. */
  bodyLimit: number
  /** The next step when a call could not be taken: what makes up for it. */
  otherwise: string
  /** Asked before a byte of the body is read; null: go on. */
  refuse(headers: IncomingHttpHeaders): Answer | null
  /** Asked with the whole body, as it came. */
  take(headers: IncomingHttpHeaders, bytes: Buffer): Answer
}

export const unauthorized = (told: string): Answer => ({ result: 'unauthorized', why: 'unauthorized', told })

export const malformed = (why: string): Answer => ({ result: 'malformed', why })

/**
 * The value that a body holds, or null when it is no JSON. Bytes that are no UTF-8 become U+FFFD: they stand in a commit
 * message at most, of which nothing is read. JSON.parse does not recurse, so depth is bounded by the size alone.
 */
export function valueOf(bytes: Buffer): { value: unknown } | null {
  try {
    return { value: JSON.parse(bytes.toString('utf8')) as unknown }
  } catch {
    return null
  }
}

/** The value of a key of an object of the body; undefined when there is no object or no such key. Nothing inherited is seen. */
export const valueAt = (value: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>(
    (at, key) =>
      typeof at === 'object' && at !== null && Object.hasOwn(at, key)
        ? (at as Record<string, unknown>)[key]
        : undefined,
    value,
  )
