import { valueAt } from './hook.ts'

/** What a delivery of Gitea is a reason for. */
export type GiteaNews =
  | { kind: 'push'; why: string }
  /** `number` is null when the event does not say which one. */
  | { kind: 'pull request'; number: number | null; why: string }
  | { kind: 'nothing'; why: string }

/** Which repository and branch are watched; `repository` (`owner/name`) null: any. */
export type Watched = { repository: string | null; branch: string }

const nothing = (why: string): GiteaNews => ({ kind: 'nothing', why })

/**
 * What a delivery may mean for us. It only decides whether it is worth a look: what is there is asked of Git and of
 * the API of Gitea, so nothing of the body but a number goes further than this.
 *
 * @param event the header `X-Gitea-Event`: `push`, `pull_request`, `issue_comment`, `status`, ...
 */
export function newsOf(event: string, body: unknown, watched: Watched): GiteaNews {
  const repository = valueAt(body, 'repository', 'full_name')
  if (typeof repository !== 'string') return nothing('it names no repository')
  if (watched.repository !== null && repository.toLowerCase() !== watched.repository.toLowerCase())
    return nothing('it is about another repository')
  if (event === 'push') return pushNews(body, watched.branch)
  if (!isAboutPullRequests(event)) return nothing('events of this kind are not looked at')
  if (valueAt(body, 'is_pull') === false) return nothing('it is about an issue')
  return { kind: 'pull request', number: numberOf(event, body), why: 'pull requests are looked at again' }
}

const commitId = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/

function pushNews(body: unknown, branch: string): GiteaNews {
  const [ref, before, after] = ['ref', 'before', 'after'].map((key) => valueAt(body, key))
  if (ref !== `refs/heads/${branch}`) return nothing('it is not the branch that is watched')
  if (typeof before !== 'string' || typeof after !== 'string') return nothing('it names no commits')
  if (!commitId.test(before) || !commitId.test(after)) return nothing('it names no commits')
  if (/^0+$/.test(after)) return nothing('the branch was deleted')
  if (before === after) return nothing('nothing was pushed: a test delivery')
  return { kind: 'push', why: `the branch ${branch} is looked at` }
}

/**
 * Pull requests, their reviews, labels and comments, and the statuses of commits. Gitea names reviews and comments of
 * a review `pull_request_approved`, `pull_request_rejected` and `pull_request_comment`.
 */
const isAboutPullRequests = (event: string): boolean =>
  /^(?:pull_request(?:_\w+)?|issues|issue_\w+|status)$/.test(event)

/** Null for a status, which names a commit, and for an issue, whose number is that of no pull request. */
function numberOf(event: string, body: unknown): number | null {
  if (event === 'status' || event === 'issues') return null
  const numbers = [['number'], ['pull_request', 'number'], ['issue', 'number']]
  const found = numbers.map((path) => valueAt(body, ...path)).find((value) => value !== undefined)
  return typeof found === 'number' && Number.isSafeInteger(found) && found > 0 ? found : null
}
