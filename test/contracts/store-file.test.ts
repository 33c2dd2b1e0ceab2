import { randomBytes } from 'node:crypto'
import { mkdir, readdir, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { fileStore } from '../../reconciler/backup/file-store.ts'
import { works } from '../rig/process.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { inPieces, keysOf, storeContract } from './store.ts'

const partials = async (folder: string) =>
  (await readdir(folder, { recursive: true })).filter((each) => each.includes('.partial-'))

storeContract('a folder', async () => {
  const folder = await tempFolder('file-store')
  return {
    store: fileStore({ folder: join(folder.path, 'backups', 'of', 'samovar') }),
    large: 12_000_000,
    cutWrite: async (key) => {
      const path = join(folder.path, 'backups', 'of', 'samovar', key)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(join(dirname(path), '.partial-0123456789abcdef'), 'half of it')
    },
    remains: async () => (await partials(folder.path)).length,
    cleanUp: () => folder[Symbol.asyncDispose](),
  }
})

const key = 'v1/git.example.com/manual/1/data.tar.zst'

test('only the user of Samovar may read what is stored', async () => {
  await using folder = await tempFolder('file-store')
  const root = join(folder.path, 'new', 'backups')
  await fileStore({ folder: root }).put(key, Readable.from(['secret']), null)
  const modes = new Map<string, string>()
  for (const each of ['..', '.', 'v1', dirname(key), key])
    modes.set(each, ((await stat(join(root, each))).mode & 0o777).toString(8))
  expect(Object.fromEntries(modes)).toEqual({
    '..': '700',
    '.': '700',
    v1: '700',
    [dirname(key)]: '700',
    [key]: '600',
  })
})

test('a file that became shorter ends its reading with an error', async () => {
  await using folder = await tempFolder('file-store')
  const store = fileStore({ folder: folder.path })
  await store.put(key, inPieces(randomBytes(5_000_000)), null)
  const content = await store.get(key)
  await truncate(join(folder.path, key), 1_000_000)
  await expect(buffer(content)).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringMatching(/1000000 of 5000000 bytes/),
  })
})

test('a sweep leaves a write alone that may still go on', async () => {
  await using folder = await tempFolder('file-store')
  const store = fileStore({ folder: folder.path })
  const half = join(folder.path, 'v1/git.example.com/.partial-1')
  const ofCheck = join(folder.path, '.partial-check-1')
  await mkdir(dirname(half), { recursive: true })
  for (const each of [half, ofCheck]) await writeFile(each, 'half of it')
  const hourAgo = Date.now() - 3_600_000
  expect(await store.sweep('v1/git.example.com/', hourAgo)).toBe(0)
  expect(await partials(folder.path)).toHaveLength(2)
  const old = hourAgo / 1000 - 60
  for (const each of [half, ofCheck]) await utimes(each, old, old)
  expect(await store.sweep('v1/git.example.com/', hourAgo)).toBe(1)
  expect(await partials(folder.path)).toEqual([])
})

test('folders that a removal empties go too, others and the store itself stay', async () => {
  await using folder = await tempFolder('file-store')
  const store = fileStore({ folder: folder.path })
  await store.put('v1/h/manual/1/a', Readable.from(['a']), null)
  await store.put('v1/h/manual/2/b', Readable.from(['b']), null)
  await store.remove(['v1/h/manual/1/a'])
  expect(await readdir(join(folder.path, 'v1/h/manual'))).toEqual(['2'])
  await store.remove(['v1/h/manual/2/b'])
  expect(await readdir(folder.path)).toEqual([])
})

test('a store that cannot be a folder says so and names the next step', async () => {
  await using folder = await tempFolder('file-store')
  const file = join(folder.path, 'a-file')
  await writeFile(file, 'x')
  const store = fileStore({ folder: join(file, 'backups') })
  const expected = {
    code: 'store-failed',
    message: expect.stringContaining(`file ${file}/backups: `),
    next: expect.stringContaining('folder'),
  }
  await expect(store.check()).rejects.toMatchObject(expected)
  await expect(store.put(key, Readable.from(['x']), null)).rejects.toMatchObject(expected)
  await expect(keysOf(store, '')).rejects.toMatchObject(expected)
})

const mountsDisks = process.getuid?.() === 0
test.skipIf(!mountsDisks)('a full disk is named as that, and nothing stays of the write', async () => {
  await using folder = await tempFolder('full-disk')
  await using disk = await smallDisk(folder.path)
  const store = fileStore({ folder: join(disk.path, 'backups') })
  await store.put(key, inPieces(randomBytes(100_000)), null)
  await expect(store.put(`${key}-2`, inPieces(randomBytes(8_000_000)), null)).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringMatching(/no space is left on its disk \(ENOSPC\)/),
    next: expect.stringContaining('Free some space'),
  })
  expect(await keysOf(store, '')).toEqual([key])
  expect(await partials(disk.path)).toEqual([])
  await store.put(`${key}-3`, inPieces(randomBytes(100_000)), null)
})

/** Of 2 MB, in memory. */
async function smallDisk(folder: string): Promise<{ path: string } & AsyncDisposable> {
  const mounted = await works('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder])
  if (!mounted) throw new Error('root may not mount a disk in memory here')
  return { path: folder, [Symbol.asyncDispose]: async () => void (await works('umount', [folder])) }
}
