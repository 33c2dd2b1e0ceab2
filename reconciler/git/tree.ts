import { createHash } from 'node:crypto'
import { mkdir, open, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SamovarError } from '../errors.ts'
import { GitFailure } from './git-command.ts'

/** The two questions a checkout asks of a clone. */
export type ObjectReader = {
  /** `git WORDS`; at most that many bytes. */
  text(words: string[], atMost?: number): Promise<string>
  /** `git cat-file --batch` for these objects. */
  objects(names: string[]): Promise<Buffer>
}

export type TreeLimits = { files: number; bytes: number }

export type TreeEntry = { mode: 'file' | 'executable' | 'link'; object: string; bytes: number; path: string }

const kinds: Record<string, TreeEntry['mode']> = {
  '100644': 'file',
  '100664': 'file',
  '100755': 'executable',
  '120000': 'link',
}

/** Blobs are read in portions, so that a large commit is not held in memory. */
const portionBytes = 8 * 1024 * 1024
/** Longer ones do not happen by accident; bounds what listing a tree made to explode can cost. */
const longestLine = 400

/**
 * Lists the files of a commit. Submodules are left out: a checkout consists of the repository alone.
 * @throws `desired-state-invalid` when the tree is too large or has names that do not belong in a folder; GitFailure.
 */
export async function listTree(
  reader: ObjectReader,
  commit: string,
  limits: TreeLimits,
): Promise<TreeEntry[]> {
  const entries: TreeEntry[] = []
  let bytes = 0
  for (const line of (await readListing(reader, commit, limits)).split('\0')) {
    const match = /^(\d+) (\w+) ([0-9a-f]+) +(\S+)\t(.*)$/s.exec(line)
    const [, mode = '', , object = '', size = '', path = ''] = match ?? []
    if (line === '' || mode === '160000') continue
    const kind = kinds[mode]
    if (kind === undefined || !/^\d+$/.test(size))
      throw new GitFailure('exit', `the tree of ${commit} cannot be read`)
    if (!isPlain(path)) throw refuse(commit, `has a file name that cannot be used: ${JSON.stringify(path)}`)
    bytes += Number(size)
    entries.push({ mode: kind, object, bytes: Number(size), path })
    if (entries.length > limits.files) throw refuse(commit, `has more than ${limits.files} files`)
    if (bytes > limits.bytes)
      throw refuse(commit, `is larger than ${Math.floor(limits.bytes / 1024 / 1024)} MiB`)
  }
  return entries
}

async function readListing(reader: ObjectReader, commit: string, limits: TreeLimits): Promise<string> {
  try {
    return await reader.text(['ls-tree', '-r', '-z', '-l', '--full-tree', commit], limits.files * longestLine)
  } catch (error) {
    if (!(error instanceof GitFailure) || error.reason !== 'too-much') throw error
    throw refuse(commit, `has more than ${limits.files} files`)
  }
}

/** Git itself would refuse such names; a tree made by hand can carry them all the same. */
function isPlain(path: string): boolean {
  const wrong = (part: string) =>
    part === '' || part === '.' || part === '..' || part.toLowerCase() === '.git'
  return !path.includes('�') && !path.split('/').some(wrong)
}

/**
 * Writes the files as Git stores them, byte for byte: no filters, no line ends, no keywords; each is compared with its
 * hash and flushed. Links come last, so nothing is ever written through one.
 * @throws `desired-state-invalid` when two entries cannot stand beside each other; GitFailure for a damaged clone.
 */
export async function writeTree(
  reader: ObjectReader,
  commit: string,
  entries: TreeEntry[],
  directory: string,
): Promise<void> {
  const ordered = [
    ...entries.filter((entry) => entry.mode !== 'link'),
    ...entries.filter((entry) => entry.mode === 'link'),
  ]
  for (const portion of inPortions(ordered)) {
    const output = await reader.objects(portion.map((entry) => entry.object))
    let at = 0
    for (const entry of portion) {
      const start = output.indexOf('\n', at) + 1
      const content = output.subarray(start, start + entry.bytes)
      verify(entry, output.toString('latin1', at, start), content)
      at = start + entry.bytes + 1
      await write(entry, content, directory, commit)
    }
  }
}

function inPortions(entries: TreeEntry[]): TreeEntry[][] {
  const portions: TreeEntry[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const entry of entries) {
    if (bytes + entry.bytes > portionBytes) {
      portions.push([])
      bytes = 0
    }
    portions.at(-1)?.push(entry)
    bytes += entry.bytes
  }
  return portions
}

function verify(entry: TreeEntry, header: string, content: Buffer): void {
  const hash = createHash(entry.object.length === 64 ? 'sha256' : 'sha1')
  const seen = hash.update(`blob ${entry.bytes}\0`).update(content).digest('hex')
  if (header !== `${entry.object} blob ${entry.bytes}\n` || seen !== entry.object) {
    throw new GitFailure('exit', `the local clone is damaged: ${entry.path} does not have its own hash`)
  }
}

async function write(entry: TreeEntry, content: Buffer, directory: string, commit: string): Promise<void> {
  const path = join(directory, entry.path)
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 })
    if (entry.mode === 'link') await symlink(content, path)
    else await writeFlushed(path, content, entry.mode === 'executable' ? 0o755 : 0o644)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    if (code === 'ENOSPC') {
      throw new SamovarError('disk-full', `there is no free disk to check out ${commit}`, { cause: error })
    }
    const clash = ['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'ENOENT', 'EINVAL'].includes(String(code))
    throw clash
      ? refuse(commit, `has a file that cannot be written: ${JSON.stringify(entry.path)}`, error)
      : error
  }
}

async function writeFlushed(path: string, content: Buffer, mode: number): Promise<void> {
  await using file = await open(path, 'wx', mode)
  await file.writeFile(content)
  await file.chmod(mode)
  await file.sync()
}

function refuse(commit: string, sentence: string, cause?: unknown): SamovarError {
  return new SamovarError(
    'desired-state-invalid',
    `commit ${commit.slice(0, 10)} ${sentence}; it is not checked out`,
    {
      next: 'Keep only the desired state and its Compose files in the host repository, and push again.',
      cause,
    },
  )
}
