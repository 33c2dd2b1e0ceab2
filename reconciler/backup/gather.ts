import { createHash } from 'node:crypto'
import { Transform } from 'node:stream'

/** For the streams of a part: Node's own 64 KiB make every step wait for the other more often than it works. */
export const largeBuffers = { readableHighWaterMark: 1 << 20, writableHighWaterMark: 1 << 20 }

const largePiece = 512 * 1024

/**
 * Bytes on their way, to be taken in other portions than they came: `take` never more than `bytes()`. Copies only what
 * lies across two pieces.
 */
export function gather(): { add(piece: Buffer): void; bytes(): number; take(bytes: number): Buffer } {
  const pieces: Buffer[] = []
  let size = 0
  return {
    add: (piece) => {
      pieces.push(piece)
      size += piece.length
    },
    bytes: () => size,
    take: (bytes) => {
      size -= bytes
      let used = 0
      let missing = bytes
      for (; missing > 0; used++) missing -= (pieces[used] as Buffer).length
      const taken = pieces.splice(0, used)
      if (missing < 0) {
        const last = taken.pop() as Buffer
        const end = last.length + missing
        taken.push(last.subarray(0, end))
        pieces.unshift(last.subarray(end))
      }
      return taken.length === 1 ? (taken[0] as Buffer) : Buffer.concat(taken)
    },
  }
}

export type Measure = { bytes: number; sha256: string }

/**
 * Passes bytes through, counts and hashes them. What comes in small pieces goes on in large ones: each piece costs a
 * way through another thread in zstd and a write in a store. From a pipe into zstd, on two cores: pieces of 256 KiB,
 * hashed at once, 294 MiB/s; of 512 KiB, hashed later, 365 MiB/s; of 1 MiB the same. Hashing in a thread of its own was
 * not needed: what cannot be packed passes at 400 MiB/s (300 into a file), more than the engine reads.
 *
 * @param options seen: told the bytes so far, for every piece; an error that it answers ends the stream
 * @param options ended: told the result before the stream ends; an error that it answers ends it instead
 * @param options blame: what an error of the stream becomes, whoever destroyed it
 * @returns the stream, and `measured`, which is null until the end has passed through well
 */
export function measure(
  options: {
    seen?: (bytes: number) => Error | null
    ended?: (measure: Measure) => Error | null
    blame?: (error: Error) => Error
  } = {},
): { stream: Transform; measured: () => Measure | null } {
  const waiting = gather()
  const hash = createHash('sha256')
  let bytes = 0
  let measured: Measure | null = null
  const forward = (): Buffer => {
    const piece = waiting.take(waiting.bytes())
    hash.update(piece)
    return piece
  }
  const stream = new Transform({
    ...largeBuffers,
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      waiting.add(chunk)
      const error = options.seen?.(bytes) ?? null
      if (error !== null || waiting.bytes() < largePiece) done(error)
      // Not at once: zstd is to get its next piece, and work on it in its thread, before this one is hashed here.
      else setImmediate(() => done(null, forward()))
    },
    flush(done) {
      const rest = forward()
      if (rest.length > 0) this.push(rest)
      const result = { bytes, sha256: hash.digest('hex') }
      const error = options.ended?.(result) ?? null
      if (error === null) measured = result
      done(error)
    },
  })
  const { blame } = options
  if (blame !== undefined) {
    const destroy = stream.destroy.bind(stream)
    // Here and not in `_destroy`: who begins to read a stream that has failed already gets the error given to `destroy`.
    stream.destroy = (error) => destroy(error === undefined || error === null ? error : blame(error))
  }
  return { stream, measured: () => measured }
}
