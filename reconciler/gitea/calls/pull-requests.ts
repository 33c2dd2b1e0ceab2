import { at } from '../api.ts'
import type { Forge, NewPullRequest, PullRequest } from '../forge.ts'
import { inRepository, type Place } from './place.ts'

export type GiteaPullRequest = {
  number: number
  state: 'open' | 'closed'
  merged: boolean
  merge_commit_sha: string | null
  title: string
  body: string
  user: { login: string } | null
  draft?: boolean
  mergeable: boolean
  base: GiteaEnd
  head: GiteaEnd
  labels: { name: string }[] | null
  updated_at: string
}

/** `repo` is null when the fork is gone. */
type GiteaEnd = { label: string; ref: string; sha: string; repo_id: number; repo: { id: number } | null }

type Calls =
  | 'openPullRequests'
  | 'closedPullRequests'
  | 'pullRequest'
  | 'pullRequestOfMerge'
  | 'changedPaths'
  | 'createPullRequest'
  | 'editPullRequest'

export function pullRequestCalls(place: Place): Pick<Forge, Calls> {
  const { api } = place
  const pulls = inRepository(place, '/pulls')
  const read = (body: unknown) => pullRequestOf(place, body as GiteaPullRequest)
  /** There is no filter by head or, before 1.25, by base: all are looked through. */
  const listed = async (query: Record<string, string>, base: string, atMost: number) => {
    const found = new Map<number, PullRequest>()
    for await (const each of api.items<GiteaPullRequest>(pulls, { query })) {
      if (each.base.ref !== base) continue
      // One that moves while pages are read may be on two of them.
      found.set(each.number, read(each))
      if (found.size >= atMost) break
    }
    return [...found.values()]
  }
  const open = async (base: string) => {
    const found = await listed({ state: 'open', sort: 'oldest' }, base, Number.POSITIVE_INFINITY)
    return found.sort((one, other) => one.number - other.number)
  }
  const create = async (wanted: NewPullRequest) => {
    const { head, base, title, body, labels } = wanted
    const created = { body: { head, base, title, body, labels }, understood: [409], repeatable: true }
    const answer = await api.ask('POST', pulls, created)
    if (answer.status !== 409) return read(answer.body)
    const same = (await open(base)).find((each) => each.head.branch === head && !each.head.fork)
    if (same === undefined) throw api.refusal(answer, 'POST', pulls)
    return same
  }
  return {
    openPullRequests: open,
    closedPullRequests: (base, atMost) => listed({ state: 'closed', sort: 'recentupdate' }, base, atMost),
    createPullRequest: create,
    async pullRequest(number) {
      return read((await api.ask('GET', pulls + at`/${number}`)).body)
    },
    async pullRequestOfMerge(sha) {
      const path = inRepository(place, at`/commits/${sha}/pull`)
      const answer = await api.ask('GET', path, { understood: [404] })
      return answer.status === 404 ? null : read(answer.body)
    },
    async changedPaths(number, atMost) {
      const paths = new Set<string>()
      const files = api.items<{ filename: string; previous_filename?: string }>(pulls + at`/${number}/files`)
      for await (const each of files)
        for (const path of [each.filename, each.previous_filename ?? each.filename]) {
          if (!paths.has(path) && paths.size >= atMost) return { paths: [...paths], more: true }
          paths.add(path)
        }
      return { paths: [...paths], more: false }
    },
    async editPullRequest(number, change) {
      await api.ask('PATCH', pulls + at`/${number}`, { body: change })
    },
  }
}

/** Links are built from the address we have: those in the answer may name another host. */
export function pullRequestOf(place: Place, found: GiteaPullRequest): PullRequest {
  return {
    number: found.number,
    state: found.state,
    merged: found.merged,
    mergeCommit: found.merge_commit_sha,
    title: found.title,
    body: found.body,
    author: found.user?.login ?? '',
    draft: found.draft === true,
    mergeable: found.mergeable,
    base: { branch: found.base.ref, sha: found.base.sha },
    head: {
      branch: branchOf(found.head),
      sha: found.head.sha,
      fork: found.head.repo_id !== found.base.repo_id,
    },
    labels: (found.labels ?? []).map((label) => label.name),
    url: `${place.webUrl}/pulls/${found.number}`,
    updatedAt: Date.parse(found.updated_at),
  }
}

/** When the branch is deleted, `ref` is `refs/pull/N/head`; `label` keeps its name. Seen in 1.22.6 and 1.28. */
function branchOf(end: GiteaEnd): string {
  return end.ref.startsWith('refs/') && end.label !== '' ? end.label : end.ref
}
