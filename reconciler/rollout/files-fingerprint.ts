import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { extract, type Header } from 'tar-stream'
import type { Engine } from '../engine/engine.ts'
import { codeOf } from '../errors.ts'
import type { JobIntent } from '../journal/operation.ts'

export type Watched = NonNullable<JobIntent['watched']>

/** `files` are all that are not folders. */
type Seen = { files: number; fingerprint: string }

/**
 * One text for all files of an archive: names, types, modes, owners, link targets and contents. Times are left out,
 * since a program may write the same again. The order does not matter and nothing but a sum is kept, so a volume of
 * any size takes the same memory: the hashes of the entries are added up as numbers of 256 bits.
 *
 * @param only the one entry that counts, by its name without `./`; all when null
 */
export async function filesFingerprint(archive: Readable, only: string | null = null): Promise<Seen> {
  const entries = extract()
  const sent = pipeline(archive, entries as unknown as NodeJS.WritableStream)
  sent.catch(() => {})
  let sum = 0n
  let files = 0
  for await (const entry of entries) {
    const content = createHash('sha256')
    for await (const chunk of entry as AsyncIterable<Buffer>) content.update(chunk)
    const name = plainName(entry.header)
    if (only !== null && name !== only) continue
    if (entry.header.type !== 'directory') files += 1
    const hash = createHash('sha256')
      .update(lineOf(name, entry.header, content.digest('hex')))
      .digest('hex')
    sum = (sum + BigInt(`0x${hash}`)) & allBits
  }
  await sent
  return { files, fingerprint: sum.toString(16).padStart(64, '0') }
}

const allBits = (1n << 256n) - 1n

const plainName = ({ name }: Header): string => posix.normalize(name).replace(/\/$/, '')

const lineOf = (name: string, { type, mode, uid, gid, linkname }: Header, content: string): string =>
  JSON.stringify([name, type, (mode & 0o7777).toString(8), uid, gid, linkname ?? '', content])

/**
 * Looks at what a job is meant to change, through a container that never starts. What is not there counts as empty.
 * The path may be a folder, or a file in one.
 */
export async function lookAtFiles(
  engine: Pick<Engine, 'scratch' | 'readFiles' | 'removeScratch'>,
  operation: string,
  { watched, imageId }: { watched: Pick<Watched, 'volumeName' | 'path'>; imageId: string },
): Promise<Seen> {
  const instance = await engine.scratch(operation, {
    image: imageId,
    volumes: { [watched.volumeName]: '/watched' },
    command: ['true'],
    environment: {},
  })
  const path = posix.join('/watched', watched.path)
  const read = async (folder: string, only: string | null) =>
    filesFingerprint(await engine.readFiles(instance, folder), only)
  try {
    return await read(path, null)
  } catch (error) {
    if (codeOf(error) !== 'not-found' && codeOf(error) !== 'engine-refused') throw error
    if (path === '/watched') throw error
    return await read(posix.dirname(path), posix.basename(path)).catch((cause: unknown) => {
      if (codeOf(cause) === 'not-found') return { files: 0, fingerprint: '' }
      throw cause
    })
  } finally {
    await engine.removeScratch(operation)
  }
}

/** `certificates/live`, as host.yaml names it. */
export const watchedInWords = ({ volume, path }: { volume: string; path: string }): string =>
  path === '' ? `volume ${volume}` : `${volume}/${path}`
