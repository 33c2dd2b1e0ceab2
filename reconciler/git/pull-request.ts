import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleepFor } from 'node:timers/promises'
import { codeOf, SamovarError, sentenceOf } from '../errors.ts'
import type { CloneSettings } from './clone.ts'
import { GitFailure, type GitSurroundings, git, gitConfiguration, gitObjects } from './git-command.ts'
import { loginHeader } from './repository-address.ts'
import { listTree, type ObjectReader, type TreeLimits, writeTree } from './tree.ts'

export type PullRequestLimits = TreeLimits & {
  /** Bytes that may be fetched; `bytes` is what a checkout may hold. */
  fetched: number
  /** Milliseconds for the connection, and for what Git does with it here. */
  timeoutMs: number
  /** Commits of history that are looked at; older ones are not fetched. */
  depth: number
}

/** Room for a host repository with all it mounts; the rest of a project does not belong into a plan. */
export const pullRequestLimits: PullRequestLimits = {
  files: 5_000,
  bytes: 64 * 1024 * 1024,
  fetched: 64 * 1024 * 1024,
  timeoutMs: 30_000,
  depth: 200,
}

/** The head of a pull request, in a folder of its own that nobody else uses. */
export type PullRequestHead = {
  commit: string
  /**
   * `current`: it has the base in its history. `merged`: it has not, and what is checked out is both together. `alone`:
   * it has not, and the two cannot be put together by themselves, so what is checked out is the head alone.
   */
  standing: 'current' | 'merged' | 'alone'
  /** @throws `desired-state-invalid` for a tree that is too large or has names that cannot be written. */
  checkout(): Promise<string>
  /** Everything that was fetched and written for it. Safe to repeat. */
  remove(): Promise<void>
}

type Apart = {
  settings: CloneSettings
  surroundings: GitSurroundings
  folder: string
  repository: string
  limits: PullRequestLimits
}

/** What a killed process left behind; nobody plans as long as this. */
const forgottenAfter = 60 * 60_000
const lookEvery = 50

/**
 * Larger blobs are never held in memory as a whole, and what was fetched stays packed: a small pack can unpack to
 * any size. Objects are checked, since whoever wrote them may have no right to write anywhere else.
 */
const carefulConfiguration = `${gitConfiguration.replace('fsckObjects = false', 'fsckObjects = true')}[core]
\tbigFileThreshold = 1m
[fetch]
\tunpackLimit = 1
[transfer]
\tunpackLimit = 1
[merge]
\trenames = false
`

/**
 * Fetches the head of a pull request into a repository of its own, beside the clone that production reads; the clone
 * only lends the objects it has. The branch may be of a fork and of anybody: time and size are bounded, and nothing of
 * it is run.
 *
 * @param wanted.base a commit of the clone that the head is to be put together with
 * @throws SamovarError `desired-state-invalid` when it is too large, `timed-out`, `source-unreachable`, `not-found` for
 *   a number that is none
 */
