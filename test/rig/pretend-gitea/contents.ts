import { blob, type Change, commitOf, entryOf, makeCommit, nobody, setRef } from './git.ts'
import { branchMoved } from './moves.ts'
import { type Call, created, done, ok, paged, type Reply, type Routes, repositoryFor, text } from './route.ts'
import { announceStatus } from './webhooks.ts'
import { atLeast, protectionOf, Refused, type Repository, rightOf, type Status } from './world.ts'

export const contentRoutes: Routes = {
  'GET /repos/:owner/:name/contents/*': getContents,
  'POST /repos/:owner/:name/contents': changeFiles,

  'GET /repos/:owner/:name/branches/*': async (call) => {
    const repository = repositoryFor(call)
    const name = call.params['rest'] ?? ''
    const sha = await commitOf(repository.bare, `refs/heads/${name}`)
    if (sha === null) throw new Refused(404, "The target couldn't be found.")
    const rule = protectionOf(repository, name)
    return ok({
      name,
      commit: { id: sha },
      protected: rule !== undefined,
      required_approvals: rule?.required_approvals ?? 0,
      enable_status_check: rule?.enable_status_check ?? false,
      status_check_contexts: rule?.status_check_contexts ?? [],
      user_can_push: atLeast(rightOf(call.world, repository, call.account.login), 'write'),
    })
  },
  'DELETE /repos/:owner/:name/branches/*': async (call) => {
    const repository = repositoryFor(call, 'write')
    const branch = call.params['rest'] ?? ''
    const before = await commitOf(repository.bare, `refs/heads/${branch}`)
    if (before === null)
      throw new Refused(call.world.old ? 500 : 404, `object does not exist [id: ${branch}]`)
    if (branch === repository.defaultBranch) throw new Refused(403, 'can not delete default branch')
    if (protectionOf(repository, branch) !== undefined) throw new Refused(403, 'branch protected')
    await setRef(repository.bare, `refs/heads/${branch}`, null)
    await branchMoved(call.world, repository, { branch, before, after: nobody, login: call.account.login })
    return done
  },
  'GET /repos/:owner/:name/git/commits/:sha': async (call) => {
    const { bare } = repositoryFor(call)
    const sha = call.params['sha'] ?? ''
    if ((await commitOf(bare, sha)) === null) throw new Refused(404, `commit doesn't exist: ${sha}`)
    return ok({ sha })
  },

  // An unknown commit is a failure of the server, and its message is empty for all but administrators.
  'POST /repos/:owner/:name/statuses/:sha': async (call) => {
    const repository = repositoryFor(call, 'write')
    const sha = await commitOf(repository.bare, call.params['sha'] ?? '')
    if (sha === null) throw new Refused(500, '')
    const status: Status = {
      id: call.world.nextId(),
      sha,
      context: text(call.body['context']),
      status: text(call.body['state']),
      description: text(call.body['description']),
      target_url: text(call.body['target_url']),
    }
    repository.statuses.push(status)
    const { login } = call.account
    announceStatus(call.world, repository, { sha, context: status.context, state: status.status, login })
    return created(status)
  },
  // The state is that of this page only.
  'GET /repos/:owner/:name/commits/:sha/status': async (call) => {
    const repository = repositoryFor(call)
    const sha = await commitOf(repository.bare, call.params['sha'] ?? '')
    if (sha === null && !call.world.old) throw new Refused(404, 'object does not exist')
    const latest = sha === null ? [] : latestStatuses(repository, sha)
    const page = paged(latest, call.query)
    const rows = page.body as Status[]
    const state =
      rows.length === 0 ? '' : rows.every((each) => each.status === 'success') ? 'success' : 'pending'
    return {
      ...page,
      body: { state, sha: sha ?? '', total_count: rows.length, statuses: rows.length === 0 ? null : rows },
    }
  },
  'GET /repos/:owner/:name/commits/:sha/statuses': async (call) => {
    const repository = repositoryFor(call)
    const rows = repository.statuses.filter((each) => each.sha === call.params['sha'])
    return paged(rows.toReversed(), call.query)
  },
}

/** The latest of each context, newest first. */
export function latestStatuses(repository: Repository, sha: string): Status[] {
  const latest = new Map<string, Status>()
  for (const each of repository.statuses) if (each.sha === sha) latest.set(each.context, each)
  return [...latest.values()].sort((one, other) => other.id - one.id)
}

async function getContents(call: Call): Promise<Reply> {
  const { bare, defaultBranch } = repositoryFor(call)
  const path = call.params['rest'] ?? ''
  const commit = await commitOf(bare, call.query.get('ref') ?? defaultBranch)
  const entry = commit === null ? null : await entryOf(bare, commit, path)
  if (entry === null) throw new Refused(404, `object does not exist [id: , rel_path: ${path}]`)
  if (entry.type === 'tree') return ok([])
  const type = entry.mode === '120000' ? 'symlink' : entry.type === 'commit' ? 'submodule' : 'file'
  const content = type === 'file' ? await blob(bare, entry.sha) : null
  return ok({
    name: path.split('/').at(-1),
    path,
    sha: entry.sha,
    type,
    size: content?.length ?? 0,
    encoding: content === null ? null : 'base64',
    content: content?.toString('base64') ?? null,
  })
}

/** Several files, one commit, on `branch` or on `new_branch` made from it. */
async function changeFiles(call: Call): Promise<Reply> {
  const repository = repositoryFor(call, 'write')
  const branch = text(call.body['branch']) || repository.defaultBranch
  const target = text(call.body['new_branch']) || branch
  const base = await commitOf(repository.bare, `refs/heads/${branch}`)
  if (base === null) throw new Refused(404, `branch does not exist [name: ${branch}]`)
  const isNew = target !== branch
  if (isNew && (await commitOf(repository.bare, `refs/heads/${target}`)) !== null)
    throw new Refused(422, `branch already exists [name: ${target}]`)
  if (protectionOf(repository, target)?.enable_push === false)
    throw new Refused(403, `user cannot commit to repo [user: ${call.account.login}]`)
  const files = (call.body['files'] ?? []) as {
    operation: string
    path: string
    sha?: string
    content?: string
  }[]
  const changes: Change[] = []
  for (const each of files) changes.push(await changeOf(call, { bare: repository.bare, base }, each))
  const writer = { name: call.account.login, email: call.account.email }
  const after = await makeCommit(repository.bare, {
    parent: base,
    changes,
    message: text(call.body['message']),
    writer,
  })
  await setRef(repository.bare, `refs/heads/${target}`, after)
  const before = isNew ? nobody : base
  await branchMoved(call.world, repository, { branch: target, before, after, login: call.account.login })
  return created({ files: [], commit: { sha: after }, verification: null })
}

/** Without `sha` an update overwrites whatever is there. */
async function changeOf(
  call: Call,
  at: { bare: string; base: string },
  { operation, path, sha, content }: { operation: string; path: string; sha?: string; content?: string },
): Promise<Change> {
  const entry = await entryOf(at.bare, at.base, path)
  if (operation === 'create') {
    if (entry !== null) throw new Refused(422, `repository file already exists [path: ${path}]`)
  } else {
    if (entry === null)
      throw new Refused(call.world.old ? 500 : 404, `object does not exist [id: , rel_path: ${path}]`)
    if (sha !== undefined && sha !== entry.sha)
      throw new Refused(422, `sha does not match [given: ${sha}, expected: ${entry.sha}]`)
  }
  return { path, content: operation === 'delete' ? null : Buffer.from(content ?? '', 'base64') }
}
