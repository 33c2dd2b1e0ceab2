import { dirname, normalize } from 'node:path/posix'
import { allMountedSources } from '../compose/mounted-sources.ts'
import type { Loaded } from '../load.ts'
import type { Parts } from '../parts.ts'

/**
 * Whether a file of the repository can change what the host is to be: the desired state, the Compose files, what lies in
 * their folders, since Compose files name other files relative to themselves, what containers mount from elsewhere in
 * the repository, and the certificates that checks trust. Not seen: files outside those folders that the Compose model
 * does not show any more, as `env_file` and `include` name them.
 */
export function isOfHost(
  parts: Pick<Parts, 'settings'>,
  loaded: Pick<Loaded, 'state' | 'model'>,
): (path: string) => boolean {
  const { host, services } = loaded.state
  const compose = host.compose.map(withoutDetours)
  const directory = withoutDetours(parts.settings.directory)
  const mounted = allMountedSources(loaded.model).flatMap(({ from }) => ('path' in from ? [from.path] : []))
  const certificates = Object.values(services)
    .flatMap(({ health }) => health.checks)
    .flatMap((check) => (check.kind === 'http' && check.ca !== null ? [withoutDetours(check.ca)] : []))
  const files = new Set([...compose, ...mounted, ...certificates])
  const folders = [directory, ...compose.map((file) => dirname(file)), ...mounted].filter(
    (folder) => folder !== '.',
  )
  // In the root itself they stand beside everything else.
  if (directory === '.') {
    files.add('host.yaml')
    folders.push('services')
  }
  return (path) => files.has(path) || folders.some((folder) => path.startsWith(`${folder}/`))
}

/** `./compose//site/` is `compose/site`. */
const withoutDetours = (path: string): string => normalize(path).replace(/(?<=.)\/$/, '')
