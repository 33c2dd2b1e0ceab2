import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  link,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tarEntries } from '../../reconciler/backup/tar.ts'
import { readHeader } from '../../reconciler/backup/tar-header.ts'
import { inPieces, passed, through } from './pieces.ts'

const run = promisify(execFile)
const formats = ['gnu', 'posix', 'ustar'] as const
let folder = ''
let count = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'samovar-tar-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function freshFolder(): Promise<string> {
  const made = join(folder, String(count++))
  await mkdir(made)
  return made
}

/** Path -> what is there. A link's target is a path of the tree. */
type Tree = Record<string, { text: string } | { folder: true } | { symlink: string } | { hardLink: string }>

async function plant(tree: Tree): Promise<string> {
  const root = await freshFolder()
  for (const [path, entry] of Object.entries(tree)) {
    const at = join(root, path)
    await mkdir(dirname(at), { recursive: true })
    if ('text' in entry) await writeFile(at, entry.text)
    else if ('folder' in entry) await mkdir(at, { recursive: true })
    else if ('symlink' in entry) await symlink(entry.symlink, at)
    else await link(join(root, entry.hardLink), at)
    if ('text' in entry) await utimes(at, 1_700_000_000.25, 1_700_000_000.25)
  }
  return root
}

/** As the engine gives a folder: names begin with `./`. */
async function pack(root: string, format: string, ...more: string[]): Promise<Buffer> {
  const tar = spawnSync('tar', [`--format=${format}`, '--sort=name', ...more, '-C', root, '-cf', '-', '.'], {
    maxBuffer: 1 << 30,
  })
  if (tar.status !== 0) throw new Error(String(tar.stderr))
  return tar.stdout
}

/** All that a restored volume shows: kind, mode, owner, time, size, content, link target, and which names are one file. */
async function unpacked(archive: Buffer): Promise<Record<string, string>> {
  const root = await freshFolder()
  const tar = spawnSync('tar', ['-C', root, '-xpf', '-'], { input: archive })
  expect(tar.stderr.toString()).toBe('')
  const seen: Record<string, string> = {}
  const firstName = new Map<number, string>()
  const names = (await readdir(root, { recursive: true })).sort()
  for (const name of names) {
    const at = join(root, name)
    const stat = await lstat(at)
    const isFile = stat.isFile()
    const first = firstName.get(stat.ino) ?? name
    firstName.set(stat.ino, first)
    const content = isFile
      ? createHash('sha256')
          .update(await readFile(at))
          .digest('hex')
      : ''
    const target = stat.isSymbolicLink() ? await readlink(at) : ''
    const time = isFile ? stat.mtimeMs : 0
    seen[name] = [stat.mode, stat.uid, stat.gid, time, isFile ? stat.size : '', content, target, first].join(
      ' ',
    )
  }
  return seen
}

const filtered = (archive: Buffer, exclude: string[], pieces = [64 * 1024]) =>
  through(inPieces(archive, pieces), tarEntries({ exclude }))

const step = fc.oneof(
  fc.constantFrom('a', 'b', 'log', 'gitea', 'Ärger', 'with space', '-x', 'log.old'),
  fc
    .string({ minLength: 1, maxLength: 12, unit: fc.constantFrom('a', 'z', 'é', '.', ',', ' ', '雪') })
    .filter((each) => !/^\.*$/.test(each)),
  fc.constantFrom('n'.repeat(101), 'm'.repeat(160), 'é'.repeat(110)),
)
const path = fc.array(step, { minLength: 1, maxLength: 4 }).map((steps) => steps.join('/'))
const content = fc.oneof(
  fc.integer({ min: 0, max: 3000 }).map((length) => ({ text: 'x'.repeat(length) })),
  fc.constantFrom(511, 512, 513, 1024).map((length) => ({ text: 'y'.repeat(length) })),
  fc.constant({ folder: true as const }),
  fc.constantFrom('a', 'nowhere', `${'far/'.repeat(40)}away`).map((target) => ({ symlink: target })),
)

