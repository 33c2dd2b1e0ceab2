import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress } from 'node:zlib'
import { SamovarError, sentenceOf } from '../errors.ts'
import { encrypt } from './encryption.ts'
import { largeBuffers, type Measure, measure } from './gather.ts'
import type { Store } from './store.ts'

export type PartContent = {
  /** Key of the object in every store. */
  key: string
  /** The part before packing; it is read to its end, or destroyed. */
  plain: Readable
  /** `context` as `contextOf` gives it. */
  encryption: { key: Buffer; context: string } | null
  /** Plain bytes that may be expected; null when nobody knows. */
  estimate: number | null
  /** Told the plain bytes so far, at most ten times a second and once at the end. */
  onBytes: (plainBytes: number) => void
}

/** Sizes and hashes as a `Part` of the manifest has them; the stores that do not have the part. */
export type PartWritten = {
  bytes: number
  sha256: string
  plainBytes: number
  plainSha256: string
  failed: { store: Store; error: SamovarError }[]
}

/**
 * Packs a part (zstd), encrypts it when there is a key, and writes it to every store at once: the content is read
 * once, at the pace of the slowest store, in constant memory. A store that fails is left out and the others go on;
 * one that hangs holds all up until its own timeout.
 *
 * @throws the error of `plain`, and then no store has the part; `backup-failed` when `plain` was destroyed before its end
 * @throws SamovarError the error of the first store that failed, when all did; then `plain` is destroyed
 */
export async function writePart(stores: Store[], content: PartContent): Promise<PartWritten> {
  const plain = measure({ seen: tenTimesASecond(content.onBytes) })
  const packed = measure()
  const { encryption } = content
  const encrypted = encryption === null ? [] : [encrypt(encryption.key, encryption.context)]
  const copies = copiesTo(stores, content)
  try {
    await pipeline([content.plain, plain.stream, zstd(), ...encrypted, packed.stream, copies.entrance])
  } catch (error) {
    await copies.written()
    throw error instanceof SamovarError ? error : notWhole(content.key, error)
  }
  const failed = await copies.written()
  if (failed.length === stores.length) throw failed[0]?.error ?? notWhole(content.key, 'there is no store')
  const before = plain.measured() as Measure
  content.onBytes(before.bytes)
  return {
    ...(packed.measured() as Measure),
    plainBytes: before.bytes,
    plainSha256: before.sha256,
    failed,
  }
}

/**
 * Level 1, since the service may stand still meanwhile. On two cores, 512 MiB of programs and libraries: level 1
 * 380 MiB/s to 43 %, level 2 325 MiB/s to 41 %, level 3 245 MiB/s to 39 %; what is packed already, as Git has it,
 * passes at the same rate in all three. Not with ZSTD_c_nbWorkers: Node 24.21 takes the answer of a worker that has
 * not finished for the end, and what comes out is cut or an error (seen with 1 and with 2 workers, every time).
 */
function zstd() {
  return createZstdCompress({
    ...largeBuffers,
    chunkSize: 1 << 20,
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  })
}

type Copy = { store: Store; content: Readable; full: boolean }

/** One stream in, one for every store out; waits while any of them is full. Without a store left it is destroyed. */
function copiesTo(stores: Store[], { key, estimate }: PartContent) {
  const failed: PartWritten['failed'] = []
  let whenNoneIsFull: (() => void) | null = null
  const goOn = (): void => {
    if (copies.some((copy) => copy.full)) return
    const next = whenNoneIsFull
    whenNoneIsFull = null
    next?.()
  }
  const entrance = new Writable({
    highWaterMark: largeBuffers.writableHighWaterMark,
    write(chunk: Buffer, _encoding, done) {
      for (const copy of copies) {
        if (copy.content.destroyed) continue
        copy.full = true
        if (copy.content.push(chunk)) copy.full = false
      }
      // Only now: a reader that reads at once must not fetch the next piece before every copy has this one.
      whenNoneIsFull = done
      goOn()
    },
    final(done) {
      for (const copy of copies) copy.content.push(null)
      done()
    },
    destroy(error, done) {
      for (const copy of copies) if (error !== null) copy.content.destroy(error)
      done(error)
    },
  })
  const copies = stores.map((store): Copy => {
    const room = (): void => {
      copy.full = false
      goOn()
    }
    const content = new Readable({ highWaterMark: largeBuffers.readableHighWaterMark, read: room })
    const copy = { store, content, full: false }
    // A store may destroy it, or not listen any more when it is destroyed: neither may hold up or end anything else.
    content.on('close', room).on('error', () => {})
    return copy
  })
  const puts = copies.map(async (copy) => {
    try {
      await copy.store.put(key, copy.content, estimate === null ? null : atMost(estimate))
      if (!copy.content.readableEnded) throw new Error(`it did not read ${key} to its end`)
    } catch (error) {
      failed.push({ store: copy.store, error: asStoreFailed(copy.store, error) })
      copy.content.destroy()
      if (failed.length === stores.length) entrance.destroy(failed[0]?.error)
    }
  })
  return { entrance, written: () => Promise.all(puts).then(() => failed) }
}

/** What cannot be packed grows a little, by zstd and by the tags of its chunks. */
function atMost(plainBytes: number): number {
  return Math.ceil(plainBytes * 1.005) + 4096
}

function tenTimesASecond(tell: (bytes: number) => void): (bytes: number) => null {
  let next = 0
  return (bytes) => {
    if (performance.now() >= next) {
      next = performance.now() + 100
      tell(bytes)
    }
    return null
  }
}

function notWhole(key: string, cause: unknown): SamovarError {
  return new SamovarError('backup-failed', `${key} could not be read to its end: ${sentenceOf(cause)}`, {
    cause,
  })
}

function asStoreFailed(store: Store, error: unknown): SamovarError {
  if (error instanceof SamovarError) return error
  return new SamovarError('store-failed', `${store.name}: ${sentenceOf(error)}`, { cause: error })
}
