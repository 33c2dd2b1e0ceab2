import { constants } from 'node:fs'
import { lstat, open, realpath } from 'node:fs/promises'
import { relative, resolve, sep } from 'node:path'

/** Nothing that a person writes here is larger; a larger file is a mistake or an attack. */
export const largestFile = 1024 * 1024

/** What was read, or a sentence (without subject) that says why not. */
export type FileText = { text: string } | { refused: string }

/**
 * Reads one text file of the repository. Never opens what is no regular file (a FIFO would block for ever, a device
 * may do anything), never follows a link out of the repository, never reads more than 1 MiB, never throws.
 * @param root absolute real path of the repository
 * @param path path from the root, with forward slashes
 */
export async function readRepositoryFile(root: string, path: string): Promise<FileText> {
  try {
    const place = await locate(root, path)
    if ('refused' in place) return { refused: `${place.refused}, expected a file of the repository` }
    return await readRegularFile(place.real)
  } catch (error) {
    return { refused: refusal(error) }
  }
}

/** What keeps a path from being a regular file of the repository, as a sentence without subject; null: nothing does. */
export async function judgeRepositoryFile(root: string, path: string): Promise<string | null> {
  try {
    const place = await locate(root, path)
    if ('refused' in place) return place.refused
    return (await lstat(place.real)).isFile() ? null : 'is not a regular file'
  } catch (error) {
    return refusal(error)
  }
}

/** The real path of something in the repository, or why it is not to be read. Throws what the file system throws. */
export async function locate(root: string, path: string): Promise<{ real: string } | { refused: string }> {
  const real = await realpath(resolve(root, path))
  const inside = relative(root, real)
  if (inside === '..' || inside.startsWith(`..${sep}`)) return { refused: 'leaves the repository' }
  if (inside.split(sep)[0] === '.git') return { refused: 'lies in .git' }
  return { real }
}

/** A sentence without subject for an error of the file system; any other error is a fault of ours and thrown on. */
export function refusal(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | null)?.code
  if (!(error instanceof Error) || code === undefined || !/^E[A-Z0-9]+$/.test(code)) throw error
  const known: Record<string, string> = {
    ENOENT: 'does not exist in the repository',
    ENOTDIR: 'does not exist in the repository',
    EACCES: 'cannot be read: permission denied',
    EPERM: 'cannot be read: permission denied',
    ELOOP: 'is a link that leads in a circle or was exchanged while it was read',
    ENAMETOOLONG: 'has a name that is too long',
  }
  return known[code] ?? `cannot be read (${code})`
}

async function readRegularFile(real: string): Promise<FileText> {
  if (!(await lstat(real)).isFile()) return { refused: 'is not a regular file, expected a text file' }
  // Between the look and the open the file may have been exchanged: NONBLOCK keeps a FIFO from blocking the open,
  // NOFOLLOW refuses a new link, and the handle is looked at again.
  const handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const facts = await handle.stat()
    if (!facts.isFile()) return { refused: 'is not a regular file, expected a text file' }
    if (facts.size > largestFile) return { refused: `is larger than 1 MiB (${facts.size} bytes)` }
    const content = Buffer.alloc(largestFile + 1)
    const length = await readFully(handle, content)
    if (length > largestFile) return { refused: 'is larger than 1 MiB' }
    return decode(content.subarray(0, length))
  } finally {
    await handle.close()
  }
}

async function readFully(handle: Awaited<ReturnType<typeof open>>, into: Buffer): Promise<number> {
  let length = 0
  while (length < into.length) {
    const { bytesRead } = await handle.read(into, length, into.length - length, length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return length
}

/** UTF-8 with or without a byte order mark. */
function decode(content: Buffer): FileText {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(content) }
  } catch {
    return { refused: `is not valid UTF-8${near(content)}, expected a text file in UTF-8` }
  }
}

/** Where the first wrong byte is; never the text around it, which may be a secret. */
function near(content: Buffer): string {
  const readable = content.toString('utf8')
  const wrong = readable.indexOf('\ufffd')
  return wrong < 0 ? '' : ` (line ${readable.slice(0, wrong).split('\n').length})`
}
