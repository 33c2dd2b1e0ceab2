import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type CloneSettings, ourRef } from './clone.ts'
import { git } from './git-command.ts'

/** A large history on a slow disk. */
const longest = 10 * 60_000
/** What a bundle calls its one commit; a bundle needs a name, and the branch may have moved on. */
const bundledRef = 'refs/samovar/bundled'

/** Writes a commit with its history into one file, from which `readBundle` makes a clone without the remote. */
export async function writeBundle(settings: CloneSettings, commit: string, file: string): Promise<void> {
  const repository = join(settings.folder, 'clone')
  const run = { directory: settings.folder, repository, timeoutMs: longest }
  await git(settings.surroundings, ['update-ref', bundledRef, commit], run)
  await git(settings.surroundings, ['bundle', 'create', '--quiet', file, bundledRef], run)
}

/**
 * Brings the commit of a bundle into the clone, as if it had been fetched. The bundle came from a store: Git checks
 * every object, and the commit is asked for by its own name.
 */
export async function readBundle(settings: CloneSettings, commit: string, file: string): Promise<void> {
  const repository = join(settings.folder, 'clone')
  await mkdir(repository, { recursive: true })
  const run = { directory: repository, repository, timeoutMs: longest }
  await git(settings.surroundings, ['init', '--quiet', '--bare'], run)
  const flags = ['--quiet', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head']
  await git(settings.surroundings, ['fetch', ...flags, file, `+${bundledRef}:${ourRef}`], run)
  await git(settings.surroundings, ['cat-file', '-e', `${commit}^{tree}`], run)
}
