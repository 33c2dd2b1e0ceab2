import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterEach, describe, expect, test } from 'vitest'
import type { Store, StoredObject } from '../../reconciler/backup/store.ts'

/** What a place for backups under test offers the suite. */
export type StoreUnderTest = {
  store: Store
  /** Bytes that are more than one part of an upload. */
  large: number
  /** Leaves what a write leaves that was killed on the way. */
  cutWrite: (key: string) => Promise<void>
  /** How many such remains there are, looked at beside the store. */
  remains: () => Promise<number>
  cleanUp: () => PromiseLike<void>
}

const host = 'v1/git.example.com/'
const key = `${host}manual/20261122T021400Z-0007-9f3c1a/gitea-data.tar.zst`
const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex')
const contentOf = (text: string): Readable => Readable.from([Buffer.from(text)])

/** In pieces as streams have them: neither equal nor a power of two. */
export function inPieces(content: Buffer): Readable {
  function* pieces() {
    for (let at = 0, size = 1; at < content.length; at += size, size = ((size * 7) % 150_001) + 1)
      yield content.subarray(at, at + size)
  }
  return Readable.from(pieces(), { objectMode: false })
}

/** Gives so many bytes, and then what a program gives that failed. */
export function failingAfter(bytes: number, error: Error): Readable {
  function* pieces() {
    for (let left = bytes; left > 0; left -= 65_536) yield Buffer.alloc(Math.min(left, 65_536), 'x')
    throw error
  }
  return Readable.from(pieces(), { objectMode: false })
}

export async function keysOf(store: Store, prefix: string): Promise<string[]> {
  return (await objectsOf(store, prefix)).map((each) => each.key).sort()
}

async function objectsOf(store: Store, prefix: string): Promise<StoredObject[]> {
  const objects: StoredObject[] = []
  for await (const each of store.list(prefix)) objects.push(each)
  return objects
}

