import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { cp, link, mkdir, readdir, realpath, rename, rm, stat, symlink } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { extract, type Header } from 'tar-stream'
import { SamovarError, sentenceOf } from '../errors.ts'
import { linked, releaseFolder, syncFolder, versionOf } from './releases.ts'
import { runProgram } from './run-program.ts'

/** What is on its way into releases/; what a cut left behind goes with the next one. */
const onTheWay = '.taking-in-'

/**
 * Brings a release into `releases/<version>`: a folder, or a .tar.gz of one whose sha256 is as given. It is unpacked
 * beside and renamed, so that a release stands there whole or not at all. One that is there already is replaced, unless
 * it is the current one: then nothing is done.
 *
 * @param wanted.sha256 64 hexadecimal digits; a file is refused without it
 * @returns its version
 * @throws SamovarError `update-refused`
 */
export async function takeIn(
  root: string,
  wanted: { release: string; sha256: string | null },
): Promise<string> {
  const releases = join(root, 'releases')
  await mkdir(releases, { recursive: true })
  for (const name of await readdir(releases))
    if (name.startsWith(onTheWay)) await rm(join(releases, name), { recursive: true, force: true })
  const source = await realpath(wanted.release).catch(() => null)
  if (source === null) throw refused(`there is no ${wanted.release}`, 'Name a folder or a .tar.gz file.')
  const isFolder = (await stat(source)).isDirectory()
  if (isFolder && dirname(source) === (await realpath(releases)))
    return sameName(versionOf(source), basename(source))
  const temporary = join(releases, `${onTheWay}${process.pid}`)
  try {
    if (isFolder) await copyFolder(source, temporary)
    else await unpack(source, wanted.sha256, temporary)
    const folder = await topOf(temporary)
    const version = versionOf(folder)
    if (version !== linked(root, 'current')) await putInPlace(root, folder, version)
    return version
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

function sameName(version: string, folder: string): string {
  if (version === folder) return version
  throw refused(`releases/${folder} is version ${version}`, `Rename it to releases/${version}.`)
}

/** A release has no history of its own; links stay as they are. */
const copyFolder = (source: string, target: string): Promise<void> =>
  cp(source, target, {
    recursive: true,
    verbatimSymlinks: true,
    preserveTimestamps: true,
    filter: (path) => basename(path) !== '.git',
  })

/** Archives of one folder, as most are made, and archives of what is in it. */
async function topOf(folder: string): Promise<string> {
  const names = await readdir(folder)
  const [only] = names
  return names.length === 1 && only !== undefined && (await stat(join(folder, only))).isDirectory()
    ? join(folder, only)
    : folder
}

async function putInPlace(root: string, folder: string, version: string): Promise<void> {
  const target = releaseFolder(root, version)
  // Thousands of files: one sync of the file system instead of one for each. Without the program it is the kernel's turn.
  await runProgram('sync', ['-f', folder], { timeoutMs: 10 * 60_000 }).catch(() => null)
  const old = join(root, 'releases', `${onTheWay}old-${process.pid}`)
  await rename(target, old).catch(() => null)
  await rename(folder, target)
  await syncFolder(join(root, 'releases'))
  await rm(old, { recursive: true, force: true })
}

async function unpack(file: string, sha256: string | null, target: string): Promise<void> {
  if (sha256 === null)
    throw refused(
      `${file} came without its sha256`,
      'Add --sha256 HEX, as whoever built the release tells it.',
    )
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  const found = hash.digest('hex')
  if (found !== sha256.toLowerCase())
    throw refused(
      `${file} has sha256 ${found}, not ${sha256}`,
      'Fetch it again, and compare with whoever built it: it is not what was meant.',
    )
  await mkdir(target, { mode: 0o755 })
  const entries = extract()
  const writing = async () => {
    for await (const entry of entries) await writeEntry(target, entry.header, entry)
  }
  try {
    // An archive that ends too early fails the reading alone: the entries just stop coming.
    await Promise.all([pipeline(createReadStream(file), createGunzip(), entries), writing()])
  } catch (error) {
    entries.destroy()
    if (error instanceof SamovarError) throw error
    throw refused(`${file} cannot be unpacked: ${sentenceOf(error)}`, 'Build the archive again.')
  }
}

type Content = AsyncIterable<unknown> & { resume(): unknown }

async function writeEntry(root: string, header: Header, content: Content): Promise<void> {
  const path = inside(root, header.name, header.name)
  if (header.type === 'directory') {
    await mkdir(path, { recursive: true, mode: 0o755 })
    content.resume()
    return
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  // A link that an earlier entry made may lead out, whatever the name says.
  if (!isInside(root, await realpath(dirname(path)))) throw leaves(header.name)
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
      // Not through a link of that name: the file must be new.
      await pipeline(
        Readable.from(content),
        createWriteStream(path, { flags: 'wx', mode: (header.mode ?? 0) & 0o755 }),
      )
      return
    case 'symlink': {
      const to = header.linkname ?? ''
      if (isAbsolute(to) || !isInside(root, resolve(dirname(path), to))) throw leaves(header.name)
      await symlink(to, path)
      break
    }
    case 'link':
      await link(inside(root, header.linkname ?? '', header.name), path)
      break
    default:
      throw refused(`the archive has ${header.name}, which is no file, folder or link`, 'Build it again.')
  }
  content.resume()
}

function inside(root: string, name: string, entry: string): string {
  const path = resolve(root, name)
  if (isAbsolute(name) || name.split('/').includes('..') || !isInside(root, path)) throw leaves(entry)
  return path
}

const isInside = (root: string, path: string): boolean => {
  const way = relative(root, path)
  return way === '' || (!isAbsolute(way) && way !== '..' && !way.startsWith(`..${sep}`))
}

const leaves = (name: string): SamovarError =>
  refused(`the archive has ${name}, which leads out of its folder`, 'Do not use it: no release has that.')

const refused = (sentence: string, next: string): SamovarError =>
  new SamovarError('update-refused', sentence, { next })
