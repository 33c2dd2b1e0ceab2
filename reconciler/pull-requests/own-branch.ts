import { SamovarError } from '../errors.ts'
import type { Forge, PullRequest } from '../gitea/forge.ts'

/** Samovar writes to branches of this beginning only, and to nothing else. */
export const ownPrefix = 'samovar/'

export type FileChange = { path: string; sha: string; bytes: Buffer }

/**
 * A branch of our own that holds the base branch with some files changed. Called again after a lost answer it finds
 * what is already so.
 *
 * @param wanted.pull the open pull request of that branch, or null: then a branch that is left over is made anew
 * @returns its newest commit
 */
export async function writeOwnBranch(
  forge: Forge,
  wanted: {
    branch: string
    base: string
    message: string
    changes: FileChange[]
    pull: PullRequest | null
  },
): Promise<string> {
  const { branch, base, message, changes, pull } = wanted
  if (!branch.startsWith(ownPrefix)) throw new SamovarError('changed', `${branch} is not a branch of Samovar`)
  const there = await forge.branch(branch)
  if (there !== null && pull !== null) {
    if (await holds(forge, branch, changes)) return there.sha
    const files = []
    for (const { path, bytes } of changes) {
      const file = await forge.file(path, branch)
      files.push({ path, sha: file?.sha ?? null, bytes })
    }
    return (await forge.commit({ branch, newBranch: null, message, files })).sha
  }
  // Of a pull request that was merged or closed: it would carry old commits into the new one, or none at all. One that
  // was made a moment ago, before the answer was lost, is not worth a special case.
  if (there !== null) await forge.deleteBranch(branch)
  return (await forge.commit({ branch: base, newBranch: branch, message, files: changes })).sha
}

async function holds(forge: Forge, branch: string, changes: FileChange[]): Promise<boolean> {
  for (const { path, bytes } of changes) {
    const file = await forge.file(path, branch)
    if (file === null || !file.bytes.equals(bytes)) return false
  }
  return true
}
