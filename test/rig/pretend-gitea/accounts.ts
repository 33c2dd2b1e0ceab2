import { randomBytes } from 'node:crypto'
import { type Call, created, done, ok, paged, type Routes, text, texts } from './route.ts'
import { type Account, Refused } from './world.ts'

const scopeGroups = [
  'activitypub',
  'admin',
  'misc',
  'notification',
  'organization',
  'package',
  'issue',
  'repository',
  'user',
]

export const userOf = (account: Pick<Account, 'id' | 'login' | 'email' | 'admin'>) => ({
  id: account.id,
  login: account.login,
  email: account.email,
  is_admin: account.admin,
})

export const accountRoutes: Routes = {
  'GET /version': ({ world }) => ok({ version: world.version }),
  'GET /user': ({ account }) => ok(userOf(account)),
  'GET /users/:login': (call) => ok(userOf(accountNamed(call))),
  'POST /admin/users': (call) => {
    if (!call.account.admin) throw new Refused(403, 'user should be the site admin')
    const login = text(call.body['username'])
    const email = text(call.body['email'])
    if (call.world.accounts.some((each) => each.login === login))
      throw new Refused(422, `user already exists [name: ${login}]`)
    if (!/^\S+@\S+$/.test(email)) throw new Refused(422, `[Email]: Email`)
    const account = {
      id: call.world.nextId(),
      login,
      email,
      password: text(call.body['password']),
      admin: false,
      mustChangePassword: call.body['must_change_password'] !== false,
    }
    call.world.accounts.push(account)
    return created(userOf(account))
  },

  'GET /users/:login/tokens': (call) => {
    const { login } = passwordFor(call)
    const own = call.world.tokens.filter((each) => each.login === login)
    return paged(
      own.map((each) => tokenOf(each)),
      call.query,
    )
  },
  'POST /users/:login/tokens': (call) => {
    const { login } = passwordFor(call)
    const name = text(call.body['name'])
    const scopes = texts(call.body['scopes'])
    if (call.world.tokens.some((each) => each.login === login && each.name === name))
      throw new Refused(400, 'access token name has been used already')
    if (scopes.length === 0) throw new Refused(400, 'access token must have a scope')
    const unknown = scopes.find((each) => !isScope(each))
    if (unknown !== undefined) throw new Refused(400, `invalid access token scope provided: ${unknown}`)
    const token = { id: call.world.nextId(), login, name, scopes, value: randomBytes(20).toString('hex') }
    call.world.tokens.push(token)
    return created({ ...tokenOf(token), sha1: token.value })
  },
  'DELETE /users/:login/tokens/:id': (call) => {
    const { login } = passwordFor(call)
    const { id } = call.params
    const found = call.world.tokens.findIndex(
      (each) => each.login === login && (String(each.id) === id || each.name === id),
    )
    if (found === -1) throw new Refused(404, 'not found')
    call.world.tokens.splice(found, 1)
    return done
  },

  'GET /orgs/:name': (call) => {
    const found = call.world.organisations.find((each) => each.name === call.params['name'])
    if (found === undefined) throw new Refused(404, 'not found')
    return ok({ id: found.id, name: found.name, username: found.name })
  },
  'POST /orgs': (call) => {
    const name = text(call.body['username'])
    const isTaken =
      call.world.organisations.some((each) => each.name === name) ||
      call.world.accounts.some((each) => each.login === name)
    if (isTaken) throw new Refused(422, `user already exists [name: ${name}]`)
    const organisation = { id: call.world.nextId(), name, owners: [call.account.login] }
    call.world.organisations.push(organisation)
    return created({ id: organisation.id, name, username: name })
  },
}

const isScope = (scope: string): boolean =>
  ['all', 'public-only'].includes(scope) ||
  scopeGroups.some((group) => [`read:${group}`, `write:${group}`].includes(scope))

const tokenOf = (token: { id: number; name: string; scopes: string[]; value: string }) => ({
  id: token.id,
  name: token.name,
  sha1: '',
  token_last_eight: token.value.slice(-8),
  scopes: token.scopes,
})

function accountNamed(call: Call): Account {
  const found = call.world.accounts.find((each) => each.login === call.params['login'])
  if (found === undefined)
    throw new Refused(404, `user redirect does not exist [name: ${call.params['login']}]`)
  return found
}

/** Tokens are only for who shows a password, and only for oneself or by an administrator. */
function passwordFor(call: Call): Account {
  const account = accountNamed(call)
  if (call.token !== null) throw new Refused(401, 'auth required')
  if (!call.account.admin && account !== call.account)
    throw new Refused(403, 'doer should be the site admin or be same as the contextUser')
  return account
}
