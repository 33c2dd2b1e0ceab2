import { changedFiles, commitOf, setRef } from './git.ts'
import { mergePull } from './merge.ts'
import { looksMergeable, tell } from './moves.ts'
import { pullOf } from './pull-object.ts'
import {
  type Call,
  created,
  ok,
  paged,
  type Reply,
  type Routes,
  repositoryFor,
  text,
  texts,
} from './route.ts'
import { atLeast, type Pull, Refused, type Repository, type Review, rightOf } from './world.ts'

export const pullRoutes: Routes = {
  'GET /repos/:owner/:name/pulls': listPulls,
  'POST /repos/:owner/:name/pulls': openPull,
  'GET /repos/:owner/:name/pulls/:number': async (call) => {
    const { repository, pull } = pullFor(call)
    return ok(await shown(call, repository, pull))
  },
  'PATCH /repos/:owner/:name/pulls/:number': editPull,
  'POST /repos/:owner/:name/pulls/:number/merge': mergePull,
  'GET /repos/:owner/:name/pulls/:number/files': async (call) => {
    const { repository, pull } = pullFor(call)
    return paged(await changedFiles(repository.bare, pull.base, pull.headSha), call.query)
  },
  'GET /repos/:owner/:name/commits/:sha/pull': async (call) => {
    const repository = repositoryFor(call)
    const pull = repository.pulls.find((each) => each.merged && each.mergeCommit === call.params['sha'])
    if (pull === undefined) throw new Refused(404, 'pull request does not exist')
    return ok(await shown(call, repository, pull))
  },
  'POST /repos/:owner/:name/pulls/:number/requested_reviewers': (call) => {
    const { repository, pull } = pullFor(call, 'write')
    const logins = texts(call.body['reviewers'])
    for (const login of logins) {
      if (!call.world.accounts.some((each) => each.login === login))
        throw new Refused(404, `User '${login}' not exist`)
      if (login === pull.author) throw new Refused(422, "poster of pr can't be reviewer")
      if (!atLeast(rightOf(call.world, repository, login), 'read'))
        throw new Refused(422, "reviewer can't read")
    }
    pull.reviewers = [...new Set([...pull.reviewers, ...logins])]
    return created([])
  },
  'GET /repos/:owner/:name/pulls/:number/reviews': (call) =>
    paged(pullFor(call).pull.reviews.map(reviewOf), call.query),
  'POST /repos/:owner/:name/pulls/:number/reviews': (call) => {
    const { pull } = pullFor(call)
    const event = text(call.body['event'])
    if (call.account.login === pull.author && event !== 'COMMENT')
      throw new Refused(422, 'approve your own pull is not allowed')
    const review = {
      id: call.world.nextId(),
      author: call.account.login,
      state: event,
      commit: text(call.body['commit_id']) || pull.headSha,
      dismissed: false,
      body: text(call.body['body']),
    }
    pull.reviews.push(review)
    return ok(reviewOf(review))
  },

  'GET /repos/:owner/:name/issues/:number': (call) => ok({ number: pullFor(call).pull.number }),
  // Ids or names, all of one kind; unknown ones are dropped without a word.
  'POST /repos/:owner/:name/issues/:number/labels': (call) => {
    const { repository, pull } = pullFor(call, 'write')
    const wanted = (call.body['labels'] ?? []) as (number | string)[]
    if (new Set(wanted.map((each) => typeof each)).size > 1)
      throw new Refused(400, 'labels should be an array of strings or integers')
    const found = repository.labels.filter((each) => wanted.includes(each.id) || wanted.includes(each.name))
    pull.labels = [...new Set([...pull.labels, ...found.map((each) => each.id)])]
    return ok(found)
  },
  // Not paged. One that is not there is a failure of the server.
  'GET /repos/:owner/:name/issues/:number/comments': (call) => {
    const { repository, pull } = pullFor(call, 'read', 500)
    return ok(repository.comments.filter((each) => each.pull === pull.number).map(commentOf))
  },
  'POST /repos/:owner/:name/issues/:number/comments': (call) => {
    const { repository, pull } = pullFor(call, 'read', 500)
    const comment = {
      id: call.world.nextId(),
      pull: pull.number,
      author: call.account.login,
      body: text(call.body['body']),
    }
    repository.comments.push(comment)
    return created(commentOf(comment))
  },
  'PATCH /repos/:owner/:name/issues/comments/:id': (call) => {
    const comment = repositoryFor(call).comments.find((each) => String(each.id) === call.params['id'])
    if (comment === undefined) throw new Refused(404, 'not found')
    comment.body = text(call.body['body'])
    return ok(commentOf(comment))
  },
}

