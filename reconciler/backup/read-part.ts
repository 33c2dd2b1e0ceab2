import { pipeline, type Readable, Writable } from 'node:stream'
import { pipeline as piped } from 'node:stream/promises'
import { createZstdDecompress } from 'node:zlib'
import { codeOf, SamovarError } from '../errors.ts'
import { decrypt } from './encryption.ts'
import { largeBuffers, type Measure, measure } from './gather.ts'
import type { Part } from './manifest.ts'
import type { Store } from './store.ts'

export type PartToRead = Pick<Part, 'name' | 'bytes' | 'sha256' | 'plainBytes' | 'plainSha256'>

/**
 * A part as it was before it was packed. Bytes come before their hash is known; the stream ends without an error only
 * when all of them were right, the stored ones and these. Read it with `pipeline`, `finished` or `for await`: an error
 * may come before anybody listens.
 *
 * Its errors: `backup-damaged` (cut, longer, changed, another part), `backup-key`, and those of the store.
 *
 * @param key of the object in the store
 * @param encryption null when the manifest says that the part is not encrypted; `context` as `contextOf` gives it
 * @throws SamovarError `not-found`, `store-failed`
 */
export async function readPart(
  store: Store,
  key: string,
  part: PartToRead,
  encryption: { key: Buffer; context: string } | null,
): Promise<Readable> {
  const stored = await store.get(key)
  const packed = measure(expecting('has', part))
  const unpacked = expecting('unpacks to', { bytes: part.plainBytes, sha256: part.plainSha256 })
  const plain = measure({
    seen: unpacked.seen,
    ended: (measured) => {
      // Node's zstd ends with its frame, whatever follows it, and then nobody has seen the end of the stored bytes.
      if (packed.measured() === null) return damaged('goes on after the end of its content')
      return unpacked.ended(measured)
    },
    blame: (error) => named(store, key, error),
  })
  const decrypted = encryption === null ? [] : [decrypt(encryption.key, encryption.context)]
  const unzstd = createZstdDecompress({ ...largeBuffers, chunkSize: 1 << 20 })
  pipeline([stored, packed.stream, ...decrypted, unzstd, plain.stream], () => {})
  return plain.stream
}

/**
 * Reads an object to its end and compares size and sha256 with the manifest; needs no key.
 *
 * @throws SamovarError `backup-damaged`, `not-found`, `store-failed`
 */
export async function checkStored(store: Store, key: string, part: PartToRead): Promise<void> {
  const stored = await store.get(key)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  try {
    await piped(stored, measure(expecting('has', part)).stream, nowhere)
  } catch (error) {
    throw named(store, key, error as Error)
  }
}

/** Bytes and sha256 as the manifest has them. The errors begin with a verb; `named` says whose it is. */
function expecting(verb: 'has' | 'unpacks to', wanted: Measure) {
  return {
    seen: (bytes: number) =>
      bytes > wanted.bytes ? damaged(`${verb} more than the ${wanted.bytes} bytes of its manifest`) : null,
    ended: ({ bytes, sha256 }: Measure) => {
      if (bytes < wanted.bytes)
        return damaged(`${verb} ${bytes} of the ${wanted.bytes} bytes of its manifest`)
      if (sha256 === wanted.sha256) return null
      return damaged(`${verb} other bytes than those of its manifest: sha256 ${sha256}, not ${wanted.sha256}`)
    },
  }
}

function damaged(sentence: string): SamovarError {
  return new SamovarError('backup-damaged', sentence)
}

/** Whose error it is, and in Samovar's words. The errors of the store say it themselves. */
function named(store: Store, key: string, error: Error): Error {
  const whose = `${store.name}: ${key}`
  const code = codeOf(error)
  if (code === 'backup-damaged' || code === 'backup-key')
    return new SamovarError(code, `${whose} ${error.message}`, { cause: error.cause })
  const name = (error as NodeJS.ErrnoException).code ?? ''
  if (name === 'ERR_STREAM_PREMATURE_CLOSE')
    return new SamovarError('store-failed', `${whose} broke off while it was read`, { cause: error })
  if (!/^Z(STD)?_/.test(name)) return error
  return new SamovarError('backup-damaged', `${whose} cannot be unpacked: ${error.message}`, { cause: error })
}
