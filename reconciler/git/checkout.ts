import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SamovarError, sentenceOf } from '../errors.ts'
import { readBundle, writeBundle } from './bundle.ts'
import { type CloneSettings, cloneAnew, fetchBranch, readerOf, remoteHead } from './clone.ts'
import { GitFailure, gitConfiguration } from './git-command.ts'
import { fetchPullRequest, type PullRequestHead, type PullRequestLimits } from './pull-request.ts'
import { readAddress } from './repository-address.ts'
import { listTree, type TreeLimits, writeTree } from './tree.ts'

export type SourceSettings = {
  /** URL (https, http, ssh, file), `user@host:path` or path of the host repository. */
  repository: string
  branch: string
  /** Everything is kept in `source/` and `checkouts/` below it. */
  stateDir: string
  /** Asked anew before each connection, so a token file may be replaced at any time. */
  token?: () => string | undefined
  /** Milliseconds one connection to the remote may take in all. */
  timeoutMs: number
  /** Where PATH, proxies, certificate and SSH settings for Git are picked from. */
  environment?: Record<string, string | undefined>
  /** Cuts running Git commands when the process is told to stop; they end with `interrupted`. */
  signal?: AbortSignal
  /** Larger commits are refused; 20,000 files and 256 MiB unless told. */
  limits?: TreeLimits
}

/** `fetchedAt`: milliseconds since 1970 when the remote last answered; grows old while it is away. */
export type LastGood = { commit: string; fetchedAt: number }

export type Checkout = { commit: string; directory: string }

/** `at`: milliseconds since 1970 when it was committed. */
export type CommitInfo = { subject: string; author: string; at: number }

/** The host repository, as far as it could be reached. */
export type Source = {
  /** Fetches the branch. @throws `source-unreachable` with the reason; the last good commit stays. */
  fetch(): Promise<{ commit: string; changed: boolean }>
  /** The commit of the branch at the remote, without fetching it. @throws `source-unreachable`. */
  head(): Promise<string>
  /** The last commit that was fetched, also by an earlier process; null before the first. */
  lastGood(): LastGood | null
  /**
   * A folder with exactly the files of a commit; made once, then reused, also while the remote is away.
   * @throws `desired-state-invalid` for a commit that is too large, `not-found` for one the repository does not have,
   * `source-unreachable` when the clone is damaged and cannot be made anew, `disk-full`.
   */
  checkout(commit: string): Promise<Checkout>
  /** Removes the checkouts of all other commits. */
  keepOnly(commits: string[]): Promise<void>
  /** @throws `not-found`. */
  commitInfo(commit: string): Promise<CommitInfo>
  /** Paths that differ between two commits, renames as both names. @throws `not-found`. */
  changedFiles(before: string, after: string): Promise<string[]>
  /**
   * Fetches the head of a pull request, apart from everything else, and puts it together with `base`. Whoever asks
   * removes it in the end. @throws `desired-state-invalid` when it is too large, `timed-out`, `source-unreachable`.
   */
  pullRequest(wanted: {
    number: number
    base: string
    limits?: Partial<PullRequestLimits>
  }): Promise<PullRequestHead>
  /** Writes a commit with its history into a file. @throws `not-found`. */
  bundle(commit: string, file: string): Promise<void>
  /** A commit from such a file counts as fetched from now on. @throws `backup-damaged`. */
  seed(commit: string, file: string): Promise<void>
}

type Work = { settings: CloneSettings; checkouts: string; limits: TreeLimits; memory: string }

/**
 * Opens the host repository. No connection is made yet; leftovers of a process that was killed are removed.
 * @throws `settings-invalid` for an address or a branch name that Git would misunderstand.
 */
export function openSource(options: SourceSettings): Source {
  const work = prepare(options)
  const alone = oneAtATime()
  let lastGood = recall(work)
  const fetch = async () => {
    const commit = await fetchBranch(work.settings)
    const changed = commit !== lastGood?.commit
    lastGood = { commit, fetchedAt: Date.now() }
    await remember(work, lastGood)
    return { commit, changed }
  }
  return {
    fetch: () => alone(fetch),
    head: () => remoteHead(work.settings),
    lastGood: () => lastGood,
    checkout: async (commit) => {
      const full = checked(commit)
      return alone(() => checkOut(work, full))
    },
    keepOnly: (commits) => alone(() => keepOnly(work, commits)),
    commitInfo: (commit) => alone(() => commitInfo(work, commit)),
    changedFiles: (before, after) => alone(() => changedFiles(work, before, after)),
    pullRequest: (wanted) => fetchPullRequest(work.settings, { ...wanted, base: checked(wanted.base) }),
    bundle: (commit, file) =>
      alone(async () => {
        await writeBundle(work.settings, checked(commit), file).catch((error: unknown) => {
          throw error instanceof GitFailure ? unknownCommit(commit, error) : error
        })
      }),
    seed: (commit, file) =>
      alone(async () => {
        await readBundle(work.settings, checked(commit), file).catch((error: unknown) => {
          throw new SamovarError('backup-damaged', `its repository cannot be read: ${sentenceOf(error)}`, {
            cause: error,
          })
        })
        lastGood = { commit, fetchedAt: 0 }
        await remember(work, lastGood)
      }),
  }
}

