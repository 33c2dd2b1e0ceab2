import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { contextOf, decrypt } from '../../reconciler/backup/encryption.ts'
import { fileStore } from '../../reconciler/backup/file-store.ts'
import { checkStored, type PartToRead, readPart } from '../../reconciler/backup/read-part.ts'
import type { Store } from '../../reconciler/backup/store.ts'
import { wholeOutput } from '../../reconciler/backup/whole-output.ts'
import { type PartContent, type PartWritten, writePart } from '../../reconciler/backup/write-part.ts'
import { inPieces, passed, through } from './pieces.ts'

const key = 'v1/git.example.com/manual/20261122T021400Z-0007-9f3c1a/gitea-data.tar.zst'
const encryption = {
  key: randomBytes(32),
  context: contextOf('20261122T021400Z-0007-9f3c1a', 'gitea-data.tar.zst'),
}
const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

let folder = ''
let run = 0
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'samovar-part-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const storeNamed = (name: string): Store => fileStore({ folder: join(folder, name) })
const fileOf = (store: string): string => join(folder, store, key)
/** Its folder cannot be made, since a file is in the way. */
async function brokenStore(name: string): Promise<Store> {
  await writeFile(join(folder, name), '')
  return fileStore({ folder: join(folder, name, 'below') })
}

/** A store whose disk dies after so many bytes. */
function dyingStore(store: Store, after: number): Store {
  const put: Store['put'] = (at, content, estimate) => {
    let bytes = 0
    const dying = content.map((chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > after) throw new Error('input/output error')
      return chunk
    })
    return store.put(at, dying, estimate)
  }
  return { ...store, put }
}

const content = (plain: Readable, more: Partial<PartContent> = {}): PartContent => ({
  key,
  plain,
  encryption: null,
  estimate: null,
  onBytes: () => {},
  ...more,
})

const someData = (): Buffer =>
  Buffer.concat([randomBytes(700_000), Buffer.alloc(900_000, 'gitea '), randomBytes(1000)])

