import { randomBytes } from 'node:crypto'
import { constants, type Dirent } from 'node:fs'
import { type FileHandle, link, lstat, mkdir, open, opendir, rmdir, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { SamovarError, sentenceOf } from '../errors.ts'
import { fileStoreError, isMissing } from './file-store-errors.ts'
import { folderPrefix, legalKey, ownNames } from './object-key.ts'
import { type Source, sameContent, sourceOf } from './object-stream.ts'
import type { Store, StoredObject } from './store.ts'

/**
 * A store in a folder of this host: an object is a file (mode 0600) under its key, in folders of mode 0700. An object is
 * written under a temporary name beside its own, made durable and then linked to its name: link(2) never replaces
 * what is there, which rename(2) would. Needs a file system with hard links (not FAT or exFAT); `check` says so.
 *
 * Limit: a disk of a network that hangs, hangs the call; the kernel offers no timeout for files.
 *
 * @param options.folder absolute, or relative to the working directory; made when it is missing
 */
export function fileStore(options: { folder: string }): Store {
  const root = resolve(options.folder)
  const name = `file ${root}`
  const failed = (doing: string) => (error: unknown) => {
    throw fileStoreError({ name, root, doing, error })
  }
  return {
    name,
    check: () => probe(root).catch(failed('writing and reading a small file')),
    async put(key, content) {
      const source = sourceOf(content)
      try {
        await putFile({ root, path: join(root, legalKey(name, key)), name: `${name}: ${key}` }, source)
      } catch (error) {
        source.stop()
        const own = source.failure()
        if (own !== undefined) throw own.error
        failed(`writing ${key} (${source.bytes()} bytes so far)`)(error)
      }
    },
    get: (key) => openFile(join(root, legalKey(name, key)), name, key).catch(failed(`reading ${key}`)),
    async *list(prefix) {
      const folder = folderPrefix(name, prefix)
      try {
        // A file in its place has no objects either, but that is no empty store.
        await opendir(root).then((each) => each.close(), unlessMissingFolder)
        for await (const file of filesBelow(join(root, folder), folder)) {
          if (!file.partial) yield file.object
        }
      } catch (error) {
        failed(`listing ${folder}`)(error)
      }
    },
    remove: (keys) =>
      removeFiles(
        root,
        keys.map((key) => legalKey(name, key)),
      ).catch(failed('removing objects')),
    sweep: (prefix, before) =>
      sweepPartials(root, folderPrefix(name, prefix), before).catch(failed('removing what cut writes left')),
    close: async () => {},
  }
}

function unlessMissingFolder(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}

type Place = { root: string; path: string; name: string }

async function putFile(place: Place, source: Source): Promise<void> {
  const folder = dirname(place.path)
  const temporary = join(folder, ownNames.partial + randomBytes(8).toString('hex'))
  const { file, made } = await createIn(folder, temporary)
  try {
    try {
      await file.writeFile(source.chunks)
      await file.sync()
    } finally {
      await file.close()
    }
    await linkOnce(temporary, place)
  } finally {
    await unlink(temporary).catch(() => {})
  }
  // Every folder on the way: one that a crash left may never have been made durable in its parent.
  const highest = dirname(made !== null && place.root.startsWith(made) ? made : place.root)
  for (let each = folder; ; each = dirname(each)) {
    await syncFolder(each)
    if (each === highest) return
  }
}

/** `made`: the highest folder that had to be made for it. */
async function createIn(
  folder: string,
  temporary: string,
): Promise<{ file: FileHandle; made: string | null }> {
  let made: string | null = null
  for (let attempt = 1; ; attempt += 1) {
    made = (await mkdir(folder, { recursive: true, mode: 0o700 })) ?? made
    try {
      return { file: await open(temporary, 'wx', 0o600), made }
    } catch (error) {
      // `remove` takes empty folders away, and may have done so between the two calls.
      if (!isMissing(error) || attempt === 5) throw error
    }
  }
}

/** A file that is there already is fine only when it is this very content: a crash came before the answer. */
async function linkOnce(temporary: string, place: Place): Promise<void> {
  try {
    await link(temporary, place.path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const [there, ours] = [await open(place.path), await open(temporary)]
    const same = await sameContent(there.createReadStream(), ours.createReadStream())
    if (!same) throw new SamovarError('store-conflict', `${place.name} is there already with another content`)
  }
}

/** A folder that this user may write but not read cannot be synced; nor can one on some network disks. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
    await handle.sync()
  } catch (error) {
    if (!['EACCES', 'EINVAL', 'EPERM', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error
  } finally {
    await handle?.close()
  }
}

async function openFile(path: string, store: string, key: string): Promise<Readable> {
  const notFound = (cause?: unknown) =>
    new SamovarError('not-found', `${store} has no object ${key}`, {
      next: '`samovar backups` lists what the stores have.',
      cause,
    })
  const file = await open(path).catch((error: unknown) => {
    throw isMissing(error) ? notFound(error) : error
  })
  const stat = await file.stat()
  if (!stat.isFile()) {
    await file.close()
    throw notFound()
  }
  const content = file.createReadStream({ end: Math.max(stat.size - 1, 0), highWaterMark: 256 * 1024 })
  const whole = Readable.from(wholeFile(content, stat.size, `${store}: ${key}`), { objectMode: false })
  // Also when nobody ever reads from it.
  return whole.once('close', () => content.destroy())
}

/** Ends with an error when the file has become shorter than it was. */
async function* wholeFile(content: Readable, size: number, what: string): AsyncGenerator<Buffer> {
  let bytes = 0
  try {
    for await (const chunk of content as AsyncIterable<Buffer>) {
      bytes += chunk.length
      yield chunk
    }
  } catch (error) {
    throw new SamovarError(
      'store-failed',
      `${what} failed after ${bytes} of ${size} bytes: ${sentenceOf(error)}`,
      { cause: error },
    )
  }
  if (bytes < size)
    throw new SamovarError('store-failed', `${what} ended after ${bytes} of ${size} bytes: the file was cut`)
}

type Found = { object: StoredObject; path: string; partial: boolean }

/** Regular files below a folder; what disappears meanwhile is left out. */
async function* filesBelow(folder: string, prefix: string): AsyncGenerator<Found> {
  for await (const entry of entriesOf(folder)) {
    if (entry.isDirectory()) yield* filesBelow(join(folder, entry.name), `${prefix}${entry.name}/`)
    else yield* found(folder, prefix, entry)
  }
}

async function* filesIn(folder: string): AsyncGenerator<Found> {
  for await (const entry of entriesOf(folder)) yield* found(folder, '', entry)
}

async function* entriesOf(folder: string): AsyncGenerator<Dirent> {
  const entries = await opendir(folder).catch(unlessMissing)
  if (entries !== undefined) yield* entries
}

async function* found(folder: string, prefix: string, entry: Dirent): AsyncGenerator<Found> {
  if (!entry.isFile()) return
  const path = join(folder, entry.name)
  const stat = await lstat(path).catch(unlessMissing)
  if (stat === undefined) return
  const object = { key: prefix + entry.name, bytes: stat.size, changedAt: stat.mtimeMs }
  yield { object, path, partial: entry.name.startsWith(ownNames.partial) }
}

function unlessMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error
}

/** And the folders that become empty by it, up to the store's own. */
async function removeFiles(root: string, keys: string[]): Promise<void> {
  for (const key of keys) {
    await unlink(join(root, key)).catch(unlessMissing)
    for (let folder = dirname(join(root, key)); folder !== root; folder = dirname(folder)) {
      const gone = await rmdir(folder).then(
        () => true,
        (error: unknown) => isMissing(error),
      )
      if (!gone) break
    }
  }
}

/** A write that goes on changes its file again and again, so its age is that of the last byte. */
async function sweepPartials(root: string, prefix: string, before: number): Promise<number> {
  let swept = 0
  for await (const file of filesBelow(join(root, prefix), prefix)) {
    if (!file.partial || file.object.changedAt >= before) continue
    await unlink(file.path).catch(unlessMissing)
    swept += 1
  }
  // Of a check that was cut, which works in the store's own folder.
  for await (const file of filesIn(root)) {
    if (file.partial && file.object.changedAt < before) await unlink(file.path).catch(unlessMissing)
  }
  return swept
}

/** As an object is written and read, hard link included, under two temporary names. */
async function probe(root: string): Promise<void> {
  const [first, second] = [randomBytes(8), randomBytes(8)].map((each) =>
    join(root, `${ownNames.partial}check-${each.toString('hex')}`),
  ) as [string, string]
  const written = randomBytes(1024)
  const { file } = await createIn(root, first)
  try {
    await file.writeFile(written)
    await file.sync()
    await file.close()
    await link(first, second)
    const copy = await open(second)
    const read = await copy.readFile()
    await copy.close()
    if (!read.equals(written)) throw new Error('what was read is not what was written')
  } finally {
    await file.close().catch(() => {})
    await unlink(first).catch(() => {})
    await unlink(second).catch(() => {})
  }
}
