import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { branchesOf, commitOf, initBare, makeCommit, setRef } from './git.ts'
import {
  type Call,
  created,
  done,
  ok,
  paged,
  type Reply,
  type Routes,
  repositoryFor,
  text,
  texts,
} from './route.ts'
import { deliverTo, eventsOf, pushPayload } from './webhooks.ts'
import {
  atLeast,
  type Hook,
  type Protection,
  Refused,
  type Repository,
  type Right,
  rightOf,
  type World,
} from './world.ts'

export const repositoryRoutes: Routes = {
  'GET /repos/:owner/:name': async (call) => ok(await repositoryOf(call, repositoryFor(call))),
  'PATCH /repos/:owner/:name': renameRepository,
  'POST /user/repos': (call) => createRepository(call, call.account.login),
  'POST /orgs/:name/repos': (call) => {
    if (!call.world.organisations.some((each) => each.name === call.params['name']))
      throw new Refused(404, 'not found')
    return createRepository(call, call.params['name'] ?? '')
  },
  'POST /admin/users/:login/repos': (call) => {
    if (!call.account.admin) throw new Refused(403, 'user should be the site admin')
    return createRepository(call, call.params['login'] ?? '')
  },

  'GET /repos/:owner/:name/collaborators/:login/permission': (call) => {
    const repository = repositoryFor(call, 'admin')
    const login = call.params['login'] ?? ''
    if (!call.world.accounts.some((each) => each.login === login))
      throw new Refused(404, `user does not exist [uid: 0, name: ${login}]`)
    return ok({ permission: rightOf(call.world, repository, login), role_name: '' })
  },
  'PUT /repos/:owner/:name/collaborators/:login': (call) => {
    const repository = repositoryFor(call, 'admin')
    const login = call.params['login'] ?? ''
    if (!call.world.accounts.some((each) => each.login === login))
      throw new Refused(422, `user does not exist [uid: 0, name: ${login}]`)
    repository.collaborators.set(login, text(call.body['permission']) as Right)
    return done
  },

  'GET /repos/:owner/:name/labels': (call) => paged(repositoryFor(call).labels, call.query),
  // The same name twice makes two.
  'POST /repos/:owner/:name/labels': (call) => {
    const repository = repositoryFor(call, 'write')
    const label = {
      id: call.world.nextId(),
      name: text(call.body['name']),
      color: text(call.body['color']).replace(/^#/, ''),
      description: text(call.body['description']),
    }
    if (!/^[0-9a-f]{6}$/i.test(label.color)) throw new Refused(422, 'color must be #aabbcc')
    repository.labels.push(label)
    return created(label)
  },

  'GET /repos/:owner/:name/keys': (call) => paged(repositoryFor(call, 'admin').keys, call.query),
  'POST /repos/:owner/:name/keys': (call) => {
    const { keys } = repositoryFor(call, 'admin')
    const key = text(call.body['key']).trim()
    const title = text(call.body['title'])
    const material = (of: string) => of.split(/\s+/).slice(0, 2).join(' ')
    if (!/^ssh-(ed25519|rsa) AAAA[\w+/=]{20,}/.test(key)) throw new Refused(422, 'Invalid key content')
    if (keys.some((each) => each.title === title)) throw new Refused(422, 'Key title has been used')
    if (keys.some((each) => material(each.key) === material(key)))
      throw new Refused(422, 'Key content has been used as non-deploy key')
    keys.push({ id: call.world.nextId(), title, key, read_only: call.body['read_only'] === true })
    return created(keys.at(-1))
  },
  ...hookRoutes(),
  ...protectionRoutes(),
}

function hookRoutes(): Routes {
  const one = (call: Call): { repository: Repository; hook: Hook } => {
    const repository = repositoryFor(call, 'admin')
    const hook = repository.hooks.find((each) => String(each.id) === call.params['id'])
    if (hook === undefined) throw new Refused(404, 'not found')
    return { repository, hook }
  }
  return {
    'GET /repos/:owner/:name/hooks': (call) =>
      paged(repositoryFor(call, 'admin').hooks.map(hookOf), call.query),
    // The same address twice makes two. `active` is false unless it is given.
    'POST /repos/:owner/:name/hooks': (call) => {
      const { hooks } = repositoryFor(call, 'admin')
      const { url, content_type: contentType, secret } = configOf(call)
      if (text(call.body['type']) !== 'gitea') throw new Refused(422, 'Invalid hook type')
      if (url === undefined || contentType === undefined) throw new Refused(422, 'Missing config option')
      const hook: Hook = {
        id: call.world.nextId(),
        type: 'gitea',
        active: call.body['active'] === true,
        events: eventsOf(call.world, texts(call.body['events'])),
        branch_filter: text(call.body['branch_filter']),
        authorization_header: text(call.body['authorization_header']),
        url,
        contentType,
        secret: secret ?? '',
      }
      hooks.push(hook)
      return created(hookOf(hook))
    },
    // What is left out is reset, the secret is ignored.
    'PATCH /repos/:owner/:name/hooks/:id': (call) => {
      const { hook } = one(call)
      const { url, content_type: contentType } = configOf(call)
      hook.url = url ?? hook.url
      hook.contentType = contentType ?? hook.contentType
      hook.events = eventsOf(call.world, texts(call.body['events']))
      hook.branch_filter = text(call.body['branch_filter'])
      hook.authorization_header = text(call.body['authorization_header'])
      if (typeof call.body['active'] === 'boolean') hook.active = call.body['active']
      return ok(hookOf(hook))
    },
    'DELETE /repos/:owner/:name/hooks/:id': (call) => {
      const { repository, hook } = one(call)
      repository.hooks.splice(repository.hooks.indexOf(hook), 1)
      return done
    },
    // Not a ping but a push of the head onto itself.
    'POST /repos/:owner/:name/hooks/:id/tests': async (call) => {
      const { repository, hook } = one(call)
      const branch = repository.defaultBranch
      const head = await commitOf(repository.bare, branch)
      const moved = { branch, before: head ?? '', after: head ?? '', login: call.account.login }
      if (head !== null) deliverTo(call.world, hook, 'push', await pushPayload(call.world, repository, moved))
      return done
    },
  }
}

const configOf = (call: Call) =>
  (call.body['config'] ?? {}) as { url?: string; content_type?: string; secret?: string }

const hookOf = (hook: Hook) => ({
  id: hook.id,
  type: hook.type,
  config: { content_type: hook.contentType, url: hook.url },
  events: hook.events,
  branch_filter: hook.branch_filter,
  authorization_header: hook.authorization_header,
  active: hook.active,
})

function protectionRoutes(): Routes {
  const one = (call: Call): { repository: Repository; rule: Protection } => {
    const repository = repositoryFor(call, 'admin')
    const rule = repository.protections.find((each) => each.rule_name === call.params['rule'])
    if (rule === undefined) throw new Refused(404, "The target couldn't be found.")
    return { repository, rule }
  }
  return {
    'GET /repos/:owner/:name/branch_protections': (call) => ok(repositoryFor(call, 'admin').protections),
    'GET /repos/:owner/:name/branch_protections/:rule': (call) => ok(one(call).rule),
    // 403, not 409.
    'POST /repos/:owner/:name/branch_protections': async (call) => {
      const repository = repositoryFor(call, 'admin')
      const name = text(call.body['rule_name'])
      if (repository.protections.some((each) => each.rule_name === name))
        throw new Refused(403, 'Branch protection already exist')
      const rule: Protection = {
        rule_name: name,
        enable_push: false,
        enable_status_check: false,
        status_check_contexts: [],
        required_approvals: 0,
        block_on_rejected_reviews: false,
        dismiss_stale_approvals: false,
        protected_file_patterns: '',
        ...call.body,
      }
      repository.protections.push(rule)
      await writeProtected(repository)
      return created(rule)
    },
    'PATCH /repos/:owner/:name/branch_protections/:rule': async (call) => {
      const { repository, rule } = one(call)
      Object.assign(rule, call.body, { rule_name: rule.rule_name })
      await writeProtected(repository)
      return ok(rule)
    },
    'DELETE /repos/:owner/:name/branch_protections/:rule': async (call) => {
      const { repository, rule } = one(call)
      repository.protections.splice(repository.protections.indexOf(rule), 1)
      await writeProtected(repository)
      return done
    },
  }
}

/** Git itself keeps a push away from branches that nobody may push to. */
async function writeProtected(repository: Repository): Promise<void> {
  const patterns = repository.protections
    .filter((each) => !each.enable_push)
    .map((each) => `refs/heads/${each.rule_name}`)
  const cases = patterns.map(
    (each) => `${each}) echo "Not allowed to push to protected branch" >&2; exit 1;;`,
  )
  const hook = `#!/bin/sh\ncase "$1" in\n${cases.join('\n')}\n*) exit 0;;\nesac\n`
  await mkdir(join(repository.bare, 'hooks'), { recursive: true })
  await writeFile(join(repository.bare, 'hooks', 'update'), hook, { mode: 0o755 })
}

async function createRepository(call: Call, owner: string): Promise<Reply> {
  const name = text(call.body['name'])
  if (call.world.repositories.some((each) => each.owner === owner && each.name === name))
    throw new Refused(409, 'The repository with the same name already exists.')
  const repository = await addRepository(call.world, {
    owner,
    name,
    description: text(call.body['description']),
    private: call.body['private'] === true,
    defaultBranch: text(call.body['default_branch']) || 'main',
  })
  if (call.body['auto_init'] === true) {
    const writer = { name: call.account.login, email: call.account.email }
    const changes = [{ path: 'README.md', content: Buffer.from(`# ${name}\n`) }]
    const first = await makeCommit(repository.bare, {
      parent: null,
      changes,
      message: 'Initial commit',
      writer,
    })
    await setRef(repository.bare, `refs/heads/${repository.defaultBranch}`, first)
  }
  return created(await repositoryOf(call, repository))
}

export async function addRepository(
  world: World,
  wanted: Pick<Repository, 'owner' | 'name' | 'description' | 'private' | 'defaultBranch'>,
): Promise<Repository> {
  const bare = join(world.folder, wanted.owner, `${wanted.name}.git`)
  await mkdir(dirname(bare), { recursive: true })
  await initBare(bare, wanted.defaultBranch)
  const repository: Repository = {
    ...wanted,
    id: world.nextId(),
    archived: false,
    bare,
    collaborators: new Map(),
    labels: [],
    hooks: [],
    keys: [],
    protections: [],
    pulls: [],
    statuses: [],
    comments: [],
  }
  world.repositories.push(repository)
  return repository
}

/** Renames only; the old name answers with a redirect from then on. */
async function renameRepository(call: Call): Promise<Reply> {
  const repository = repositoryFor(call, 'admin')
  const name = text(call.body['name']) || repository.name
  if (name !== repository.name) {
    const bare = join(call.world.folder, repository.owner, `${name}.git`)
    await rename(repository.bare, bare)
    call.world.renamed.set(`${repository.owner}/${repository.name}`, `${repository.owner}/${name}`)
    Object.assign(repository, { name, bare })
  }
  if (typeof call.body['archived'] === 'boolean') repository.archived = call.body['archived']
  return ok(await repositoryOf(call, repository))
}

async function repositoryOf(call: Call, repository: Repository): Promise<object> {
  const right = rightOf(call.world, repository, call.account.login)
  const fullName = `${repository.owner}/${repository.name}`
  return {
    id: repository.id,
    name: repository.name,
    full_name: fullName,
    private: repository.private,
    empty: (await branchesOf(repository.bare)).size === 0,
    archived: repository.archived,
    default_branch: repository.defaultBranch,
    html_url: `${call.world.rootUrl}/${fullName}`,
    clone_url: `${call.world.rootUrl}/${fullName}.git`,
    permissions: { admin: atLeast(right, 'admin'), push: atLeast(right, 'write'), pull: true },
    allow_merge_commits: true,
    allow_rebase: true,
    allow_rebase_explicit: true,
    allow_squash_merge: true,
    allow_fast_forward_only_merge: true,
    default_merge_style: 'merge',
    default_delete_branch_after_merge: false,
    object_format_name: 'sha1',
  }
}