export function pullFor(
  call: Call,
  right: 'read' | 'write' = 'read',
  missing = 404,
): { repository: Repository; pull: Pull } {
  const repository = repositoryFor(call, right)
  const pull = repository.pulls.find((each) => String(each.number) === call.params['number'])
  if (pull === undefined) throw new Refused(missing, missing === 500 ? '' : "The target couldn't be found.")
  return { repository, pull }
}

async function shown(call: Call, repository: Repository, pull: Pull): Promise<object> {
  const mergeable = pull.state === 'open' && (await looksMergeable(repository, pull))
  return await pullOf(call.world, repository, pull, { mergeable })
}

const commentOf = (comment: { id: number; author: string; body: string }) => ({
  id: comment.id,
  body: comment.body,
  user: { login: comment.author },
})

const reviewOf = (review: Review) => ({
  id: review.id,
  user: { login: review.author },
  state: review.state,
  commit_id: review.commit,
  body: review.body,
  official: true,
  dismissed: review.dismissed,
})

/** There is no filter by head. */
async function listPulls(call: Call): Promise<Reply> {
  const repository = repositoryFor(call)
  const state = call.query.get('state') ?? 'open'
  const found = repository.pulls.filter((each) => state === 'all' || each.state === state)
  const byUpdate = (one: Pull, other: Pull) => other.updatedAt - one.updatedAt
  const byNumber = (one: Pull, other: Pull) => one.number - other.number
  const sorts: Record<string, (one: Pull, other: Pull) => number> = {
    recentupdate: byUpdate,
    oldest: byNumber,
  }
  found.sort(sorts[call.query.get('sort') ?? ''] ?? ((one, other) => byNumber(other, one)))
  const page = paged(found, call.query)
  const rows: object[] = []
  for (const pull of page.body as Pull[]) rows.push(await shown(call, repository, pull))
  return { ...page, body: rows }
}

async function openPull(call: Call): Promise<Reply> {
  const repository = repositoryFor(call, 'read')
  const [head, base] = [text(call.body['head']), text(call.body['base'])]
  const headSha = await commitOf(repository.bare, `refs/heads/${head}`)
  if (headSha === null || (await commitOf(repository.bare, `refs/heads/${base}`)) === null)
    throw new Refused(404, "The target couldn't be found.")
  if (head === base)
    throw new Refused(422, 'Invalid PullRequest: There are no changes between the head and the base')
  const same = repository.pulls.find(
    (each) => each.state === 'open' && each.head === head && each.base === base,
  )
  if (same !== undefined)
    throw new Refused(
      409,
      `pull request already exists for these targets [id: ${same.id}, issue_id: ${same.number}]`,
    )
  const known = new Set(repository.labels.map((each) => each.id))
  const pull: Pull = {
    id: call.world.nextId(),
    number: repository.pulls.length + 1,
    title: text(call.body['title']),
    body: text(call.body['body']),
    author: call.account.login,
    state: 'open',
    head,
    headSha,
    base,
    merged: false,
    mergeCommit: null,
    labels: ((call.body['labels'] ?? []) as number[]).filter((each) => known.has(each)),
    reviewers: [],
    reviews: [],
    updatedAt: 0,
    looked: '',
  }
  repository.pulls.push(pull)
  await setRef(repository.bare, `refs/pull/${pull.number}/head`, headSha)
  await tell(call.world, repository, pull, { action: 'opened', login: call.account.login })
  return created(await pullOf(call.world, repository, pull, { mergeable: false }))
}

/** 201, not 200. */
async function editPull(call: Call): Promise<Reply> {
  const { repository, pull } = pullFor(call, 'write')
  const { title, body, state } = call.body
  if (state !== undefined && pull.merged)
    throw new Refused(412, 'cannot change state of this pull request, it was already merged')
  const before = pull.state
  if (typeof title === 'string') pull.title = title
  if (typeof body === 'string') pull.body = body
  if (state === 'open' || state === 'closed') pull.state = state
  const action = before === pull.state ? 'edited' : pull.state === 'open' ? 'reopened' : 'closed'
  await tell(call.world, repository, pull, { action, login: call.account.login })
  return created(await shown(call, repository, pull))
}
