import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { answerByGit } from './git-server.ts'
import { accountRoutes } from './pretend-gitea/accounts.ts'
import { contentRoutes } from './pretend-gitea/contents.ts'
import { branchesOf, commitOf, makeCommit, nobody, setRef } from './pretend-gitea/git.ts'
import { branchesMoved, branchMoved } from './pretend-gitea/moves.ts'
import { pullRoutes } from './pretend-gitea/pulls.ts'
import { addRepository, repositoryRoutes } from './pretend-gitea/repositories.ts'
import { type Call, checkScope, matchRoute, type Reply } from './pretend-gitea/route.ts'
import {
  type Account,
  atLeast,
  type Delivery,
  Refused,
  rightOf,
  type Token,
  type World,
} from './pretend-gitea/world.ts'
import { tempFolder } from './temp-folder.ts'

export type Asked = { method: string; path: string; query: string; body: unknown; login: string | null }

/** How it fails: it hangs up, or answers 500 with nothing in it, as Gitea does to all but administrators. */
export type Failure = 'none' | 'unreachable' | '500'

export type PretendGitea = {
  /** `http://127.0.0.1:PORT`; its own links name another host, as those of a Gitea behind a proxy do. */
  url: string
  version: string
  /** May do everything. */
  admin: { user: string; password: string }
  /** What the API was asked so far, without the part `/api/v1`. Empty the array to look at what follows. */
  asked: Asked[]
  /** What webhooks were sent: `status` is null until there is an answer, and 0 when there was none. */
  deliveries: Delivery[]
  fail(how: Failure): void
  /** An account with a token for everything, which is also its password for Git. */
  addAccount(login: string): { token: string; password: string }
  /**
   * A repository with a first commit on `main`; an owner that is no account becomes an organisation.
   * @param writers accounts that may write there
   * @returns the address to clone it from
   */
  addRepository(fullName: string, writers?: string[]): Promise<string>
  /**
   * What a person's push does. Another branch than `main` is made from it when it is not there.
   * @param files path -> content; null removes the file
   * @returns the id of the commit
   */
  push(
    fullName: string,
    files: Record<string, string | null>,
    how?: { branch?: string; message?: string; login?: string },
  ): Promise<string>
} & AsyncDisposable

/** Behaves as Gitea does for the calls that Samovar makes, traps included, over real bare repositories. */
export async function startPretendGitea(options: { version?: string } = {}): Promise<PretendGitea> {
  const temp = await tempFolder('pretend-gitea')
  const world = newWorld(options.version ?? '1.28.0', join(temp.path, 'repositories'))
  await mkdir(world.folder)
  const admin = addAccount(world, 'root-admin', true)
  const state = { failure: 'none' as Failure }
  const asked: Asked[] = []
  // One after the other, so that no two change the same.
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work)
    last = result.catch(() => {})
    return result
  }
  const server = createServer((incoming, outgoing) => {
    if (state.failure === 'unreachable') incoming.socket.destroy()
    else if (state.failure === '500') answer(outgoing, { status: 500, body: { message: '', url: '' } })
    else if ((incoming.url ?? '').startsWith('/api/v1/'))
      void inTurn(() => answerApi(world, asked, incoming, outgoing))
    else void answerGit(world, incoming, outgoing, inTurn)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    version: world.version,
    admin: { user: admin.login, password: admin.password },
    asked,
    deliveries: world.deliveries,
    fail: (how) => {
      state.failure = how
    },
    addAccount: (login) => {
      const account = addAccount(world, login, false)
      const token = {
        id: world.nextId(),
        login,
        name: 'rig',
        scopes: ['all'],
        value: randomBytes(20).toString('hex'),
      }
      world.tokens.push(token)
      return { token: token.value, password: account.password }
    },
    addRepository: async (fullName, writers = []) => {
      await addRepositoryWithCommit(world, fullName, writers)
      return `${url}/${fullName}.git`
    },
    push: (fullName, files, how = {}) => inTurn(() => push(world, fullName, files, how)),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await last
      await temp[Symbol.asyncDispose]()
    },
  }
}

