import type { Readable } from 'node:stream'

/** A content that is being written, and how its reading went. */
export type Source = {
  chunks: AsyncIterable<Buffer>
  bytes(): number
  /** True when the content was read to its end. */
  ended(): boolean
  /** The error of the content itself, which is not the store's; undefined while there is none. */
  failure(): { error: unknown } | undefined
  /** Ends the reading, also of a content that gives nothing at the moment. */
  stop(): void
}

/** Call it before anything is awaited: from then on an error of the content cannot end the process. */
export function sourceOf(content: Readable): Source {
  let bytes = 0
  let ended = false
  let stopped = false
  let failure: { error: unknown } | undefined
  content.on('error', () => {})
  const chunks = (content as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  const noted = (error: unknown): never => {
    if (!stopped) failure = { error }
    throw error
  }
  async function* read(): AsyncGenerator<Buffer> {
    try {
      // Not `for await`: an error that the reader throws in at `yield` is not the content's.
      for (;;) {
        const next = await chunks.next().catch(noted)
        if (next.done === true) break
        bytes += next.value.length
        yield next.value
      }
      ended = true
    } finally {
      content.destroy()
    }
  }
  return {
    chunks: read(),
    bytes: () => bytes,
    ended: () => ended,
    failure: () => failure,
    stop: () => {
      stopped = true
      content.destroy()
    },
  }
}

/** Whether two contents are the same, byte by byte. Reads no further than the first difference. */
export async function sameContent(
  one: AsyncIterable<Buffer>,
  other: AsyncIterable<Buffer>,
): Promise<boolean> {
  const others = other[Symbol.asyncIterator]()
  let ahead: Buffer = Buffer.alloc(0)
  try {
    for await (const chunk of one) {
      let rest: Buffer = chunk
      while (rest.length > 0) {
        if (ahead.length === 0) {
          const next = await others.next()
          if (next.done === true) return false
          ahead = next.value
        }
        const length = Math.min(rest.length, ahead.length)
        if (!rest.subarray(0, length).equals(ahead.subarray(0, length))) return false
        rest = rest.subarray(length)
        ahead = ahead.subarray(length)
      }
    }
    return ahead.length === 0 && (await isAtEnd(others))
  } finally {
    await others.return?.()
  }
}

async function isAtEnd(rest: AsyncIterator<Buffer>): Promise<boolean> {
  for (;;) {
    const next = await rest.next()
    if (next.done === true) return true
    if (next.value.length > 0) return false
  }
}
