import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { contextOf, decrypt, encrypt, keyFrom, keyName } from '../../reconciler/backup/encryption.ts'
import { inPieces, passed, through } from './pieces.ts'

const key = Buffer.alloc(32, 7)
const context = contextOf('20261122T021400Z-0007-9f3c1a', 'gitea-data.tar.zst')
const chunk = 256 * 1024
const sealedChunk = chunk + 16
const headerBytes = 44

const sealed = (plain: Buffer, bound = context) =>
  through(inPieces(plain, [plain.length]), encrypt(key, bound))
const opened = (bytes: Buffer, bound = context, with_ = key) =>
  passed(inPieces(bytes, [100_000]), decrypt(with_, bound))

/** Three chunks and a bit, as every test below damages it in its own way. */
const plain = randomBytes(3 * chunk + 1000)

describe('a part that is encrypted', () => {
  test('comes back as it was, whatever its size and however it arrives', async () => {
    const sizes = fc.oneof(
      fc.integer({ min: 0, max: 2000 }),
      fc.integer({ min: -2, max: 2 }).map((off) => chunk + off),
      fc.integer({ min: -2, max: 2 }).map((off) => 2 * chunk + off),
      fc.integer({ min: 0, max: 3 * chunk }),
    )
    const cuts = fc
      .array(fc.integer({ min: 1, max: 400_000 }), { maxLength: 5 })
      .map((lengths) => [...lengths, 100_000])
    await fc.assert(
      fc.asyncProperty(sizes, cuts, cuts, async (size, ins, outs) => {
        const content = randomBytes(size)
        const bytes = await through(inPieces(content, ins), encrypt(key, context))
        const back = await through(inPieces(bytes, outs), decrypt(key, context))
        expect(back.equals(content)).toBe(true)
        const chunks = Math.max(1, Math.ceil(size / chunk))
        expect(bytes.length).toBe(headerBytes + size + chunks * 16)
      }),
      { numRuns: 60 },
    )
  })

  test('looks different each time, and shows nothing of its content', async () => {
    const secret = Buffer.alloc(5000, 'password')
    const [one, other] = [await sealed(secret), await sealed(secret)]
    expect(one.subarray(headerBytes).equals(other.subarray(headerBytes))).toBe(false)
    expect(one.includes('password')).toBe(false)
  })

  test('says so when another key is tried, with the names of both keys', async () => {
    const other = Buffer.alloc(32, 8)
    const { error, bytes } = await opened(await sealed(plain), context, other)
    expect(error).toMatchObject({ code: 'backup-key' })
    expect(error?.message).toContain(keyName(key))
    expect(error?.message).toContain(keyName(other))
    expect(bytes.length).toBe(0)
  })

  test('is not accepted under the name of another part, nor in another backup', async () => {
    const bytes = await sealed(plain)
    for (const wrong of [
      contextOf('20261122T021400Z-0007-9f3c1a', 'gitea.dump.zst'),
      contextOf('other', 'gitea-data.tar.zst'),
    ]) {
      const { error, bytes: out } = await opened(bytes, wrong)
      expect(error).toMatchObject({ code: 'backup-damaged' })
      expect(out.length).toBe(0)
    }
  })

  test('is damaged when it was cut anywhere, also between two chunks', async () => {
    const bytes = await sealed(plain)
    const ends = [0, 1, 2, 3].map((number) => headerBytes + number * sealedChunk)
    const around = ends.flatMap((end) => [end - 1, end, end + 1, end + 15, end + 16, end + 17])
    for (const end of [0, 1, 43, ...around, bytes.length - 17, bytes.length - 16, bytes.length - 1]) {
      const { error } = await opened(bytes.subarray(0, end))
      expect(error, `cut at ${end}`).toMatchObject({ code: 'backup-damaged' })
    }
  })

  test('is damaged when its size is a multiple of a chunk and the last chunk is gone', async () => {
    const bytes = await sealed(randomBytes(2 * chunk))
    const { error } = await opened(bytes.subarray(0, headerBytes + sealedChunk))
    expect(error).toMatchObject({ code: 'backup-damaged' })
  })

  test('is damaged when anything is appended, also a chunk of its own', async () => {
    const bytes = await sealed(plain)
    const last = bytes.subarray(headerBytes + 3 * sealedChunk)
    for (const more of [
      Buffer.alloc(1),
      Buffer.alloc(16),
      last,
      bytes.subarray(headerBytes, headerBytes + sealedChunk),
    ]) {
      const { error } = await opened(Buffer.concat([bytes, more]))
      expect(error).toMatchObject({ code: 'backup-damaged' })
    }
  })

  test('is damaged when two chunks changed places, one is missing or one comes twice', async () => {
    const bytes = await sealed(plain)
    const header = bytes.subarray(0, headerBytes)
    const [a, b, c] = [0, 1, 2].map((number) =>
      bytes.subarray(headerBytes + number * sealedChunk, headerBytes + (number + 1) * sealedChunk),
    ) as [Buffer, Buffer, Buffer]
    const last = bytes.subarray(headerBytes + 3 * sealedChunk)
    for (const order of [
      [b, a, c, last],
      [a, c, last],
      [a, b, b, c, last],
      [a, b, last],
    ]) {
      const { error } = await opened(Buffer.concat([header, ...order]))
      expect(error).toMatchObject({ code: 'backup-damaged' })
    }
  })

  test('is damaged by one flipped bit anywhere, and no byte of that chunk comes out', async () => {
    const bytes = await sealed(plain)
    const places = fc.tuple(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 0, max: 7 }))
    await fc.assert(
      fc.asyncProperty(places, async ([at, bit]) => {
        const flipped = Buffer.from(bytes)
        flipped[at] = (flipped[at] as number) ^ (1 << bit)
        const { error, bytes: out } = await opened(flipped)
        const inName = at >= 8 && at < 12
        expect(error).toMatchObject({ code: inName ? 'backup-key' : 'backup-damaged' })
        const whole = Math.max(0, Math.floor((at - headerBytes) / sealedChunk))
        expect(out.length).toBeLessThanOrEqual(whole * chunk)
        expect(out.equals(plain.subarray(0, out.length))).toBe(true)
      }),
      { numRuns: 80, examples: [[[0, 0]], [[7, 0]], [[8, 1]], [[12, 1]], [[43, 7]], [[44, 0]]] },
    )
  })

  test('can be opened without Samovar, by the script of the manual', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'samovar-encryption-'))
    try {
      const [script, part, out] = ['decrypt.mjs', 'part', 'plain'].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ]
      await writeFile(script, standAlone)
      for (const size of [0, 5000, chunk, 2 * chunk, 2 * chunk + 1]) {
        const content = randomBytes(size)
        await writeFile(part, await sealed(content))
        const environment = { ...process.env, KEY: key.toString('base64') }
        await promisify(execFile)(process.execPath, [script, part, context, out], { env: environment })
        expect((await readFile(out)).equals(content)).toBe(true)
      }
      await writeFile(part, (await sealed(plain)).subarray(0, headerBytes + sealedChunk))
      await expect(
        promisify(execFile)(process.execPath, [script, part, context, out], {
          env: { ...process.env, KEY: key.toString('base64') },
        }),
      ).rejects.toThrow(/unable to authenticate data/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

/** As docs/backup.md has it. */
const standAlone = `// KEY=<base64> node decrypt.mjs PART "<id of the backup>/<name of the part>" OUT
import { createDecipheriv, createHash, hkdfSync } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'

const [part, context, out] = process.argv.slice(2)
const key = Buffer.from(process.env.KEY, 'base64')
const [from, to] = [openSync(part, 'r'), openSync(out, 'w')]
const header = Buffer.alloc(44)
readSync(from, header, 0, 44, 0)
const name = createHash('sha256').update('samovar backup key').update(key).digest().subarray(0, 4)
if (!name.equals(header.subarray(8, 12))) throw new Error('another key')
const partKey = Buffer.from(hkdfSync('sha256', key, header.subarray(12), 'samovar backup part v1', 32))
const size = fstatSync(from).size
for (let number = 0, at = 44; number === 0 || at < size; number++) {
  const chunk = Buffer.alloc(Math.min(262144 + 16, size - at))
  at += readSync(from, chunk, 0, chunk.length, at)
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(number, 5, 6)
  nonce[11] = at === size ? 1 : 0
  const decipher = createDecipheriv('aes-256-gcm', partKey, nonce)
  decipher.setAAD(Buffer.concat([header, Buffer.from(context)]))
  decipher.setAuthTag(chunk.subarray(-16))
  writeSync(to, Buffer.concat([decipher.update(chunk.subarray(0, -16)), decipher.final()]))
}
closeSync(to)
`

describe('a key', () => {
  test('is read from base64 and from hexadecimal', () => {
    const bytes = randomBytes(32)
    expect(keyFrom(bytes.toString('base64')).equals(bytes)).toBe(true)
    expect(keyFrom(`${bytes.toString('hex')}\n`).equals(bytes)).toBe(true)
  })

  test('that is none is refused, and not repeated in the message', () => {
    for (const text of ['', 'hunter2', randomBytes(31).toString('base64'), randomBytes(33).toString('hex')]) {
      let message = ''
      try {
        keyFrom(text)
      } catch (error) {
        message = (error as Error).message
        expect(error).toMatchObject({ code: 'settings-invalid' })
      }
      expect(message).toContain('openssl rand -base64 32')
      if (text !== '') expect(message).not.toContain(text)
    }
  })

  test('has a name that stays the same for ever, since manifests name it', () => {
    expect(keyName(Buffer.alloc(32, 7))).toBe('56da692e')
    expect(keyName(Buffer.alloc(32, 8))).not.toBe(keyName(Buffer.alloc(32, 7)))
  })
})

test('an encrypted part of an earlier version is still read', async () => {
  const bytes = Buffer.from(earlier, 'base64')
  const out: Buffer[] = []
  await pipeline(Readable.from([bytes]), decrypt(key, context), async (chunks: AsyncIterable<Buffer>) => {
    for await (const each of chunks) out.push(each)
  })
  expect(Buffer.concat(out).toString()).toBe('the samovar is hot')
})

/** Written once by version 1 of the format. */
const earlier =
  'U0FNT1ZBUgFW2mkubdmbNhAoYFmcjxKakeRJnmGd03sJ5ubZjkibTSI9VW3gE5u1f8iWoopbrIv9nv0sLzv5Ek3xQqllT/u7DkkC0eGo'