function newWorld(version: string, folder: string): World {
  let id = 0
  return {
    version,
    old: /^1\.(\d|1\d|2[0-2])\./.test(version),
    rootUrl: 'https://git.example.com',
    folder,
    accounts: [],
    tokens: [],
    organisations: [],
    repositories: [],
    renamed: new Map(),
    deliveries: [],
    nextId: () => (id += 1),
  }
}

function addAccount(world: World, login: string, admin: boolean): Account {
  const password = `${login}-${randomBytes(8).toString('hex')}`
  const email = `${login}@example.com`
  const account = { id: world.nextId(), login, email, password, admin, mustChangePassword: false }
  world.accounts.push(account)
  return account
}

async function addRepositoryWithCommit(world: World, fullName: string, writers: string[]): Promise<void> {
  const [owner = '', name = ''] = fullName.split('/')
  const isThere = [
    ...world.accounts.map((each) => each.login),
    ...world.organisations.map((each) => each.name),
  ]
  if (!isThere.includes(owner))
    world.organisations.push({ id: world.nextId(), name: owner, owners: ['root-admin'] })
  const wanted = { owner, name, description: '', private: true, defaultBranch: 'main' }
  const repository = await addRepository(world, wanted)
  for (const login of writers) repository.collaborators.set(login, 'write')
  const changes = [{ path: 'README.md', content: Buffer.from(`# ${name}\n`) }]
  const writer = { name: owner, email: `${owner}@example.com` }
  const first = await makeCommit(repository.bare, {
    parent: null,
    changes,
    message: 'Initial commit',
    writer,
  })
  await setRef(repository.bare, 'refs/heads/main', first)
}

async function push(
  world: World,
  fullName: string,
  files: Record<string, string | null>,
  how: { branch?: string; message?: string; login?: string },
): Promise<string> {
  const repository = world.repositories.find((each) => `${each.owner}/${each.name}` === fullName)
  if (repository === undefined) throw new Error(`There is no repository ${fullName}.`)
  const { branch = 'main', message = 'change the desired state', login = 'root-admin' } = how
  const before = await commitOf(repository.bare, `refs/heads/${branch}`)
  const parent = before ?? (await commitOf(repository.bare, 'refs/heads/main'))
  const changes = Object.entries(files).map(([path, content]) => ({
    path,
    content: content === null ? null : Buffer.from(content),
  }))
  const writer = { name: login, email: `${login}@example.com` }
  const after = await makeCommit(repository.bare, { parent, changes, message, writer })
  await setRef(repository.bare, `refs/heads/${branch}`, after)
  await branchMoved(world, repository, { branch, before: before ?? nobody, after, login })
  return after
}

const routes = { ...accountRoutes, ...contentRoutes, ...pullRoutes, ...repositoryRoutes }

async function answerApi(
  world: World,
  asked: Asked[],
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  try {
    const sent = await textOf(incoming)
    const url = new URL(incoming.url ?? '/', 'http://localhost')
    const path = url.pathname.slice('/api/v1'.length)
    const method = incoming.method ?? 'GET'
    const body = (sent === '' ? {} : JSON.parse(sent)) as Record<string, unknown>
    const who = whoAsks(world, incoming)
    const login = who === null || 'refused' in who ? null : who.account.login
    asked.push({ method, path, query: url.search, body: sent === '' ? null : body, login })
    answer(
      outgoing,
      redirected(world, path, url.search) ??
        (await reply(world, who, { method, path, query: url.searchParams, body })),
    )
  } catch (error) {
    if (error instanceof Refused)
      answer(outgoing, {
        status: error.status,
        body: { message: error.message, url: `${world.rootUrl}/api/swagger` },
      })
    else {
      // A mistake in the pretending itself, which must not look like Gitea.
      console.error(error)
      answer(outgoing, { status: 599, body: { message: String(error) } })
    }
  }
}