/** Every file below a folder, also what a cut write may have left. */
async function filesOf(store: string): Promise<string[]> {
  const entries = await readdir(join(folder, store), { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((each) => each.isFile()).map((each) => each.name)
}

async function read(part: PartToRead, secret: PartContent['encryption'] = null, store = storeNamed('one')) {
  return passed(await readPart(store, key, part, secret))
}

describe('a part', () => {
  test.each([
    ['as it is', null],
    ['encrypted', encryption],
  ] as const)('is packed, written and read back (%s)', async (_how, secret) => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 2_000_000 }), fc.boolean(), async (size, packs) => {
        const data = packs ? Buffer.alloc(size, 'some line\n') : randomBytes(size)
        const name = `run-${run++}`
        const store = storeNamed(name)
        const { failed, ...sizes } = await writePart(
          [store],
          content(inPieces(data, [70_000, 3]), { encryption: secret, estimate: size }),
        )
        expect(failed).toEqual([])
        const part = { name: 'gitea-data.tar.zst', ...sizes }
        const stored = await readFile(fileOf(name))
        expect(sizes).toEqual({
          bytes: stored.length,
          sha256: hashOf(stored),
          plainBytes: size,
          plainSha256: hashOf(data),
        })
        await checkStored(store, key, part)
        expect((await through(await readPart(store, key, part, secret))).equals(data)).toBe(true)
      }),
      {
        numRuns: 12,
        examples: [
          [0, true],
          [1, false],
          [262144, false],
          [524288, true],
        ],
      },
    )
  })

  test('lies in the store as zstd, which any zstd unpacks', async () => {
    const data = someData()
    await writePart([storeNamed('one')], content(inPieces(data, [65_536])))
    expect(zstdDecompressSync(await readFile(fileOf('one'))).equals(data)).toBe(true)
  })

  test('lies in the store as zstd inside the encryption', async () => {
    const data = someData()
    await writePart([storeNamed('one')], content(inPieces(data, [65_536]), { encryption }))
    const stored = inPieces(await readFile(fileOf('one')), [100_000])
    expect(
      zstdDecompressSync(await through(stored, decrypt(encryption.key, encryption.context))).equals(data),
    ).toBe(true)
  })

  test('is the same in every store, and read only once', async () => {
    const written = await writePart(
      [storeNamed('one'), storeNamed('two'), storeNamed('three')],
      content(inPieces(someData(), [65_536]), { encryption }),
    )
    expect(written.failed).toEqual([])
    for (const store of ['one', 'two', 'three'])
      expect(hashOf(await readFile(fileOf(store)))).toBe(written.sha256)
  })

  test('says how far it is, at most ten times a second and at the end', async () => {
    const told: number[] = []
    let sent = 0
    const plain = new Readable({
      read() {
        setTimeout(() => this.push(sent++ < 60 ? Buffer.alloc(10_000) : null), 5)
      },
    })
    const began = performance.now()
    await writePart([storeNamed('one')], content(plain, { onBytes: (bytes) => told.push(bytes) }))
    expect(told.at(-1)).toBe(600_000)
    expect(told.length).toBeGreaterThan(2)
    expect(told.length).toBeLessThanOrEqual((performance.now() - began) / 100 + 2)
  })

  test('goes through in constant memory, at the pace of the slowest store', async () => {
    const block = randomBytes(1 << 20)
    let made = 0
    const plain = new Readable({
      highWaterMark: 1 << 20,
      read() {
        this.push(made++ < 100 ? block : null)
      },
    })
    const waiting = storeNamed('waiting')
    const { promise: asked, resolve: goOn } = Promise.withResolvers<void>()
    const put: Store['put'] = async (at, stored, estimate) => {
      await asked
      await waiting.put(at, stored, estimate)
    }
    const before = process.memoryUsage.rss()
    const writing = writePart([storeNamed('fast'), { ...waiting, put }], content(plain, { encryption }))
    // Nothing is read any more once the buffers are full.
    let seen = -1
    const standsStill = (): boolean => {
      const still = made > 0 && made === seen
      seen = made
      return still
    }
    await expect.poll(standsStill, { interval: 500, timeout: 20_000 }).toBe(true)
    expect(made).toBeLessThan(24)
    goOn()
    expect((await writing).plainBytes).toBe(100 << 20)
    expect(process.memoryUsage.rss() - before).toBeLessThan(150 << 20)
  }, 60_000)
})