export async function fetchPullRequest(
  settings: CloneSettings,
  wanted: { number: number; base: string; limits?: Partial<PullRequestLimits> },
): Promise<PullRequestHead> {
  const { number, base } = wanted
  if (!Number.isSafeInteger(number) || number < 1)
    throw new SamovarError('not-found', `${number} is not the number of a pull request`)
  const limits = { ...pullRequestLimits, ...wanted.limits }
  const apart = await makePlace(settings, limits)
  let isRemoved = false
  let tree = ''
  const remove = () => {
    isRemoved = true
    return rm(apart.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }
  const checkout = async (): Promise<string> => {
    try {
      return await checkOut(apart, tree)
    } finally {
      // It was removed while files were still written, which makes their folders anew.
      if (isRemoved) await remove()
    }
  }
  try {
    const commit = await fetchHead(apart, number)
    const together = await putTogether(apart, commit, base)
    tree = together.tree
    return { commit, standing: together.standing, checkout, remove }
  } catch (error) {
    await remove()
    throw explained(error, settings, { number, limits })
  }
}

async function makePlace(settings: CloneSettings, limits: PullRequestLimits): Promise<Apart> {
  const all = join(settings.folder, '..', 'pull-requests')
  await mkdir(all, { recursive: true, mode: 0o700 })
  await removeForgotten(all)
  const folder = await mkdtemp(join(all, 'head-'))
  const repository = join(folder, 'repository')
  const configFile = join(folder, 'gitconfig')
  await writeFile(configFile, carefulConfiguration)
  await mkdir(repository)
  const surroundings = { ...settings.surroundings, configFile }
  const run = { directory: repository, repository, timeoutMs: limits.timeoutMs }
  await git(surroundings, ['init', '--quiet', '--bare'], run)
  const lender = join(settings.folder, 'clone', 'objects')
  const isThere = await stat(lender).then(
    () => true,
    () => false,
  )
  if (isThere) await writeFile(join(repository, 'objects', 'info', 'alternates'), `${lender}\n`)
  return { settings, surroundings, folder, repository, limits }
}

async function removeForgotten(all: string): Promise<void> {
  for (const name of await readdir(all)) {
    const seen = await stat(join(all, name)).catch(() => null)
    if (seen !== null && Date.now() - seen.mtimeMs > forgottenAfter)
      await rm(join(all, name), { recursive: true, force: true })
  }
}

const ref = 'refs/samovar/pull-request'

async function fetchHead(apart: Apart, number: number): Promise<string> {
  const { settings, repository, limits } = apart
  const { address } = settings
  const login = loginHeader(address, settings.token())
  const flags = [
    ...['--quiet', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head'],
    `--depth=${limits.depth}`,
  ]
  const words = ['fetch', ...flags, address.url, `+refs/pull/${number}/head:${ref}`]
  const run = { directory: repository, repository, timeoutMs: limits.timeoutMs, login }
  await withinSize(apart, (surroundings) => git(surroundings, words, run))
  return (await ask(apart, ['rev-parse', '--verify', `${ref}^{commit}`])).trim()
}

/** A server may send more than it says, so what arrives is measured while it arrives. */
async function withinSize(
  apart: Apart,
  work: (surroundings: GitSurroundings) => Promise<unknown>,
): Promise<void> {
  const { surroundings, repository, limits } = apart
  const cut = new AbortController()
  const done = new AbortController()
  const watch = async (): Promise<void> => {
    while (!done.signal.aborted) {
      if ((await sizeOf(join(repository, 'objects', 'pack'))) > limits.fetched) return cut.abort()
      await sleepFor(lookEvery, undefined, { signal: done.signal }).catch(() => undefined)
    }
  }
  const watching = watch()
  try {
    await work({ ...surroundings, signal: AbortSignal.any([surroundings.signal, cut.signal]) })
  } catch (error) {
    if (cut.signal.aborted && !surroundings.signal.aborted)
      throw new GitFailure('too-much', 'it is too large')
    throw error
  } finally {
    done.abort()
    await watching
  }
  if ((await sizeOf(join(repository, 'objects', 'pack'))) > limits.fetched)
    throw new GitFailure('too-much', 'it is too large')
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0
  for (const name of await readdir(folder).catch(() => []))
    bytes += (await stat(join(folder, name)).catch(() => null))?.size ?? 0
  return bytes
}

/** Git older than 2.38 cannot merge without a work tree; then the head stands alone, as after a conflict. */
async function putTogether(
  apart: Apart,
  commit: string,
  base: string,
): Promise<{ tree: string; standing: PullRequestHead['standing'] }> {
  const common = await ask(apart, ['merge-base', base, commit]).catch(noAnswer)
  if (common?.trim() === base) return { tree: commit, standing: 'current' }
  if (common === null) return { tree: commit, standing: 'alone' }
  const merged = await ask(apart, ['merge-tree', '--write-tree', '--no-messages', base, commit]).catch(
    noAnswer,
  )
  const tree = merged?.trim() ?? ''
  return /^[0-9a-f]{40,64}$/.test(tree) ? { tree, standing: 'merged' } : { tree: commit, standing: 'alone' }
}

function noAnswer(error: unknown): null {
  if (error instanceof GitFailure && error.reason === 'exit') return null
  throw error
}

async function ask({ surroundings, repository, limits }: Apart, words: string[], atMost = 1024 * 1024) {
  const { timeoutMs } = limits
  return git(surroundings, words, { directory: repository, repository, timeoutMs, atMost })
}

async function checkOut(apart: Apart, tree: string): Promise<string> {
  const { surroundings, repository, limits } = apart
  const reader: ObjectReader = {
    text: (words, atMost) => ask(apart, words, atMost),
    objects: (names) =>
      gitObjects(surroundings, ['--batch'], {
        ...{ directory: repository, repository, timeoutMs: limits.timeoutMs },
        input: `${names.join('\n')}\n`,
      }),
  }
  const directory = join(apart.folder, 'checkout')
  const draft = join(apart.folder, 'checkout-new')
  const entries = await listTree(reader, tree, limits)
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft)
  await writeTree(reader, tree, entries, draft)
  await rename(draft, directory)
  return directory
}

function explained(
  error: unknown,
  { address }: CloneSettings,
  about: { number: number; limits: PullRequestLimits },
): unknown {
  if (codeOf(error) !== undefined || !(error instanceof GitFailure)) return error
  const { number, limits } = about
  if (error.reason === 'too-much')
    return new SamovarError(
      'desired-state-invalid',
      `pull request #${number} brings more than ${Math.floor(limits.fetched / 1024 / 1024)} MiB`,
      { next: 'Keep large files out of the host repository.', cause: error },
    )
  if (error.reason === 'timeout')
    return new SamovarError(
      'timed-out',
      `pull request #${number} could not be fetched within ${Math.round(limits.timeoutMs / 1000)} s`,
      { cause: error },
    )
  return new SamovarError(
    'source-unreachable',
    `pull request #${number} of ${address.url} could not be fetched: ${sentenceOf(error)}`,
    { cause: error },
  )
}
