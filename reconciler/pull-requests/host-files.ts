import { dirname } from 'node:path/posix'
import type { Loaded } from '../load.ts'
import type { Parts } from '../parts.ts'

/**
 * Whether a file of the repository can change what the host is to be: the desired state, the Compose files, and what
 * lies in their folders, since Compose files name other files relative to themselves.
 */
export function isOfHost(
  parts: Pick<Parts, 'settings'>,
  loaded: Pick<Loaded, 'state'>,
): (path: string) => boolean {
  const { directory } = parts.settings
  const folders = [...new Set(loaded.state.host.compose.map((file) => dirname(file)))].filter(
    (folder) => folder !== '.',
  )
  const files = new Set(loaded.state.host.compose)
  return (path) => files.has(path) || [directory, ...folders].some((folder) => path.startsWith(`${folder}/`))
}
