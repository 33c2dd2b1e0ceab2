import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SamovarError, sentenceOf } from '../errors.ts'
import { GitFailure, type GitSurroundings, git, gitObjects } from './git-command.ts'
import { loginHeader, type RepositoryAddress } from './repository-address.ts'
import type { ObjectReader } from './tree.ts'

/** Everything a clone needs to know; `folder` is its own, `folder/clone` the bare repository. */
export type CloneSettings = {
  folder: string
  address: RepositoryAddress
  branch: string
  token: () => string | undefined
  timeoutMs: number
  surroundings: GitSurroundings
}

/** Local work takes milliseconds; more means a broken disk. */
const localTimeoutMs = 60_000
/** Keeps the fetched commit; old ones stay too, since nothing is ever collected in this clone. */
export const ourRef = 'refs/samovar/head'

/** The commit a branch has at the remote now. @throws `source-unreachable` with the reason. */
export async function remoteHead(settings: CloneSettings): Promise<string> {
  const [head] = await listRemote(settings, `refs/heads/${settings.branch}`)
  if (head !== undefined) return head.commit
  const branches = (await listRemote(settings, 'refs/heads/*')).map(({ name }) =>
    name.replace('refs/heads/', ''),
  )
  const others =
    branches.length === 0 ? 'it has no branches yet' : `it has ${branches.slice(0, 10).join(', ')}`
  const more = branches.length > 10 ? ` and ${branches.length - 10} more` : ''
  throw new SamovarError(
    'source-unreachable',
    `branch ${settings.branch} does not exist in ${settings.address.url}: ${others}${more}`,
    {
      next: 'Set SAMOVAR_BRANCH to a branch that exists, or push the branch. The last good commit stays in force.',
    },
  )
}

async function listRemote(
  settings: CloneSettings,
  pattern: string,
): Promise<{ commit: string; name: string }[]> {
  const login = loginHeader(settings.address, settings.token())
  const { folder, timeoutMs, surroundings, address } = settings
  // An empty repository for Git: listing a remote must not read the configuration of one that happens to be around.
  const run = {
    directory: folder,
    repository: join(folder, 'none'),
    timeoutMs,
    login,
    atMost: 16 * 1024 * 1024,
  }
  try {
    const output = await git(surroundings, ['ls-remote', address.url, pattern], run)
    const rows = output.split('\n').filter((line) => /^[0-9a-f]{40,64}\t/.test(line))
    return rows.map((line) => ({ commit: line.split('\t')[0] ?? '', name: line.split('\t')[1] ?? '' }))
  } catch (error) {
    throw unreachable(settings, error)
  }
}

/**
 * Brings the branch into the clone and answers its commit, following rewritten history. When that fails although the
 * remote answers, the clone is to blame: it is made anew beside the old one, once, and takes its place when it is whole.
 * @throws `source-unreachable` with the reason; the clone is then as it was.
 */
export async function fetchBranch(settings: CloneSettings): Promise<string> {
  try {
    return await fetchInto(settings, join(settings.folder, 'clone'))
  } catch (error) {
    const inVain =
      error instanceof SamovarError || (error instanceof GitFailure && error.reason === 'timeout')
    if (inVain) throw unreachable(settings, error)
    await remoteHead(settings)
    return cloneAnew(settings)
  }
}

/** Replaces the clone by a fresh one. @throws `source-unreachable`; the old clone then stays. */
export async function cloneAnew(settings: CloneSettings): Promise<string> {
  const fresh = join(settings.folder, 'clone-anew')
  try {
    await rm(fresh, { recursive: true, force: true })
    const commit = await fetchInto(settings, fresh)
    await rm(join(settings.folder, 'clone'), { recursive: true, force: true })
    await rename(fresh, join(settings.folder, 'clone'))
    return commit
  } catch (error) {
    await rm(fresh, { recursive: true, force: true })
    throw unreachable(settings, error)
  }
}

async function fetchInto(settings: CloneSettings, repository: string): Promise<string> {
  const { surroundings, address, branch, timeoutMs } = settings
  await mkdir(repository, { recursive: true })
  const local = { directory: repository, repository, timeoutMs: localTimeoutMs }
  // Safe to repeat; it mends a missing HEAD or config by itself.
  await git(surroundings, ['init', '--quiet', '--bare'], local)
  const login = loginHeader(address, settings.token())
  const flags = ['--quiet', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head']
  const refspec = `+refs/heads/${branch}:${ourRef}`
  await git(surroundings, ['fetch', ...flags, address.url, refspec], { ...local, timeoutMs, login })
  const commit = (await git(surroundings, ['rev-parse', '--verify', `${ourRef}^{commit}`], local)).trim()
  await git(surroundings, ['cat-file', '-e', `${commit}^{tree}`], local)
  return commit
}

/** Reads objects of the clone. */
export function readerOf(settings: CloneSettings): ObjectReader {
  const repository = join(settings.folder, 'clone')
  const run = { directory: settings.folder, repository, timeoutMs: localTimeoutMs }
  return {
    text: (words, atMost = 16 * 1024 * 1024) => git(settings.surroundings, words, { ...run, atMost }),
    objects: (names) =>
      gitObjects(settings.surroundings, ['--batch'], { ...run, input: `${names.join('\n')}\n` }),
  }
}

function unreachable(settings: CloneSettings, error: unknown): SamovarError {
  if (error instanceof SamovarError) return error
  const { url } = settings.address
  return new SamovarError('source-unreachable', `${url} could not be fetched: ${sentenceOf(error)}`, {
    cause: error,
  })
}