describe('a store that fails', () => {
  test('before the first byte does not stop the others, and is named', async () => {
    const broken = await brokenStore('broken')
    const data = someData()
    const written = await writePart([broken, storeNamed('one')], content(inPieces(data, [65_536])))
    expect(written.failed).toEqual([
      { store: broken, error: expect.objectContaining({ code: 'store-failed' }) as Error },
    ])
    expect(written.failed[0]?.error.message).toContain(join(folder, 'broken'))
    expect(hashOf(await readFile(fileOf('one')))).toBe(written.sha256)
  })

  test('in the middle does not stop the others, and keeps nothing', async () => {
    const dying = dyingStore(storeNamed('dying'), 300_000)
    const written = await writePart(
      [storeNamed('one'), dying, storeNamed('two')],
      content(inPieces(someData(), [65_536])),
    )
    expect(written.failed.map((each) => each.store)).toEqual([dying])
    expect(written.failed[0]?.error.message).toContain('input/output error')
    for (const store of ['one', 'two']) expect(hashOf(await readFile(fileOf(store)))).toBe(written.sha256)
    expect(await filesOf('dying')).toEqual([])
  })

  test('while the others wait for it lets them go on', async () => {
    const put: Store['put'] = async (_key, stored) => {
      await expect.poll(() => stored.readableLength).toBeGreaterThan(1 << 20)
      throw new Error('no answer')
    }
    const stuck: Store = { ...storeNamed('stuck'), put }
    const written = await writePart(
      [stuck, storeNamed('one')],
      content(inPieces(randomBytes(8 << 20), [65_536])),
    )
    expect(written.failed.map((each) => each.store)).toEqual([stuck])
    expect(hashOf(await readFile(fileOf('one')))).toBe(written.sha256)
  })

  test('since another object has the key keeps that object', async () => {
    await writePart([storeNamed('one')], content(Readable.from([Buffer.from('other')])))
    const before = await readFile(fileOf('one'))
    const written = await writePart(
      [storeNamed('one'), storeNamed('two')],
      content(inPieces(someData(), [65_536])),
    )
    expect(written.failed.map((each) => each.error.code)).toEqual(['store-conflict'])
    expect((await readFile(fileOf('one'))).equals(before)).toBe(true)
    const again = writePart([storeNamed('one')], content(inPieces(someData(), [65_536])))
    await expect(again).rejects.toMatchObject({ code: 'store-conflict' })
  })

  test('and says nothing of it, but did not read to the end, counts as failed', async () => {
    const lazy: Store = {
      ...storeNamed('lazy'),
      name: 'lazy store',
      put: async (_key, stored) => void stored.destroy(),
    }
    const written = await writePart([lazy, storeNamed('one')], content(inPieces(someData(), [65_536])))
    expect(written.failed.map((each) => each.error.message)).toEqual([expect.stringContaining('lazy store')])
  })

  test('like all others ends the part with its error, and the producer', async () => {
    let made = 0
    const plain = new Readable({
      read() {
        made++
        setImmediate(() => this.push(randomBytes(65_536)))
      },
    })
    const stores = [dyingStore(storeNamed('one'), 200_000), dyingStore(storeNamed('two'), 600_000)]
    const error = await writePart(stores, content(plain)).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ message: expect.stringContaining('input/output error') as string })
    expect((error as Error).message).toMatch(/one|two/)
    expect(plain.destroyed).toBe(true)
    expect(made).toBeLessThan(1000)
    expect([...(await filesOf('one')), ...(await filesOf('two'))]).toEqual([])
  })

  test('is not needed to fail: without any store no part is written', async () => {
    await expect(writePart([], content(Readable.from([Buffer.from('x')])))).rejects.toMatchObject({
      code: 'backup-failed',
    })
  })
})

