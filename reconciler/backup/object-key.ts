import { SamovarError } from '../errors.ts'

/** What a store writes while it works begins like this; no object's key may have such a segment. */
export const ownNames = { partial: '.partial-', probe: '.probe' } as const

/**
 * The key, when a store may use it: one or more segments with `/` between them. Keys come from names in the desired
 * state, so one that would leave the store's folder is refused here and not by the file system.
 *
 * Limits: 900 bytes in all (S3 has 1024, with the prefix), 200 a segment (file systems have 255).
 *
 * @param store its name, for the message
 * @throws SamovarError `store-failed` that says what is wrong with the key
 */
export function legalKey(store: string, key: string): string {
  const problem = problemOf(key)
  if (problem === null) return key
  throw new SamovarError('store-failed', `${store}: ${JSON.stringify(key)} cannot be a key: ${problem}`, {
    next: 'Give the host, the service or the volume another name.',
  })
}

/** A prefix for `list` and `sweep` as a folder: `` or ending in `/`, so that `v1/git` does not mean `v1/github/` too. */
export function folderPrefix(store: string, prefix: string): string {
  const folder = prefix.replace(/\/$/, '')
  return folder === '' ? '' : `${legalKey(store, folder)}/`
}

function problemOf(key: string): string | null {
  if (key === '') return 'it is empty'
  if (!key.isWellFormed()) return 'it has half a character'
  if (Buffer.byteLength(key) > 900) return 'it is longer than 900 bytes'
  for (const segment of key.split('/')) {
    if (segment === '') return 'it has an empty segment'
    if (segment === '.' || segment === '..') return `it has the segment "${segment}"`
    if (Object.values(ownNames).some((own) => segment.startsWith(own)))
      return `"${segment}" is a name of the store itself`
    if (Buffer.byteLength(segment) > 200)
      return `the segment "${segment.slice(0, 20)}..." is longer than 200 bytes`
  }
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return /[\x00-\x1f\x7f\\]/.test(key) ? 'it has a control character or a backslash' : null
}
