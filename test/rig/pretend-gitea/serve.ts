import type { IncomingMessage, ServerResponse } from 'node:http'
import { text as textOf } from 'node:stream/consumers'
import { answerByGit } from '../git-server.ts'
import { accountRoutes } from './accounts.ts'
import { actionRoutes, registerRunner } from './actions.ts'
import { contentRoutes } from './contents.ts'
import { branchesOf } from './git.ts'
import { branchesMoved } from './moves.ts'
import { pullRoutes } from './pulls.ts'
import { repositoryRoutes } from './repositories.ts'
import { type Call, checkScope, matchRoute, type Reply } from './route.ts'
import { type Account, atLeast, Refused, rightOf, type Token, type World } from './world.ts'

export type Asked = { method: string; path: string; query: string; body: unknown; login: string | null }

/** How it fails: it hangs up, or answers 500 with nothing in it, as Gitea does to all but administrators. */
export type Failure = 'none' | 'unreachable' | '500'

export type Serving = {
  /** Gets every call of the API, without the part `/api/v1`. */
  asked?: Asked[]
  failure?: () => Failure
  /** Is waited for after each change, before it is answered. */
  changed?: () => Promise<void>
}

type InTurn = <T>(work: () => Promise<T>) => Promise<T>

/** What answers as Gitea does, over a world; `inTurn` is for changes from elsewhere. */
export function listenAsGitea(
  world: World,
  serving: Serving = {},
): { listener: (incoming: IncomingMessage, outgoing: ServerResponse) => void; inTurn: InTurn } {
  // One after the other, so that no two change the same.
  let last: Promise<unknown> = Promise.resolve()
  const inTurn: InTurn = (work) => {
    const result = last.then(work)
    last = result.catch(() => {})
    return result
  }
  return {
    inTurn,
    listener(incoming, outgoing) {
      const failure = serving.failure?.() ?? 'none'
      if (failure === 'unreachable') incoming.socket.destroy()
      else if (failure === '500') answer(outgoing, { status: 500, body: { message: '', url: '' } })
      else if ((incoming.url ?? '').startsWith('/api/'))
        void inTurn(() => answerApi(world, serving, incoming, outgoing))
      else void answerGit({ world, serving, inTurn }, incoming, outgoing)
    },
  }
}

const routes = { ...accountRoutes, ...actionRoutes, ...contentRoutes, ...pullRoutes, ...repositoryRoutes }

async function answerApi(
  world: World,
  serving: Serving,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  try {
    const sent = await textOf(incoming)
    const url = new URL(incoming.url ?? '/', 'http://localhost')
    const path = url.pathname.replace(/^\/api(\/v1)?/, '')
    const method = incoming.method ?? 'GET'
    const body = (sent === '' ? {} : JSON.parse(sent)) as Record<string, unknown>
    const who = whoAsks(world, incoming)
    const login = who === null || 'refused' in who ? null : who.account.login
    serving.asked?.push({ method, path, query: url.search, body: sent === '' ? null : body, login })
    const said =
      redirected(world, path, url.search) ??
      (await reply(world, who, { method, path, query: url.searchParams, body }))
    if (method !== 'GET') await serving.changed?.()
    answer(outgoing, said)
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
  if (asked.path === '/actions/runner.v1.RunnerService/Register') return registerRunner(world, asked.body)
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
  { world, serving, inTurn }: { world: World; serving: Serving; inTurn: InTurn },
  incoming: IncomingMessage,
  outgoing: ServerResponse,
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
    const follow = async () => {
      await branchesMoved(world, repository, before, login)
      await serving.changed?.()
    }
    outgoing.once('finish', () => void inTurn(follow).catch(console.error))
  }
  answerByGit(world.folder, incoming, outgoing)
}