function prepare(options: SourceSettings): Work {
  const address = readAddress(options.repository)
  if (!/^(?![-/.])(?!.*(\.\.|\/\/|@\{|\.lock$|[/.]$))[^\s~^:?*[\\\p{Cc}]+$/u.test(options.branch)) {
    throw new SamovarError(
      'settings-invalid',
      `SAMOVAR_BRANCH is not the name of a branch: ${options.branch}`,
    )
  }
  const folder = join(options.stateDir, 'source')
  const checkouts = join(options.stateDir, 'checkouts')
  for (const each of [folder, checkouts]) mkdirSync(each, { recursive: true, mode: 0o700 })
  for (const name of readdirSync(checkouts).filter((each) => each.startsWith('.new-'))) {
    rmSync(join(checkouts, name), { recursive: true, force: true })
  }
  const configFile = join(folder, 'gitconfig')
  writeFileSync(configFile, gitConfiguration)
  const signal = options.signal ?? new AbortController().signal
  const surroundings = { configFile, environment: options.environment ?? {}, signal }
  const { branch, timeoutMs } = options
  const settings = {
    folder,
    address,
    branch,
    token: options.token ?? (() => undefined),
    timeoutMs,
    surroundings,
  }
  const limits = options.limits ?? { files: 20_000, bytes: 256 * 1024 * 1024 }
  return { settings, checkouts, limits, memory: join(folder, 'last-good.json') }
}

/** Fetching replaces the clone that a checkout reads, so one waits for the other. */
function oneAtATime(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }
}

/** What was fetched from another repository or branch does not count; an unreadable file is no memory either. */
function recall(work: Work): LastGood | null {
  try {
    const kept = JSON.parse(readFileSync(work.memory, 'utf8')) as Record<string, unknown>
    const { commit, fetchedAt } = kept
    const same = kept['repository'] === work.settings.address.url && kept['branch'] === work.settings.branch
    if (!same || typeof commit !== 'string' || typeof fetchedAt !== 'number') return null
    return { commit, fetchedAt }
  } catch {
    return null
  }
}

async function remember(work: Work, lastGood: LastGood): Promise<void> {
  const { address, branch } = work.settings
  const draft = `${work.memory}.new`
  {
    await using file = await open(draft, 'w', 0o600)
    await file.writeFile(`${JSON.stringify({ ...lastGood, repository: address.url, branch })}\n`)
    await file.sync()
  }
  await rename(draft, work.memory)
}

function checked(commit: string): string {
  if (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(commit)) return commit
  throw new SamovarError(
    'not-found',
    `${JSON.stringify(commit.slice(0, 80))} is not the full name of a commit`,
  )
}

async function checkOut(work: Work, commit: string): Promise<Checkout> {
  const directory = join(work.checkouts, commit)
  if (await exists(directory)) return { commit, directory }
  try {
    await make(work, commit, directory)
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error
    await cloneAnew(work.settings)
    await make(work, commit, directory).catch((again: unknown) => {
      throw again instanceof GitFailure ? unknownCommit(commit, again) : again
    })
  }
  return { commit, directory }
}

/** Written beside its place and renamed when every file is on the disk: a checkout is whole or not there. */
async function make(work: Work, commit: string, directory: string): Promise<void> {
  const reader = readerOf(work.settings)
  const entries = await listTree(reader, commit, work.limits)
  const draft = await mkdtemp(join(work.checkouts, '.new-'))
  try {
    await writeTree(reader, commit, entries, draft)
    await rename(draft, directory)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    // Another process made the same commit meanwhile: its files are the same.
    if (!(await exists(directory))) throw error
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function keepOnly(work: Work, commits: string[]): Promise<void> {
  for (const name of await readdir(work.checkouts)) {
    if (!commits.includes(name)) await rm(join(work.checkouts, name), { recursive: true, force: true })
  }
}

async function commitInfo(work: Work, commit: string): Promise<CommitInfo> {
  const words = ['log', '-1', '--no-color', '--no-show-signature', '--format=%s%x00%an%x00%ct']
  const [subject = '', author = '', at = ''] = (await ask(work, [...words, checked(commit)], commit))
    .trimEnd()
    .split('\0')
  return { subject, author, at: Number(at) * 1000 }
}

async function changedFiles(work: Work, before: string, after: string): Promise<string[]> {
  const words = ['diff-tree', '-r', '-z', '--name-only', '--no-renames', checked(before), checked(after)]
  return (await ask(work, words, `${before} or ${after}`)).split('\0').filter((path) => path !== '')
}

async function ask(work: Work, words: string[], commit: string): Promise<string> {
  try {
    return await readerOf(work.settings).text(words)
  } catch (error) {
    throw error instanceof GitFailure ? unknownCommit(commit, error) : error
  }
}

function unknownCommit(commit: string, cause: GitFailure): SamovarError {
  return new SamovarError('not-found', `commit ${commit} is not in the host repository: ${cause.message}`, {
    cause,
  })
}
