import { SamovarError, sentenceOf } from '../errors.ts'

/** What an operator can do about an error of the operating system. */
const advice: Record<string, { why: string; next: string }> = {
  ENOSPC: {
    why: 'no space is left on its disk',
    next: 'Free some space there, or name a folder on another disk.',
  },
  EDQUOT: { why: 'the disk quota is used up', next: 'Free some space there, or raise the quota.' },
  EFBIG: {
    why: 'its file system does not take files that large',
    next: 'Name a folder on ext4, XFS or the like.',
  },
  EACCES: { why: 'this user may not do that', next: 'Give the folder to the user that Samovar runs as.' },
  EROFS: { why: 'it is mounted read-only', next: 'Look why (`dmesg` often says so) and mount it writable.' },
  EPERM: {
    why: 'its file system has no hard links, or does not allow this',
    next: 'Name a folder on ext4, XFS, Btrfs or NFS: an object is written once by linking it to its name.',
  },
  EIO: {
    why: 'the disk reports an error',
    next: 'Check the disk (`dmesg`, SMART) before you trust it again.',
  },
  ENOTDIR: { why: 'a file stands where a folder must be', next: 'Name a folder that is for backups alone.' },
  EMFILE: { why: 'this process has too many files open', next: 'Raise its limit of open files.' },
}
const missingCodes = new Set(['ENOENT', 'ENOTDIR'])
const otherwise: Record<string, string> = {
  ENOTSUP: 'EPERM',
  EOPNOTSUPP: 'EPERM',
  EMLINK: 'EPERM',
  EXDEV: 'EPERM',
}

/** True when a path does not lead to anything. */
export const isMissing = (error: unknown): boolean =>
  missingCodes.has((error as NodeJS.ErrnoException | undefined)?.code ?? '')

/**
 * An error of the file system as a sentence with the next step; an error of Samovar stays what it is.
 *
 * @param failed.doing what was tried, as in "writing v1/..."
 */
export function fileStoreError(failed: {
  name: string
  root: string
  doing: string
  error: unknown
}): SamovarError {
  const { name, doing, error } = failed
  if (error instanceof SamovarError) return error
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? ''
  const known = advice[otherwise[code] ?? code]
  const why = known === undefined ? sentenceOf(error) : `${known.why} (${code})`
  return new SamovarError('store-failed', `${name}: ${doing} failed: ${why}`, {
    next: known?.next ?? `Look at the folder ${failed.root}.`,
    cause: error,
  })
}