/** The promises of reconciler/backup/store.ts; every store passes them. */
export function storeContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`store contract: ${name}`, () => {
    let under: StoreUnderTest
    const opened = async () => {
      under = await open()
      return under
    }
    afterEach(async () => {
      await under.store.close()
      await under.cleanUp()
    })
    const read = async (which: string) => buffer(await under.store.get(which))

    test('a check succeeds again and again, and leaves nothing that is listed', async () => {
      const { store, remains } = await opened()
      await store.check()
      await store.check()
      expect(await keysOf(store, '')).toEqual([])
      expect(await remains()).toBe(0)
    })

    test('an object comes back as it was written, and is listed with its size and time', async () => {
      const { store } = await opened()
      const before = Date.now()
      await store.put(key, contentOf('the data'), 8)
      expect((await read(key)).toString()).toBe('the data')
      const [listed, ...others] = await objectsOf(store, host)
      expect(others).toEqual([])
      expect(listed).toMatchObject({ key, bytes: 8 })
      expect(Math.abs((listed?.changedAt ?? 0) - before)).toBeLessThan(60_000)
    })

    test('an empty object is an object', async () => {
      const { store } = await opened()
      await store.put(key, Readable.from([]), 0)
      expect(await objectsOf(store, host)).toMatchObject([{ key, bytes: 0 }])
      expect((await read(key)).length).toBe(0)
    })

    test.each([null, 1, 20_000_000])(
      '20 MB come back the same when %s bytes were expected',
      async (estimate) => {
        const { store, remains } = await opened()
        const content = randomBytes(20_000_003)
        await store.put(key, inPieces(content), estimate)
        expect(sha256(await read(key))).toBe(sha256(content))
        expect(await objectsOf(store, host)).toMatchObject([{ key, bytes: content.length }])
        expect(await remains()).toBe(0)
      },
    )

    test('a key that is written is never changed', async () => {
      const { store, remains, large } = await opened()
      await store.put(key, contentOf('the first'), null)
      for (const other of ['the other', 'the firs', 'the first one', ''])
        await expect(store.put(key, contentOf(other), null)).rejects.toMatchObject({ code: 'store-conflict' })
      await expect(store.put(key, inPieces(randomBytes(large)), large)).rejects.toMatchObject({
        code: 'store-conflict',
        message: expect.stringContaining(key),
      })
      expect((await read(key)).toString()).toBe('the first')
      expect(await remains()).toBe(0)
    })

    test('writing the same content once more is fine, as after a crash', async () => {
      const { store, remains } = await opened()
      const content = randomBytes(1_000_003)
      await store.put(key, inPieces(content), null)
      await store.put(key, inPieces(content), null)
      expect(await keysOf(store, '')).toEqual([key])
      expect(await remains()).toBe(0)
    })

    test('of two writes of one key at the same time exactly one wins', async () => {
      const { store, large, remains } = await opened()
      for (const size of [1_000, large]) {
        const contents = [randomBytes(size), randomBytes(size)]
        const raced = `${key}-${size}`
        const ends = await Promise.allSettled(contents.map((each) => store.put(raced, inPieces(each), size)))
        const lost = ends.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
        expect(lost).toMatchObject([{ code: 'store-conflict' }])
        const winner = contents[ends.findIndex((each) => each.status === 'fulfilled')] as Buffer
        expect(sha256(await read(raced))).toBe(sha256(winner))
      }
      expect(await remains()).toBe(0)
    })

    test('content that fails leaves nothing, and its own error is what is thrown', async () => {
      const { store, large, remains } = await opened()
      for (const bytes of [0, 1, 100_000, large, large * 2]) {
        const error = new Error(`pg_dump ended with exit code 1 after ${bytes} bytes`)
        await expect(store.put(key, failingAfter(bytes, error), large)).rejects.toBe(error)
        expect(await keysOf(store, '')).toEqual([])
        await expect(store.get(key)).rejects.toMatchObject({ code: 'not-found' })
        expect(await remains()).toBe(0)
      }
      await store.put(key, contentOf('the next attempt'), null)
      expect((await read(key)).toString()).toBe('the next attempt')
    })

    test('content that is broken off without an error leaves nothing', async () => {
      const { store, remains } = await opened()
      const content = new Readable({ read() {} })
      content.push('half of it')
      const writing = store.put(key, content, null)
      content.destroy()
      await expect(writing).rejects.toBeInstanceOf(Error)
      const failedBefore = new Readable({ read() {} })
      failedBefore.destroy()
      await expect(store.put(key, failedBefore, null)).rejects.toBeInstanceOf(Error)
      expect(await keysOf(store, '')).toEqual([])
      expect(await remains()).toBe(0)
    })

    test('an object that is not there is not-found', async () => {
      const { store } = await opened()
      await store.put(key, contentOf('the data'), null)
      for (const missing of [`${key}x`, `${host}manual`, 'v1/nobody/manifest.json'])
        await expect(store.get(missing)).rejects.toMatchObject({
          code: 'not-found',
          message: expect.stringContaining(missing),
        })
    })

    test('a reader that stops early does no harm', async () => {
      const { store } = await opened()
      await store.put(key, inPieces(randomBytes(3_000_000)), null)
      for await (const chunk of await store.get(key)) {
        expect(chunk.length).toBeGreaterThan(0)
        break
      }
      const unread = await store.get(key)
      unread.destroy()
      expect((await read(key)).length).toBe(3_000_000)
    })

    test('objects are removed, and removing them again is no error', async () => {
      const { store } = await opened()
      const keys = ['a', 'b', 'c'].map((each) => `${host}manual/1/${each}`)
      for (const each of [...keys, key]) await store.put(each, contentOf(each), null)
      await store.remove([...keys, `${host}never/was`])
      await store.remove(keys)
      await store.remove([])
      expect(await keysOf(store, '')).toEqual([key])
    })

    test('more objects than a page of a listing has are all listed, and all removed', async () => {
      const { store } = await opened()
      const keys = Array.from({ length: 242 }, (_, index) => `${host}scheduled/${index % 11}/${index}`).sort()
      const left = [...keys]
      const writer = async () => {
        for (let each = left.pop(); each !== undefined; each = left.pop())
          await store.put(each, contentOf(each), 1)
      }
      await Promise.all(Array.from({ length: 8 }, writer))
      expect(await keysOf(store, host)).toEqual(keys)
      expect(await keysOf(store, `${host}scheduled/3/`)).toHaveLength(22)
      await store.remove(keys)
      expect(await keysOf(store, '')).toEqual([])
    })

    test('a listing ends where the name of the folder ends', async () => {
      const { store } = await opened()
      for (const each of ['v1/git/a', 'v1/github/b', 'v1/git-old/c'])
        await store.put(each, contentOf('x'), null)
      expect(await keysOf(store, 'v1/git')).toEqual(['v1/git/a'])
      expect(await keysOf(store, 'v1/git/')).toEqual(['v1/git/a'])
      expect(await keysOf(store, 'v1/nobody/')).toEqual([])
      expect(await keysOf(store, '')).toHaveLength(3)
    })

    test('what a killed write left is not listed and not found, and a sweep removes it', async () => {
      const { store, cutWrite, remains } = await opened()
      await store.put(`${host}whole`, contentOf('x'), null)
      await cutWrite(key)
      await cutWrite('v1/another.example.com/manual/1/part')
      expect(await remains()).toBe(2)
      expect(await keysOf(store, '')).toEqual([`${host}whole`])
      await expect(store.get(key)).rejects.toMatchObject({ code: 'not-found' })
      const soon = Date.now() + 60_000
      expect(await store.sweep(host, soon)).toBe(1)
      expect(await remains()).toBe(1)
      expect(await store.sweep(host, soon)).toBe(0)
      expect(await keysOf(store, '')).toEqual([`${host}whole`])
      await store.put(key, contentOf('the next attempt'), null)
      expect((await read(key)).toString()).toBe('the next attempt')
    })

    test('odd but legal keys are kept exactly', async () => {
      const { store } = await opened()
      const odd = [
        'a b',
        'a+b',
        'a%20b',
        '100%',
        'ä-日本-🎉',
        `it's "quoted"`,
        '<&>',
        'a?b=c#d',
        '~*!()[]{}',
        '.hidden',
        '-x:y@z;,=$^|',
      ]
      const keys = odd.map((each) => `${host}${each}/${each}`).sort()
      for (const each of keys) await store.put(each, contentOf(each), null)
      expect(await keysOf(store, host)).toEqual(keys)
      for (const each of keys) expect((await read(each)).toString()).toBe(each)
      expect(await keysOf(store, `${host}a b/`)).toEqual([`${host}a b/a b`])
      await store.remove(keys)
      expect(await keysOf(store, '')).toEqual([])
    })

    test('a key that would lead out of the store is refused by every method', async () => {
      const { store } = await opened()
      const wrong = [
        '',
        '/etc/passwd',
        '../outside',
        'a/../../outside',
        'a//b',
        'a/',
        './a',
        'a\0b',
        'a\nb',
        'a\\b',
        'x'.repeat(201),
        '.partial-1',
      ]
      for (const each of wrong) {
        const refused = { code: 'store-failed', message: expect.stringContaining(store.name) }
        await expect(store.put(each, contentOf('x'), null)).rejects.toMatchObject(refused)
        await expect(async () => store.get(each)).rejects.toMatchObject(refused)
        await expect(async () => store.remove([each])).rejects.toMatchObject(refused)
      }
      await expect(async () => keysOf(store, '../outside/')).rejects.toMatchObject({ code: 'store-failed' })
      await expect(async () => store.sweep('../outside/', 1)).rejects.toMatchObject({ code: 'store-failed' })
    })
  })
}
