import {
  type Account,
  atLeast,
  Refused,
  type Repository,
  type Right,
  rightOf,
  type Token,
  type World,
} from './world.ts'

/** What a handler gets: who asks for what. `token` is null for a password. */
export type Call = {
  world: World
  method: string
  path: string
  params: Record<string, string>
  query: URLSearchParams
  body: Record<string, unknown>
  account: Account
  token: Token | null
}

export type Reply = { status: number; body?: unknown; total?: number; location?: string }
export type Handler = (call: Call) => Reply | Promise<Reply>
/** `GET /repos/:owner/:name/branches/*`; `*` takes slashes. */
export type Routes = Record<string, Handler>

export const ok = (body: unknown): Reply => ({ status: 200, body })
export const created = (body: unknown): Reply => ({ status: 201, body })
export const done: Reply = { status: 204 }

/** A page of a list as Gitea cuts it: 30 unless asked for, never more than 50. */
export function paged(list: unknown[], query: URLSearchParams): Reply {
  const page = Math.max(1, Number(query.get('page') ?? 1))
  const limit = Math.min(50, Number(query.get('limit') ?? 30) || 30)
  return { status: 200, body: list.slice((page - 1) * limit, page * limit), total: list.length }
}

export function matchRoute(
  routes: Routes,
  method: string,
  path: string,
): { handler: Handler; params: Record<string, string> } | null {
  for (const [route, handler] of Object.entries(routes)) {
    const [wanted = '', pattern = ''] = route.split(' ')
    if (wanted !== method) continue
    const expression = pattern.replace(/:(\w+)/g, '(?<$1>[^/]+)').replace('*', '(?<rest>.*)')
    const found = new RegExp(`^${expression}$`).exec(path)
    if (found === null) continue
    const pairs = Object.entries(found.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value)])
    return { handler, params: Object.fromEntries(pairs) as Record<string, string> }
  }
  return null
}

/** The repository of a path; 404 to who may not see it, as if it were not there. */
export function repositoryFor(call: Call, wanted: Right = 'read'): Repository {
  const { owner, name } = call.params
  const found = call.world.repositories.find((each) => each.owner === owner && each.name === name)
  if (found === undefined) throw new Refused(404, "The target couldn't be found.")
  const right = rightOf(call.world, found, call.account.login)
  if (!atLeast(right, 'read')) throw new Refused(404, "The target couldn't be found.")
  if (!atLeast(right, wanted)) throw new Refused(403, 'user should have a permission to write to a repo')
  if (found.archived && wanted !== 'read') throw new Refused(423, `${owner}/${name} is archived`)
  return found
}

/** Tokens say for each group of calls whether they may read or write; writing includes reading. */
export function checkScope(token: Token, method: string, path: string): void {
  const group = groupOf(path)
  if (group === null) return
  const wanted = method === 'GET' ? [`read:${group}`, `write:${group}`] : [`write:${group}`]
  if (token.scopes.includes('all') || wanted.some((each) => token.scopes.includes(each))) return
  throw new Refused(403, `token does not have at least one of required scope(s): [${wanted[0]}]`)
}

function groupOf(path: string): string | null {
  if (/^\/repos\/[^/]+\/[^/]+\/(issues|labels)\b/.test(path)) return 'issue'
  if (path.startsWith('/repos/')) return 'repository'
  if (path.startsWith('/orgs')) return 'organization'
  if (path.startsWith('/admin/')) return 'admin'
  return path.startsWith('/user') ? 'user' : null
}

export const text = (value: unknown): string => (typeof value === 'string' ? value : '')
export const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(text) : [])