/** No name is a file in one path and a folder in another. */
const trees = fc
  .array(fc.tuple(path, content), { maxLength: 25 })
  .map((entries) =>
    Object.fromEntries(
      entries.filter(([name], at) =>
        entries.every(([other], place) => place === at || (other !== name && !other.startsWith(`${name}/`))),
      ),
    ),
  )

describe('a volume without its excluded folders', () => {
  test('unpacks to what tar itself leaves when it excludes their content', async () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 4 })
    const chosen = fc.array(fc.nat(), { maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(
        trees,
        chosen,
        fc.constantFrom('gnu', 'posix'),
        pieces,
        async (tree, picks, format, cuts) => {
          const root = await plant(tree)
          const everything = await readdir(root, { recursive: true })
          const exclude =
            everything.length === 0 ? [] : picks.map((pick) => everything[pick % everything.length] as string)
          const isFolder = await Promise.all(
            exclude.map(async (each) => (await lstat(join(root, each))).isDirectory()),
          )
          const patterns = exclude.map((each, at) => `--exclude=./${each}${isFolder[at] ? '/*' : ''}`)
          const ours = await filtered(await pack(root, format), exclude, cuts)
          const theirs = await pack(root, format, '--anchored', ...patterns)
          expect(await unpacked(ours)).toEqual(await unpacked(theirs))
        },
      ),
      { numRuns: 40 },
    )
  }, 60_000)

  test.each(formats)('is the same, byte for byte, when nothing is excluded (%s)', async (format) => {
    const root = await plant({
      'a/file': { text: 'x'.repeat(5000) },
      'a/hard': { hardLink: 'a/file' },
      'a/soft': { symlink: 'file' },
      empty: { folder: true },
    })
    const archive = await pack(root, format)
    for (const pieces of [[1], [511], [512], [700, 3], [1 << 20]])
      expect((await filtered(archive, [], pieces)).equals(archive)).toBe(true)
  })

  test('keeps the excluded folder itself, with its owner and mode', async () => {
    const root = await plant({ 'gitea/log/gitea.log': { text: 'line' }, 'gitea/keep': { text: 'kept' } })
    await run('chmod', ['0710', join(root, 'gitea/log')])
    await run('chown', ['1000:1000', join(root, 'gitea/log')]).catch(() => {})
    const archive = await pack(root, 'gnu')
    const after = await unpacked(await filtered(archive, ['gitea/log']))
    expect(Object.keys(after)).toEqual(['gitea', 'gitea/keep', 'gitea/log'])
    expect(after['gitea/log']).toBe((await unpacked(archive))['gitea/log'])
  })

  test('leaves out only what lies below: a folder whose name begins alike stays', async () => {
    const root = await plant({
      'gitea/log/a': { text: 'a' },
      'gitea/log.old/b': { text: 'b' },
      'gitea/logs': { text: 'c' },
      'other/gitea/log/d': { text: 'd' },
    })
    const after = await unpacked(await filtered(await pack(root, 'gnu'), ['./gitea/log/']))
    expect(Object.keys(after)).toEqual([
      'gitea',
      'gitea/log',
      'gitea/log.old',
      'gitea/log.old/b',
      'gitea/logs',
      'other',
      'other/gitea',
      'other/gitea/log',
      'other/gitea/log/d',
    ])
  })

  test.each(['gnu', 'posix'])(
    'gives no entry the long name of one that was left out (%s)',
    async (format) => {
      const long = 'n'.repeat(180)
      const root = await plant({
        [`log/${long}`]: { text: 'left out' },
        [`log/link-${long}`]: { symlink: long },
        z: { text: 'short name' },
        [`z-${long}`]: { symlink: `../${long}` },
      })
      const after = await unpacked(await filtered(await pack(root, format), ['log'], [100]))
      expect(Object.keys(after)).toEqual(['log', 'z', `z-${long}`])
      expect(after['z']).toContain(createHash('sha256').update('short name').digest('hex'))
    },
  )

  test('knows the folder of a name that ustar had to split', async () => {
    const deep = `${'d'.repeat(60)}/${'e'.repeat(60)}`
    const root = await plant({ [`${deep}/log/a`]: { text: 'a' }, [`${deep}/logs`]: { text: 'b' } })
    const after = await unpacked(await filtered(await pack(root, 'ustar'), [`${deep}/log`]))
    expect(Object.keys(after)).toEqual(['d'.repeat(60), deep, `${deep}/log`, `${deep}/logs`])
  })

  test.each(['gnu', 'posix'])('may have files with holes, kept and left out (%s)', async (format) => {
    const root = await plant({ 'log/holes': { text: '' }, holes: { text: '' }, last: { text: 'last' } })
    for (const name of ['log/holes', 'holes']) {
      const file = await open(join(root, name), 'w')
      for (let at = 0; at < 60; at++) await file.write(`island ${at}`, at * 1_000_000)
      await file.close()
    }
    const archive = await pack(root, format, '--sparse')
    expect(archive.length).toBeLessThan(2_000_000)
    const [before, after] = [await unpacked(archive), await unpacked(await filtered(archive, ['log'], [777]))]
    expect(after['holes']).toBe(before['holes']?.replace('log/holes', 'holes'))
    expect(Object.keys(after)).toEqual(['holes', 'last', 'log'])
  })

  test('counts what is kept: folders with the root, and all else as files', async () => {
    const root = await plant({
      'gitea/log/a': { text: 'a' },
      'gitea/b': { text: 'b' },
      'gitea/c': { symlink: 'b' },
      'gitea/d': { hardLink: 'gitea/b' },
      empty: { folder: true },
    })
    const entries = tarEntries({ exclude: ['gitea/log'] })
    await through(inPieces(await pack(root, 'gnu'), [1000]), entries)
    expect(entries.counted()).toEqual({ files: 3, folders: 4 })
  })

  test('is refused when it keeps a hard link whose file is left out, with both names and what to do', async () => {
    const root = await plant({ 'a/file': { text: 'content' }, 'b/link': { hardLink: 'a/file' } })
    const archive = await pack(root, 'gnu')
    const { error } = await passed(inPieces(archive, [512]), tarEntries({ exclude: ['a'] }))
    expect(error).toMatchObject({ code: 'backup-failed', next: expect.stringContaining('exclude') as string })
    expect(error?.message).toContain('b/link')
    expect(error?.message).toContain('a/file')
    expect(Object.keys(await unpacked(await filtered(archive, ['b'])))).toEqual(['a', 'a/file', 'b'])
  })

  test('is refused when nothing would be left of it', () => {
    for (const all of ['', '.', './', '/'])
      expect(() => tarEntries({ exclude: [all] })).toThrow(/whole volume/)
  })
})

