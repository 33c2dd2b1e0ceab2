import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { SamovarError, sentenceOf } from '../errors.ts'
import { GitFailure, git, gitConfiguration } from '../git/git-command.ts'
import { loginHeader, readAddress } from '../git/repository-address.ts'
import type { Settings } from '../settings.ts'
import { done, fine, problem, type UpStep } from './step.ts'

/** The clone of the host repository that a person has on the host, on its branch. */
export type LocalCheckout = {
  folder: string
  /** @param login HTTP header; goes to Git by the environment only */
  git(words: string[], login?: string | null): Promise<string>
}

const patience = 10 * 60_000

/** Nothing is read yet. @param signal cuts Git */
export function localCheckout(
  folder: string,
  settings: Pick<Settings, 'stateDir' | 'environment'>,
  signal: AbortSignal,
): LocalCheckout {
  const own = join(settings.stateDir, 'up')
  mkdirSync(own, { recursive: true, mode: 0o700 })
  const configFile = join(own, 'gitconfig')
  writeFileSync(configFile, gitConfiguration)
  const surroundings = { configFile, environment: settings.environment, signal }
  return {
    folder,
    git: async (words, login = null) =>
      (
        await git(surroundings, words, {
          directory: folder,
          repository: join(folder, '.git'),
          timeoutMs: patience,
          login,
        })
      ).trim(),
  }
}

/** What would make a push, or the desired state, another thing than the one who looks at the files expects. */
export async function checkCheckout(
  checkout: LocalCheckout,
  { branch, directory }: Pick<Settings, 'branch' | 'directory'>,
): Promise<UpStep> {
  const name = 'checkout'
  const { folder } = checkout
  if (!existsSync(join(folder, '.git')))
    return problem(
      name,
      `${folder} is not the top of a Git checkout`,
      'Go to the clone of the host repository, or name it: samovar up FOLDER',
    )
  try {
    if ((await checkout.git(['rev-parse', '--is-shallow-repository'])) === 'true')
      return problem(name, 'it is a shallow clone, which cannot be pushed', 'git fetch --unshallow')
    const commit = await checkout.git(['rev-parse', '--verify', '-q', `refs/heads/${branch}^{commit}`])
    const changes = await checkout.git(['status', '--porcelain', '--', directory, 'compose'])
    // Git refuses to add a folder that is not there.
    const added = existsSync(join(folder, 'compose')) ? `${directory} compose` : directory
    if (changes !== '')
      return problem(
        name,
        `not committed, so it would not count: ${changes.split('\n').slice(0, 5).join(', ')}`,
        // A bare machine has no identity for Git, which then refuses to commit.
        `git -C ${folder} add -A ${added} && git -C ${folder} -c user.name=root -c user.email=root@${hostname()} commit -m "our host"`,
      )
    const current = await checkout.git(['rev-parse', '--abbrev-ref', 'HEAD'])
    if (current !== branch)
      return problem(name, `${current} is checked out, Samovar follows ${branch}`, `git switch ${branch}`)
    return fine(name, `${folder}, branch ${branch} at ${commit.slice(0, 8)}`)
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error
    return problem(name, `${folder} has no branch ${branch}`, `git -C ${folder} switch -c ${branch}`)
  }
}

/**
 * Brings a commit into the repository of Gitea, when it is not there. What Gitea has counts: a repository with another
 * history is left alone.
 *
 * @param to.address over HTTP
 * @throws SamovarError `forge-refused` for another history, or a push that is not taken
 */
export async function pushCommit(
  checkout: LocalCheckout,
  commit: string,
  to: { address: string; fullName: string; branch: string; token: string },
): Promise<UpStep> {
  const name = 'push'
  const login = loginHeader(readAddress(to.address), to.token)
  const ref = `refs/heads/${to.branch}`
  const there = (await ask(checkout, ['ls-remote', to.address, ref], login)).split('\t')[0] ?? ''
  const short = commit.slice(0, 8)
  if (there === commit) return fine(name, `${to.fullName} has ${short} on ${to.branch}`)
  if (there !== '') {
    await ask(checkout, ['fetch', '-q', '--no-write-fetch-head', '--no-tags', to.address, ref], login)
    if (await isAncestor(checkout, commit, there))
      return fine(name, `${to.fullName} is ahead of ${short}, and what Gitea has counts`)
    if (!(await isAncestor(checkout, there, commit)))
      throw new SamovarError(
        'forge-refused',
        `${to.fullName} in Gitea has another history than ${checkout.folder}: neither of them is ahead of the other`,
        {
          next: `Clone ${to.fullName} and run up from there, or name another repository in SAMOVAR_GITEA_REPOSITORY.`,
        },
      )
  }
  await ask(checkout, ['push', '-q', to.address, `${commit}:${ref}`], login)
  return done(name, `${short} to ${to.branch} of ${to.fullName}`)
}

async function ask(checkout: LocalCheckout, words: string[], login: string | null): Promise<string> {
  try {
    return await checkout.git(words, login)
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error
    throw new SamovarError('forge-refused', `git ${words[0]} at Gitea failed: ${sentenceOf(error)}`, {
      next: 'A protected branch takes no push: open a pull request with what is newer here. Else run up again.',
      cause: error,
    })
  }
}

async function isAncestor(checkout: LocalCheckout, older: string, newer: string): Promise<boolean> {
  const base = await checkout.git(['merge-base', older, newer]).catch((error: unknown) => {
    if (error instanceof GitFailure) return ''
    throw error
  })
  return base === older
}
