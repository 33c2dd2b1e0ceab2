import type { Forge, NewPullRequest, PullRequest } from '../gitea/forge.ts'
import { hostLabels } from '../gitea/host-labels.ts'

/**
 * Opens a pull request of ours, or brings the open one up to date: title, text, labels, reviewers. Called again it
 * changes nothing that is already so.
 */
export async function openOwnPullRequest(
  forge: Forge,
  wanted: Omit<NewPullRequest, 'labels'> & {
    labels: string[]
    reviewers: string[]
    pull: PullRequest | null
  },
): Promise<PullRequest> {
  const { head, base, title, body } = wanted
  const labels = await labelIds(forge, wanted.labels)
  const pull = wanted.pull ?? (await forge.createPullRequest({ head, base, title, body, labels }))
  if (pull.title !== title || pull.body.trimEnd() !== body.trimEnd())
    await forge.editPullRequest(pull.number, { title, body })
  const missing = wanted.labels.some((label) => !pull.labels.includes(label))
  if (missing) await forge.addLabels(pull.number, labels)
  if (wanted.reviewers.length > 0 && wanted.pull === null)
    await forge.requestReviewers(pull.number, wanted.reviewers)
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

/** An open pull request of ours by its hidden first line, and only when our account opened it from our branch. */
export function ownOpen(open: PullRequest[], about: { login: string; branch: string }): PullRequest | null {
  return (
    open.find(
      (each) => each.author === about.login && !each.head.fork && each.head.branch === about.branch,
    ) ?? null
  )
}
