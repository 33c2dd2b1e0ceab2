import { Readable, type Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { filesFingerprint } from '../../reconciler/rollout/files-fingerprint.ts'
import { archiveOf, type Entry } from '../contracts/engine-data.ts'

const certificates: Entry[] = [
  { name: './', type: 'directory', mode: 0o755 },
  { name: './live/', type: 'directory', mode: 0o700 },
  { name: './live/cert.pem', type: 'symlink', linkname: '../archive/cert1.pem', mode: 0o777 },
  { name: './archive/cert1.pem', content: 'one', mode: 0o644 },
]

async function fingerprintOf(entries: Entry[]): Promise<string> {
  return (await filesFingerprint(Readable.from([await archiveOf(entries)]))).fingerprint
}

const changed = (name: string, other: Partial<Entry>): Entry[] =>
  certificates.map((entry) => (entry.name === name ? { ...entry, ...other } : entry))

describe('the fingerprint of files', () => {
  test('is the same for the same files, whatever their order and their times', async () => {
    const later = certificates.map((entry) => ({ ...entry, mtime: new Date('2030-01-01') }))
    expect(await fingerprintOf(later.toReversed())).toBe(await fingerprintOf(certificates))
  })

  test.each([
    ['a content', changed('./archive/cert1.pem', { content: 'two' })],
    ['a link that points elsewhere', changed('./live/cert.pem', { linkname: '../archive/cert2.pem' })],
    ['a mode', changed('./archive/cert1.pem', { mode: 0o600 })],
    ['an owner', changed('./archive/cert1.pem', { uid: 5 })],
    ['a name', changed('./archive/cert1.pem', { name: './archive/cert2.pem' })],
    ['a new file', [...certificates, { name: './archive/cert2.pem', content: '' }]],
    ['a file less', certificates.slice(0, 3)],
  ])('is another one for %s', async (_what, other) => {
    expect(await fingerprintOf(other)).not.toBe(await fingerprintOf(certificates))
  })

  test('is another one when two files have swapped their contents', async () => {
    const two = (a: string, b: string): Entry[] => [
      { name: './a', content: a },
      { name: './b', content: b },
    ]
    expect(await fingerprintOf(two('x', 'y'))).not.toBe(await fingerprintOf(two('y', 'x')))
  })

  test('takes the one file that counts, and counts files without folders', async () => {
    const archive = async () => Readable.from([await archiveOf(certificates)])
    expect((await filesFingerprint(await archive())).files).toBe(2)
    expect((await filesFingerprint(await archive(), 'archive/cert1.pem')).files).toBe(1)
    expect((await filesFingerprint(await archive(), 'archive')).files).toBe(0)
  })

  test('fails when the archive does: half of the files are not a fingerprint', async () => {
    const whole = await archiveOf(certificates)
    const broken = Readable.from(
      (async function* () {
        yield whole.subarray(0, 1024)
        throw new Error('the connection was lost')
      })(),
    )
    await expect(filesFingerprint(broken)).rejects.toThrow('the connection was lost')
  })

  test('400 MB of files do not stay in memory', async () => {
    const block = Buffer.alloc(1 << 20, 'x')
    const { pack } = await import('tar-stream')
    const archive = pack()
    const entry = archive.entry({ name: './large', size: 400 * block.length }) as unknown as Writable
    void (async () => {
      for (let at = 0; at < 400; at += 1)
        if (!entry.write(block)) await new Promise((resolve) => entry.once('drain', resolve))
      entry.end()
      archive.finalize()
    })()
    const before = process.memoryUsage().rss
    const seen = await filesFingerprint(Readable.from(archive as unknown as AsyncIterable<Buffer>))
    expect(seen.files).toBe(1)

    expect(process.memoryUsage().rss - before).toBeLessThan(150e6)
  })
})
