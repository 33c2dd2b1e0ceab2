import { Transform } from 'node:stream'

/**
 * Takes the 8-byte frames off the output of an exec without a terminal, standard output and error in one.
 * Frames may be cut anywhere between two chunks.
 */
export function demultiplex(stream: NodeJS.ReadableStream): Transform {
  let header = Buffer.alloc(0)
  let left = 0
  const plain = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      let rest = chunk
      while (rest.length > 0) {
        if (left === 0) {
          const missing = 8 - header.length
          header = Buffer.concat([header, rest.subarray(0, missing)])
          rest = rest.subarray(missing)
          if (header.length < 8) break
          left = header.readUInt32BE(4)
          header = Buffer.alloc(0)
        }
        const part = rest.subarray(0, left)
        left -= part.length
        rest = rest.subarray(part.length)
        if (part.length > 0) this.push(part)
      }
      done()
    },
  })
  stream.on('error', (error) => plain.destroy(error))
  stream.pipe(plain)
  return plain
}

/** Reads a stream to its end, at most `limit` bytes of it and at most `timeoutMs` long. */
export async function readBounded(
  stream: Transform,
  limit: number,
  timeoutMs: number,
): Promise<{ text: string; timedOut: boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    stream.destroy()
  }, timeoutMs)
  try {
    for await (const chunk of stream) {
      if (size < limit) chunks.push((chunk as Buffer).subarray(0, limit - size))
      size += (chunk as Buffer).length
    }
  } catch (error) {
    if (!timedOut) throw error
  } finally {
    clearTimeout(timer)
  }
  return { text: Buffer.concat(chunks).toString('utf8'), timedOut }
}
