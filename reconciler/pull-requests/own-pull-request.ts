import type { Forge, NewPullRequest, PullRequest } from '../gitea/forge.ts'
import { hostLabels } from '../gitea/host-labels.ts'
import { ForgeRefusal } from '../gitea/refusal.ts'
import type { Proposal } from '../journal/forge-records.ts'
import type { Parts } from '../parts.ts'
import { ownPrefix } from './own-branch.ts'

/**
 * Opens a pull request of ours, or brings the open one up to date: title, text, labels, reviewers. Called again it
 * changes nothing that is already so.
 *
 * @param wanted.reviewers none when they were asked before: Gitea does not tell, and would ask them again
 */
export async function openOwnPullRequest(
  forge: Forge,
  wanted: Omit<NewPullRequest, 'labels'> & {
    labels: string[]
    reviewers: string[]
    pull: PullRequest | null
  },
): Promise<PullRequest> {
  const { head, base, body } = wanted
  // Somebody holds it back so: it stays a draft.
  const title = wanted.pull?.draft === true ? `WIP: ${wanted.title}` : wanted.title
  const labels = await labelIds(forge, wanted.labels)
  const pull = wanted.pull ?? (await forge.createPullRequest({ head, base, title, body, labels }))
  if (pull.title !== title || pull.body.trimEnd() !== body.trimEnd())
    await forge.editPullRequest(pull.number, { title, body })
  const missing = wanted.labels.some((label) => !pull.labels.includes(label))
  if (missing) await forge.addLabels(pull.number, labels)
  if (wanted.reviewers.length > 0) await forge.requestReviewers(pull.number, wanted.reviewers)
  return pull
}

/** The ids of labels by name; those that the repository lacks are made. Gitea would make the same name twice. */
async function labelIds(forge: Forge, names: string[]): Promise<number[]> {
  const there = await forge.labels()
  const ids: number[] = []
  for (const name of names) {
    const known = there.find((each) => each.name === name)
    const wanted = Object.values(hostLabels).find((each) => each.name === name)
    if (known !== undefined) ids.push(known.id)
    else if (wanted !== undefined) ids.push((await forge.createLabel(wanted)).id)
  }
  return ids
}

/** Null when Gitea does not know it (any more). */
export async function pullOrNull(forge: Forge, number: number): Promise<PullRequest | null> {
  try {
    return await forge.pullRequest(number)
  } catch (error) {
    if (error instanceof ForgeRefusal && error.status === 404) return null
    throw error
  }
}

/** An open pull request of ours: our account opened it, from our branch. */
export function ownOpen(open: PullRequest[], about: { login: string; branch: string }): PullRequest | null {
  return (
    open.find(
      (each) => each.author === about.login && !each.head.fork && each.head.branch === about.branch,
    ) ?? null
  )
}

/**
 * Whether a number still stands for what was written down: after Gitea's own data went back, it may have been given to
 * somebody else's pull request.
 */
export const isSame = (pull: PullRequest, proposal: Pick<Proposal, 'branch'>, login: string): boolean =>
  pull.author === login && !pull.head.fork && pull.head.branch === proposal.branch

/** Closed by Samovar itself, which refuses nothing: written down first, so that it is not taken for a person's no. */
export async function closeReplaced(
  forge: Forge,
  { journal, now }: Pick<Parts, 'journal' | 'now'>,
  pull: PullRequest,
): Promise<void> {
  const known = journal.proposal(pull.number)
  if (known !== null) journal.saveProposal({ ...known, state: 'replaced', at: now() })
  await forge.editPullRequest(pull.number, { state: 'closed' })
  if (!pull.head.fork && pull.head.branch.startsWith(ownPrefix)) await forge.deleteBranch(pull.head.branch)
}
