import { createHmac, randomUUID } from 'node:crypto'
import { newCommits, nobody } from './git.ts'
import type { Hook, Pull, Repository, World } from './world.ts'
import { matches } from './world.ts'

/** `pull_request` switches all of these on. */
const pullRequestEvents = [
  'pull_request',
  'pull_request_assign',
  'pull_request_label',
  'pull_request_milestone',
  'pull_request_comment',
  'pull_request_review_approved',
  'pull_request_review_rejected',
  'pull_request_review_comment',
  'pull_request_sync',
  'pull_request_review_request',
]
const known = new Set([
  'create',
  'delete',
  'fork',
  'push',
  'issues',
  'issue_comment',
  'release',
  'repository',
  ...pullRequestEvents,
])

/** Unknown names are dropped without a word, and none at all means `push`. */
export function eventsOf(world: World, wanted: string[]): string[] {
  const isKnown = (event: string) => known.has(event) || (event === 'status' && !world.old)
  const events = (wanted.length === 0 ? ['push'] : wanted).flatMap((each) =>
    each === 'pull_request' ? pullRequestEvents : isKnown(each) ? [each] : [],
  )
  return [...new Set(events)]
}

/** Of a branch that was pushed, made or deleted; a deletion sends no push. */
export async function announcePush(
  world: World,
  repository: Repository,
  moved: { branch: string; before: string; after: string; login: string },
): Promise<void> {
  const { branch, before, after } = moved
  const people = { pusher: { login: moved.login }, sender: { login: moved.login } }
  const shared = { repository: repositoryIn(world, repository), ...people }
  const to = { repository, branch }
  if (before === nobody)
    deliver(world, to, 'create', { ref: branch, ref_type: 'branch', sha: after, ...shared })
  if (after === nobody) {
    deliver(world, to, 'delete', { ref: branch, ref_type: 'branch', pusher_type: 'user', ...shared })
    return
  }
  deliver(world, to, 'push', await pushPayload(world, repository, moved))
}

/** A push as Gitea tells it: never more than five commits, however many there were. */
export async function pushPayload(
  world: World,
  repository: Repository,
  { branch, before, after, login }: { branch: string; before: string; after: string; login: string },
): Promise<object> {
  const found =
    before === after
      ? await newCommits(repository.bare, nobody, after)
      : await newCommits(repository.bare, before, after)
  const commits = found.map((each) => ({
    ...each,
    url: `${world.rootUrl}/${repository.owner}/${repository.name}/commit/${each.id}`,
    committer: each.author,
    verification: null,
    added: [],
    removed: [],
    modified: [],
  }))
  return {
    ref: `refs/heads/${branch}`,
    before,
    after,
    compare_url:
      before === nobody
        ? ''
        : `${world.rootUrl}/${repository.owner}/${repository.name}/compare/${before}...${after}`,
    commits: before === after ? commits.slice(0, 1) : commits.slice(0, 5),
    total_commits: before === after ? 1 : commits.length,
    head_commit: commits[0] ?? null,
    repository: repositoryIn(world, repository),
    pusher: { login },
    sender: { login },
  }
}

export function announcePull(
  world: World,
  repository: Repository,
  pull: Pull,
  told: {
    action: 'opened' | 'synchronized' | 'closed' | 'reopened' | 'edited'
    object: object
    login: string
  },
): void {
  const type = told.action === 'synchronized' ? 'pull_request_sync' : 'pull_request'
  deliver(world, { repository, branch: null }, type, {
    action: told.action,
    number: pull.number,
    pull_request: told.object,
    requested_reviewer: null,
    repository: repositoryIn(world, repository),
    sender: { login: told.login },
    commit_id: '',
    review: null,
  })
}

/** Each row is told, also one that says what was said before; 1.22 has no such event. */
export function announceStatus(
  world: World,
  repository: Repository,
  status: { sha: string; context: string; state: string; login: string },
): void {
  const { login, ...told } = status
  deliver(world, { repository, branch: null }, 'status', {
    ...told,
    repository: repositoryIn(world, repository),
    sender: { login },
  })
}

function repositoryIn(world: World, repository: Repository): object {
  const fullName = `${repository.owner}/${repository.name}`
  return {
    id: repository.id,
    name: repository.name,
    full_name: fullName,
    private: repository.private,
    default_branch: repository.defaultBranch,
    html_url: `${world.rootUrl}/${fullName}`,
    clone_url: `${world.rootUrl}/${fullName}.git`,
  }
}

function deliver(
  world: World,
  to: { repository: Repository; branch: string | null },
  type: string,
  payload: object,
): void {
  for (const hook of to.repository.hooks) {
    const filter = hook.branch_filter === '' ? '*' : hook.branch_filter
    const isWanted = to.branch === null || filter === '*' || matches(filter, to.branch)
    if (hook.active && hook.events.includes(type) && isWanted) deliverTo(world, hook, type, payload)
  }
}

/** One attempt, five seconds; what fails is only noted, and never tried again. */
export function deliverTo(world: World, hook: Hook, type: string, payload: object): void {
  const body = JSON.stringify(payload, null, 2)
  const delivery = { event: type, url: hook.url, status: null as number | null }
  world.deliveries.push(delivery)
  fetch(hook.url, {
    method: 'POST',
    body,
    headers: headersOf(hook, type, body),
    signal: AbortSignal.timeout(5000),
  }).then(
    async (answer) => {
      delivery.status = answer.status
      await answer.body?.cancel()
    },
    () => {
      delivery.status = 0
    },
  )
}

function headersOf(hook: Hook, type: string, body: string): Record<string, string> {
  const sign = (algorithm: string) =>
    hook.secret === '' ? '' : createHmac(algorithm, hook.secret).update(body).digest('hex')
  const event = type === 'pull_request_sync' ? 'pull_request' : type
  const id = randomUUID()
  return {
    'content-type': 'application/json',
    ...(hook.authorization_header === '' ? {} : { authorization: hook.authorization_header }),
    'x-gitea-delivery': id,
    'x-gitea-event': event,
    'x-gitea-event-type': type,
    'x-gitea-signature': sign('sha256'),
    'x-gogs-delivery': id,
    'x-gogs-event': event,
    'x-gogs-event-type': type,
    'x-gogs-signature': sign('sha256'),
    'x-github-delivery': id,
    'x-github-event': event,
    'x-github-event-type': type,
    'x-hub-signature': `sha1=${sign('sha1')}`,
    'x-hub-signature-256': `sha256=${sign('sha256')}`,
  }
}
