import { createHmac, randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import type { MountedSource } from './compose/mounted-sources.ts'
import { SamovarError } from './errors.ts'
import { secretPath, writeSecret } from './secrets/secret-files.ts'

const mostBytes = 64 * 1024 * 1024
const mostFiles = 10_000

/** One entry below a mounted source; `path` is empty for the source itself. */
export type MountedEntry = { path: string; mode: number } & (
  | { kind: 'folder' }
  | { kind: 'link'; target: string }
  | { kind: 'file'; content: Buffer }
)

function refused(path: string, why: string): SamovarError {
  return new SamovarError('compose-refused', `${path} cannot be mounted: ${why}`)
}

function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder + sep)
}

async function entriesOf(top: string, path: string, shown: string): Promise<MountedEntry[]> {
  const full = join(top, path)
  const found = await lstat(full)
  if (found.isSymbolicLink()) {
    const target = await readlink(full)
    // The container sees this folder and nothing beside it, so a link out of it would be broken or worse.
    if (!isInside(top, resolve(dirname(full), target)))
      throw refused(join(shown, path), 'the link leaves its folder')
    return [
      {
        path,
        mode: 0o777,
        kind: 'link',
        target: relative(dirname(full), resolve(dirname(full), target)) || '.',
      },
    ]
  }
  if (found.isDirectory()) {
    const names = (await readdir(full)).filter((name) => name !== '.git').sort()
    const below: MountedEntry[] = []
    for (const name of names) below.push(...(await entriesOf(top, join(path, name), shown)))
    return [{ path, mode: 0o555, kind: 'folder' }, ...below]
  }
  if (!found.isFile()) throw refused(join(shown, path), 'it is neither a file nor a folder')
  if (found.size > mostBytes) throw refused(join(shown, path), 'it is larger than 64 MiB')
  return [{ path, mode: found.mode & 0o111 ? 0o555 : 0o444, kind: 'file', content: await readFile(full) }]
}

/**
 * What is at a path of the repository, read completely. Throws `compose-refused` when it is missing, leaves the
 * repository, has something in it that is no file, folder or link within, or is larger than 64 MiB or 10000 files.
 * @param directory checkout root, absolute
 * @param path relative to it
 */
export async function readMounted(directory: string, path: string): Promise<MountedEntry[]> {
  const root = await realpath(directory)
  const top = await realpath(join(root, path)).catch((cause: unknown) => {
    throw new SamovarError('compose-refused', `${path} is not in the repository`, {
      next: 'Add it to the repository, or keep data in a named volume or under an absolute path.',
      cause,
    })
  })
  if (!isInside(root, top)) throw refused(path, 'it leads out of the repository')
  const entries = await entriesOf(top, '', path)
  const bytes = entries.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.content.length : 0), 0)
  if (bytes > mostBytes) throw refused(path, 'it is larger than 64 MiB')
  if (entries.length > mostFiles) throw refused(path, `it has more than ${mostFiles} files`)
  return entries
}

/** A file or folder of the repository; texts of the model are written by secrets/secret-files.ts. */
type RepositorySource = MountedSource & { from: { path: string } }

const isOfRepository = (source: MountedSource): source is RepositorySource => 'path' in source.from

async function entriesOfSource(directory: string, source: RepositorySource): Promise<MountedEntry[]> {
  const entries = await readMounted(directory, source.from.path)
  const { mode } = source
  return mode === undefined
    ? entries
    : entries.map((entry) => (entry.path === '' ? { ...entry, mode } : entry))
}

/** A keyed hash: nothing can be guessed from an address. */
function addressOf(source: MountedSource, entries: MountedEntry[], key: string): string {
  const hash = createHmac('sha256', key)
  hash.update(JSON.stringify([source.name, source.uid ?? 0, source.gid ?? 0]))
  for (const entry of entries) {
    const content =
      entry.kind === 'file' ? entry.content : Buffer.from(entry.kind === 'link' ? entry.target : '')
    hash.update(JSON.stringify([entry.path, entry.kind, entry.mode, content.length]))
    hash.update(content)
  }
  return hash.digest('hex').slice(0, 32)
}

async function writeEntry(path: string, entry: MountedEntry): Promise<void> {
  if (entry.kind === 'link') return await symlink(entry.target, path)
  if (entry.kind === 'folder') return void (await mkdir(path, { mode: 0o755 }))
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(entry.content)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function writeSource(folder: string, source: MountedSource, entries: MountedEntry[]): Promise<void> {
  await mkdir(folder, { mode: 0o755 })
  const top = join(folder, source.name)
  for (const entry of entries) await writeEntry(join(top, entry.path), entry)
  // Deepest first: a folder without write permission would refuse its own content to anybody but root.
  for (const entry of entries.toReversed()) {
    const path = join(top, entry.path)
    if (entry.kind === 'link') continue
    if (source.uid !== undefined || source.gid !== undefined)
      await chown(path, source.uid ?? 0, source.gid ?? 0)
    await chmod(path, entry.mode)
    if (entry.kind === 'folder') await syncFolder(path)
  }
  await syncFolder(folder)
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}

/** What a killed process left; only one process works in a state directory. */
async function removeUnfinished(files: string): Promise<void> {
  const names = (await readdir(files)).filter((name) => name.startsWith('.unfinished-'))
  for (const name of names) await rm(join(files, name), { recursive: true, force: true })
}

type Place = {
  directory: string
  stateDir: string
  /** Where texts of the model are kept. */
  secretsDir: string
  /** Addresses are keyed hashes. */
  key: string
}

/** Where a source is, or will be, and what is in it. */
async function placed(source: RepositorySource, { directory, stateDir, key }: Place) {
  const entries = await entriesOfSource(directory, source)
  const folder = join(stateDir, 'files', addressOf(source, entries, key))
  return { entries, folder, path: join(folder, source.name) }
}

/** Where materialise() would put what containers mount, by its key; nothing is written. Throws as it does. */
export async function addressed(sources: MountedSource[], place: Place): Promise<Record<string, string>> {
  const paths: Record<string, string> = {}
  for (const source of sources)
    paths[source.key] = isOfRepository(source)
      ? (await placed(source, place)).path
      : secretPath(source, place)
  return paths
}

/**
 * Writes what containers mount into content-addressed folders and answers where each is, by its key: files of the
 * repository, read-only, below `stateDir`/files, texts of the model below `secretsDir`. What is there already is left as
 * it is; a crash leaves nothing that counts as written. Throws `compose-refused` as readMounted() does.
 */
export async function materialise(sources: MountedSource[], place: Place): Promise<Record<string, string>> {
  const files = join(place.stateDir, 'files')
  await mkdir(files, { recursive: true, mode: 0o700 })
  await removeUnfinished(files)
  const paths: Record<string, string> = {}
  for (const source of sources)
    paths[source.key] = isOfRepository(source)
      ? await writeOfRepository(source, place, files)
      : await writeSecret(source, place)
  return paths
}

async function writeOfRepository(source: RepositorySource, place: Place, files: string): Promise<string> {
  const { entries, folder, path } = await placed(source, place)
  if (await exists(folder)) return path
  const unfinished = join(files, `.unfinished-${randomBytes(8).toString('hex')}`)
  try {
    await writeSource(unfinished, source, entries)
    await rename(unfinished, folder)
    await syncFolder(files)
    return path
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
}
