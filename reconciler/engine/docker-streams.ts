import { Transform } from 'node:stream'

/**
 * Sorts the 8-byte frames of a container without a terminal: the first byte names the stream (1 standard output,
 * 2 standard error, 3 an error of the engine itself), the last four the length. Frames may be cut anywhere between
 * two chunks; `whole` says that none is begun and unfinished.
 */
export function sortFrames(to: { output(part: Buffer): void; errors(part: Buffer): void }) {
  let header = Buffer.alloc(0)
  let left = 0
  let isOutput = true
  return {
    take(chunk: Buffer): void {
      let rest = chunk
      while (rest.length > 0) {
        if (left === 0) {
          const missing = 8 - header.length
          header = Buffer.concat([header, rest.subarray(0, missing)])
          rest = rest.subarray(missing)
          if (header.length < 8) break
          left = header.readUInt32BE(4)
          isOutput = header[0] === 1
          header = Buffer.alloc(0)
        }
        const part = rest.subarray(0, left)
        left -= part.length
        rest = rest.subarray(part.length)
        if (part.length === 0) continue
        if (isOutput) to.output(part)
        else to.errors(part)
      }
    },
    whole: () => left === 0 && header.length === 0,
  }
}

/** Takes the frames off the output of an exec without a terminal, standard output and error in one. */
export function demultiplex(stream: NodeJS.ReadableStream): Transform {
  const forward = (part: Buffer) => void plain.push(part)
  const frames = sortFrames({ output: forward, errors: forward })
  const plain = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      frames.take(chunk)
      done()
    },
  })
  stream.on('error', (error) => plain.destroy(error))
  stream.pipe(plain)
  return plain
}

/** A whole multiplexed answer, such as the logs of a container: standard output and error as one text. */
export function demultiplexed(raw: Buffer): string {
  const parts: Buffer[] = []
  const keep = (part: Buffer) => void parts.push(part)
  sortFrames({ output: keep, errors: keep }).take(raw)
  return Buffer.concat(parts).toString('utf8')
}

/** The last bytes of what a program wrote, as text. */
export function lastBytes(limit: number) {
  let kept = Buffer.alloc(0)
  return {
    add(part: Buffer): void {
      kept = Buffer.from(Buffer.concat([kept, part.subarray(-limit)]).subarray(-limit))
    },
    text: () => kept.toString('utf8'),
  }
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