describe('a producer that fails', () => {
  const dump = (script: string): Readable => {
    const program = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'pipe'] })
    let errors = ''
    program.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    const ended = new Promise<{ exitCode: number; errors: string }>((settle) =>
      program.on('close', (exitCode) => settle({ exitCode: exitCode ?? -1, errors })),
    )
    return wholeOutput(program.stdout, ended, 'pg_dump of gitea')
  }

  test('leaves nothing in any store, although its output ended as if it were whole', async () => {
    const plain = dump(
      'head -c 3000000 /dev/zero; echo first >&2; echo "server closed the connection" >&2; exit 1',
    )
    const error = await writePart([storeNamed('one'), storeNamed('two')], content(plain)).catch(
      (cause: unknown) => cause,
    )
    expect(error).toMatchObject({
      code: 'backup-failed',
      message: 'pg_dump of gitea ended with exit code 1: server closed the connection',
    })
    expect([...(await filesOf('one')), ...(await filesOf('two'))]).toEqual([])
  })

  test('but ends well is kept whole', async () => {
    const written = await writePart(
      [storeNamed('one')],
      content(dump('head -c 3000000 /dev/zero; echo notice >&2')),
    )
    expect(written.plainBytes).toBe(3_000_000)
  })

  test('also fails the part when its exit code cannot be learned', async () => {
    const ended = Promise.reject(new Error('the engine is gone'))
    const plain = wholeOutput(Readable.from([Buffer.from('half')]), ended, 'pg_dump of gitea')
    await expect(writePart([storeNamed('one')], content(plain))).rejects.toMatchObject({
      code: 'backup-failed',
      message: 'pg_dump of gitea was cut short: the engine is gone',
    })
    expect(await filesOf('one')).toEqual([])
  })

  test('in the middle leaves nothing in any store, and its own error is the one that is told', async () => {
    function* half(): Generator<Buffer> {
      yield randomBytes(500_000)
      throw new Error('connection reset')
    }
    const plain = wholeOutput(
      Readable.from(half()),
      Promise.resolve({ exitCode: 0, errors: '' }),
      'pg_dump of gitea',
    )
    const stores = [storeNamed('one'), dyingStore(storeNamed('two'), 0)]
    await expect(writePart(stores, content(plain))).rejects.toMatchObject({
      code: 'backup-failed',
      message: 'pg_dump of gitea was cut short: connection reset',
    })
    expect([...(await filesOf('one')), ...(await filesOf('two'))]).toEqual([])
  })

  test('by going away without a word leaves nothing in any store', async () => {
    const plain = new Readable({ read() {} })
    plain.push(randomBytes(500_000))
    const writing = writePart([storeNamed('one')], content(plain))
    await expect.poll(() => filesOf('one')).not.toEqual([])
    plain.destroy()
    await expect(writing).rejects.toMatchObject({ code: 'backup-failed' })
    expect(await filesOf('one')).toEqual([])
  })

  test('is ended when nobody reads it any more', async () => {
    const output = new Readable({ read() {} })
    const plain = wholeOutput(output, new Promise(() => {}), 'pg_dump of gitea')
    plain.destroy()
    await expect.poll(() => output.destroyed).toBe(true)
  })
})