type Who = { account: Account; token: Token | null } | { refused: Refused } | null

async function reply(
  world: World,
  who: Who,
  asked: Pick<Call, 'method' | 'path' | 'query' | 'body'>,
): Promise<Reply> {
  if (who !== null && 'refused' in who) throw who.refused
  if (asked.path === '/version') return { status: 200, body: { version: world.version } }
  if (who === null) throw new Refused(401, 'token is required')
  if (who.account.mustChangePassword) throw new Refused(403, 'You must change your password.')
  if (who.token !== null) checkScope(who.token, asked.method, asked.path)
  const found = matchRoute(routes, asked.method, asked.path)
  if (found === null) throw new Refused(404, '404 page not found')
  return await found.handler({ world, ...who, ...asked, params: found.params })
}

/** Of a repository that was renamed: 307 in 1.22, 301 in newer ones. */
function redirected(world: World, path: string, query: string): Reply | null {
  const [, fullName = '', rest = ''] = /^\/repos\/([^/]+\/[^/]+)(.*)$/.exec(path) ?? []
  const now = world.renamed.get(fullName)
  return now === undefined
    ? null
    : { status: world.old ? 307 : 301, location: `/api/v1/repos/${now}${rest}${query}` }
}

/** A token, alone or as the password of anybody, or a login with its password. */
function whoAsks(world: World, incoming: IncomingMessage): Who {
  const [scheme = '', credentials = ''] = (incoming.headers.authorization ?? '').split(' ')
  if (scheme === '') return null
  const isBasic = /^basic$/i.test(scheme)
  const [login = '', ...rest] = isBasic
    ? Buffer.from(credentials, 'base64').toString().split(':')
    : ['', credentials]
  const secret = rest.join(':')
  const token = world.tokens.find((each) => each.value === secret) ?? null
  const account = world.accounts.find((each) =>
    token === null ? isBasic && each.login === login && each.password === secret : each.login === token.login,
  )
  if (account !== undefined) return { account, token }
  return {
    refused: new Refused(
      401,
      world.old ? 'user does not exist [uid: 0, name: ]' : 'invalid username, password or token',
    ),
  }
}

function answer(outgoing: ServerResponse, { status, body, total, location }: Reply): void {
  outgoing.writeHead(status, {
    ...(body === undefined ? {} : { 'content-type': 'application/json;charset=utf-8' }),
    ...(total === undefined ? {} : { 'x-total-count': String(total) }),
    ...(location === undefined ? {} : { location }),
  })
  outgoing.end(body === undefined ? '' : JSON.stringify(body))
}

/** Git over HTTP: `/owner/name.git/...`, also without `.git`. What a push moved has its consequences right after it. */
async function answerGit(
  world: World,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  inTurn: (work: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const [, owner = '', name = '', rest = ''] =
    /^\/([^/]+)\/([^/]+?)(?:\.git)?(\/.*)$/.exec(incoming.url ?? '') ?? []
  const repository = world.repositories.find((each) => each.owner === owner && each.name === name)
  const who = whoAsks(world, incoming)
  if (who === null || 'refused' in who) {
    outgoing.writeHead(401, { 'www-authenticate': 'Basic realm="Gitea"' }).end('Unauthorized')
    return
  }
  const { login } = who.account
  const isPush = rest.includes('git-receive-pack')
  const right = repository === undefined ? 'none' : rightOf(world, repository, login)
  if (repository === undefined || !atLeast(right, isPush ? 'write' : 'read')) {
    outgoing.writeHead(repository === undefined || right === 'none' ? 404 : 403).end('not allowed')
    return
  }
  incoming.url = `/${owner}/${name}.git${rest}`
  if (isPush && incoming.method === 'POST') {
    const before = await branchesOf(repository.bare)
    const follow = () => branchesMoved(world, repository, before, login)
    outgoing.once('finish', () => void inTurn(follow).catch(console.error))
  }
  answerByGit(world.folder, incoming, outgoing)
}
