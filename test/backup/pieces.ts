import { Readable, type Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** A stream of these bytes, cut into pieces of these lengths again and again. */
export function inPieces(bytes: Buffer, lengths: number[]): Readable {
  function* pieces(): Generator<Buffer> {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const length = Math.max(1, lengths[turn % lengths.length] as number)
      yield bytes.subarray(at, at + length)
      at += length
    }
  }
  return Readable.from(pieces(), { objectMode: false })
}

export async function through(source: Readable, ...steps: Transform[]): Promise<Buffer> {
  const { error, bytes } = await passed(source, ...steps)
  if (error !== null) throw error
  return bytes
}

/** What came out before the end or the error. */
export async function passed(
  source: Readable,
  ...steps: Transform[]
): Promise<{ error: Error | null; bytes: Buffer }> {
  const out: Buffer[] = []
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      out.push(chunk)
      done()
    },
  })
  const error = await pipeline([source, ...steps, sink]).then(
    () => null,
    (cause: unknown) => cause as Error,
  )
  return { error, bytes: Buffer.concat(out) }
}