describe('a part that is not what its manifest says', () => {
  const written = async (data: Buffer, secret: PartContent['encryption'] = null): Promise<PartToRead> => {
    const { failed: _, ...sizes }: PartWritten = await writePart(
      [storeNamed('one')],
      content(inPieces(data, [65_536]), { encryption: secret }),
    )
    return { name: 'gitea-data.tar.zst', ...sizes }
  }
  const damage = async (change: (stored: Buffer) => Buffer): Promise<void> =>
    writeFile(fileOf('one'), change(await readFile(fileOf('one'))))
  const refused = async (part: PartToRead, secret: PartContent['encryption'] = null): Promise<string> => {
    const { error } = await read(part, secret)
    expect(error).toMatchObject({ code: 'backup-damaged' })
    expect(error?.message).toContain(storeNamed('one').name)
    expect(error?.message).toContain(key)
    return error?.message ?? ''
  }

  test.each([
    ['as it is', null],
    ['encrypted', encryption],
  ] as const)('never ends well: cut, longer, or with one flipped bit (%s)', async (_how, secret) => {
    const part = await written(
      Buffer.concat([randomBytes(300_000), Buffer.alloc(300_000, 'lines\n')]),
      secret,
    )
    const original = await readFile(fileOf('one'))
    const change = fc.oneof(
      fc
        .integer({ min: 0, max: original.length - 1 })
        .map((end) => (bytes: Buffer) => bytes.subarray(0, end)),
      fc
        .integer({ min: 1, max: 2000 })
        .map((more) => (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(more)])),
      fc
        .tuple(fc.integer({ min: 0, max: original.length - 1 }), fc.integer({ min: 0, max: 7 }))
        .map(([at, bit]) => (bytes: Buffer) => {
          const flipped = Buffer.from(bytes)
          flipped[at] = (flipped[at] as number) ^ (1 << bit)
          return flipped
        }),
    )
    await fc.assert(
      fc.asyncProperty(change, async (changed) => {
        await writeFile(fileOf('one'), changed(original))
        const { error } = await read(part, secret)
        expect(['backup-damaged', 'backup-key']).toContain((error as { code?: string } | null)?.code)
        await expect(checkStored(storeNamed('one'), key, part)).rejects.toMatchObject({
          code: 'backup-damaged',
        })
      }),
      { numRuns: 60 },
    )
  })

  test('is found although it is another whole part of the same size', async () => {
    const other = await written(Buffer.alloc(400_000, 1))
    const otherBytes = await readFile(fileOf('one'))
    await rm(fileOf('one'))
    const part = await written(Buffer.alloc(400_000, 2))
    expect(part.bytes).toBe(other.bytes)
    await damage(() => otherBytes)
    expect(await refused(part)).toContain('sha256')
    await expect(checkStored(storeNamed('one'), key, part)).rejects.toMatchObject({ code: 'backup-damaged' })
  })

  test('is found although only what it unpacks to is another', async () => {
    const part = await written(someData())
    expect(await refused({ ...part, plainSha256: hashOf(Buffer.from('other')) })).toContain(
      'unpacks to other bytes',
    )
    expect(await refused({ ...part, plainBytes: part.plainBytes + 1 })).toContain('unpacks to')
    expect(await refused({ ...part, plainBytes: part.plainBytes - 1 })).toContain('unpacks to more')
  })

  test('is not taken for whole before its last stored byte was seen', async () => {
    const part = await written(someData())
    await damage((stored) => Buffer.concat([stored, randomBytes(3_000_000)]))
    const stored = await readFile(fileOf('one'))
    await refused({ ...part, bytes: stored.length, sha256: hashOf(stored) })
  })

  test('is found at once when it unpacks to more than it may', async () => {
    const part = await written(Buffer.alloc(300_000_000))
    const plain = await readPart(storeNamed('one'), key, { ...part, plainBytes: 1000 }, null)
    const { error, bytes } = await passed(plain)
    expect(error).toMatchObject({ code: 'backup-damaged' })
    expect(bytes.length).toBeLessThan(10_000_000)
  })

  test('that was swapped with another one of the backup is found, with the right hash too', async () => {
    const part = await written(someData(), encryption)
    await refused(part, {
      ...encryption,
      context: contextOf('20261122T021400Z-0007-9f3c1a', 'gitea.dump.zst'),
    })
  })

  test('says so when the key is another one', async () => {
    const part = await written(someData(), encryption)
    const { error, bytes } = await read(part, { ...encryption, key: randomBytes(32) })
    expect(error).toMatchObject({ code: 'backup-key', message: expect.stringContaining(key) as string })
    expect(bytes.length).toBe(0)
  })

  test('says so when it is encrypted and nobody decrypts it, or the other way round', async () => {
    const encrypted = await written(someData(), encryption)
    await refused(encrypted)
    await rm(fileOf('one'))
    await refused(await written(someData()), encryption)
  })

  test('and is not there at all is not found', async () => {
    const part = await written(someData())
    await rm(fileOf('one'))
    await expect(readPart(storeNamed('one'), key, part, null)).rejects.toMatchObject({ code: 'not-found' })
    await expect(checkStored(storeNamed('one'), key, part)).rejects.toMatchObject({ code: 'not-found' })
  })

  test('may be found before anybody reads, and whoever reads then is told', async () => {
    const part = await written(Buffer.from('small'))
    await damage((stored) => stored.subarray(0, stored.length - 2))
    const plain = await readPart(storeNamed('one'), key, part, null)
    await expect.poll(() => plain.errored).not.toBe(null)
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
    await expect(pipeline(plain, nowhere)).rejects.toMatchObject({ code: 'backup-damaged' })
  })

  test('lets go of the store when its reader goes away', async () => {
    const part = await written(randomBytes(20_000_000))
    let stored: Readable | null = null
    const watched: Store = {
      ...storeNamed('one'),
      get: async (at) => {
        stored = await storeNamed('one').get(at)
        return stored
      },
    }
    const plain = await readPart(watched, key, part, null)
    plain.destroy()
    await expect.poll(() => stored?.destroyed).toBe(true)
    expect((await stat(fileOf('one'))).size).toBe(part.bytes)
  })
})
