import { userOf } from './accounts.ts'
import { commitOf, mergeBase } from './git.ts'
import type { Pull, Repository, World } from './world.ts'

/** A pull request as the API and the webhooks show it. When its branch is gone, `head.ref` is the ref that Gitea keeps. */
export async function pullOf(
  world: World,
  repository: Repository,
  pull: Pull,
  { mergeable }: { mergeable: boolean },
): Promise<object> {
  const base = (await commitOf(repository.bare, `refs/heads/${pull.base}`)) ?? ''
  const isThere = (await commitOf(repository.bare, `refs/heads/${pull.head}`)) !== null
  const author = world.accounts.find((each) => each.login === pull.author)
  const at = new Date(pull.updatedAt).toISOString()
  const end = {
    repo_id: repository.id,
    repo: { id: repository.id, full_name: `${repository.owner}/${repository.name}` },
  }
  return {
    id: pull.id,
    number: pull.number,
    url: `${world.rootUrl}/${repository.owner}/${repository.name}/pulls/${pull.number}`,
    html_url: `${world.rootUrl}/${repository.owner}/${repository.name}/pulls/${pull.number}`,
    user: author === undefined ? null : userOf(author),
    title: pull.title,
    body: pull.body,
    state: pull.state,
    draft: /^(WIP:|\[WIP\])/i.test(pull.title),
    mergeable,
    merged: pull.merged,
    merged_at: pull.merged ? at : null,
    merge_commit_sha: pull.mergeCommit,
    merge_base: await mergeBase(repository.bare, base, pull.headSha),
    labels: repository.labels.filter((each) => pull.labels.includes(each.id)),
    requested_reviewers: pull.reviewers.map((login) => ({ login })),
    base: { label: pull.base, ref: pull.base, sha: base, ...end },
    head: {
      label: pull.head,
      ref: isThere ? pull.head : `refs/pull/${pull.number}/head`,
      sha: pull.headSha,
      ...end,
    },
    created_at: at,
    updated_at: at,
    closed_at: pull.state === 'closed' ? at : null,
  }
}