describe('an archive', () => {
  test.each(formats)('is damaged when it was cut anywhere (%s)', async (format) => {
    const long = 'n'.repeat(120)
    const root = await plant({
      a: { text: 'x'.repeat(1500) },
      [`b/${long.slice(0, 90)}`]: { text: 'y' },
      c: { folder: true },
    })
    const archive = await pack(root, format)
    const whole = lastContent(archive) + 1024
    const ends = fc.oneof(
      fc.integer({ min: 0, max: whole - 1 }),
      fc.integer({ min: 0, max: whole / 512 - 1 }).map((block) => block * 512),
    )
    await fc.assert(
      fc.asyncProperty(ends, async (end) => {
        const { error } = await passed(inPieces(archive.subarray(0, end), [900]), tarEntries({ exclude: [] }))
        expect(error, `cut at ${end}`).toMatchObject({ code: 'backup-damaged' })
      }),
      { numRuns: 60, examples: [[0], [512], [whole - 512], [whole - 1024], [whole - 1]] },
    )
    expect((await filtered(archive.subarray(0, whole), [])).length).toBe(whole)
  })

  test('is damaged by any flipped bit of a header', async () => {
    const archive = await pack(await plant({ file: { text: 'x' } }), 'gnu')
    for (const at of [0, 2, 100, 124, 135, 148, 156, 257, 300, 511, 512, 700]) {
      const flipped = Buffer.from(archive)
      flipped[at] = (flipped[at] as number) ^ 1
      const { error } = await passed(inPieces(flipped, [4000]), tarEntries({ exclude: [] }))
      expect(error, `byte ${at}`).toMatchObject({ code: 'backup-damaged' })
    }
  })

  test('is damaged when something follows its end, or a single block of zeros stands in it', async () => {
    const archive = await pack(await plant({ file: { text: 'x' } }), 'gnu')
    const whole = lastContent(archive)
    const entry = archive.subarray(512, 1024)
    for (const wrong of [
      [archive, entry],
      [archive, Buffer.from('x')],
      [archive.subarray(0, 512), Buffer.alloc(512), archive.subarray(512)],
      [archive.subarray(0, whole), Buffer.alloc(512)],
    ]) {
      const { error } = await passed(inPieces(Buffer.concat(wrong), [4000]), tarEntries({ exclude: [] }))
      expect(error).toMatchObject({ code: 'backup-damaged' })
    }
  })

  test('passes while its largest file is still on its way', async () => {
    const archive = await pack(await plant({ large: { text: 'x'.repeat(5_000_000) } }), 'gnu')
    const entries = tarEntries({ exclude: [] })
    entries.write(archive.subarray(0, 1_000_000))
    await expect.poll(() => entries.readableLength).toBe(1_000_000)
    entries.destroy()
  })

  test('with a broken or endless PAX header ends with an error, not with the memory', async () => {
    const long = 'n'.repeat(180)
    const archive = await pack(await plant({ [long]: { text: 'x' } }), 'posix')
    const records = archive.indexOf(` path=./${long}`)
    const broken = Buffer.from(archive)
    broken.write('9', records - 1)
    const first = await passed(inPieces(broken, [4000]), tarEntries({ exclude: [] }))
    expect(first.error).toMatchObject({ code: 'backup-damaged' })
    const endless = Buffer.from(archive.subarray(0, 512))
    endless.write('77777777777\0', 124)
    endless.write('        ', 148)
    const sum = endless.reduce((total, byte) => total + byte, 0)
    endless.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    const second = await passed(inPieces(endless, [512]), tarEntries({ exclude: [] }))
    expect(second.error).toMatchObject({ code: 'backup-damaged' })
    expect(second.error?.message).toContain('8589934591 bytes of names')
  })

  test('may have a file of more than 8 GiB', async () => {
    const root = await freshFolder()
    await run('truncate', ['-s', '9G', join(root, 'large')])
    const first = async (format: string): Promise<Buffer> => {
      const command = `tar --format=${format} -C "$0" -cf - large | head -c 4096`
      return (await run('sh', ['-c', command, root], { encoding: 'buffer' })).stdout
    }
    expect(readHeader((await first('gnu')).subarray(0, 512)).size).toBe(9 * 2 ** 30)
    // PAX: the size of the records counts, that of the header is cut off. Nothing after 4 KiB may look like a header.
    const posix = await first('posix')
    const { error } = await passed(Readable.from([posix, Buffer.alloc(1 << 20)]), tarEntries({ exclude: [] }))
    expect(error).toMatchObject({
      code: 'backup-damaged',
      message: expect.stringContaining('inside an entry') as string,
    })
  })
})

/** Where the zeros at the end begin, in whole blocks. */
function lastContent(archive: Buffer): number {
  let end = archive.length
  while (archive[end - 1] === 0) end--
  return Math.ceil(end / 512) * 512
}
