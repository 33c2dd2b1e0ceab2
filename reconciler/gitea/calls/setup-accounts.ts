import { type Api, at } from '../api.ts'
import type { AccessToken, Setup, User } from '../setup-calls.ts'

type GiteaUser = { id: number; login: string; email: string; is_admin: boolean }
type GiteaToken = { id: number; name: string; scopes: string[] | null; token_last_eight: string }

type Calls =
  | 'version'
  | 'currentUser'
  | 'user'
  | 'createUser'
  | 'tokens'
  | 'createToken'
  | 'deleteToken'
  | 'organisation'
  | 'createOrganisation'

export function accountCalls(api: Api): Pick<Setup, Calls> {
  const user: Setup['user'] = async (login) => {
    const answer = await api.ask('GET', at`/users/${login}`, { understood: [404] })
    return answer.status === 404 ? null : userOf(answer.body as GiteaUser)
  }
  const organisation: Setup['organisation'] = async (name) => {
    const answer = await api.ask('GET', at`/orgs/${name}`, { understood: [404] })
    return answer.status === 404 ? null : { name }
  }
  return {
    user,
    organisation,
    ...tokenCalls(api),
    async version() {
      return ((await api.ask('GET', '/version')).body as { version: string }).version
    },
    async currentUser() {
      return userOf((await api.ask('GET', '/user')).body as GiteaUser)
    },
    async createUser({ login, email, password }) {
      // Left out, `must_change_password` is true, and then every call of the account is refused.
      const body = { username: login, email, password, must_change_password: false }
      const answer = await api.ask('POST', '/admin/users', { body, understood: [422] })
      if (answer.status !== 422) return 'created'
      // 422 is also a password that is too short or a name that is reserved.
      if ((await user(login)) === null) throw api.refusal(answer, 'POST', '/admin/users')
      return 'exists'
    },
    async createOrganisation({ name, private: isPrivate }) {
      const body = { username: name, visibility: isPrivate ? 'private' : 'public' }
      const answer = await api.ask('POST', '/orgs', { body, understood: [422] })
      if (answer.status !== 422) return 'created'
      if ((await organisation(name)) === null) throw api.refusal(answer, 'POST', '/orgs')
      return 'exists'
    },
  }
}

function tokenCalls(api: Api): Pick<Setup, 'tokens' | 'createToken' | 'deleteToken'> {
  const tokens: Setup['tokens'] = async (login) => {
    const found: AccessToken[] = []
    for await (const each of api.items<GiteaToken>(at`/users/${login}/tokens`))
      found.push({
        id: each.id,
        name: each.name,
        scopes: each.scopes ?? [],
        lastEight: each.token_last_eight,
      })
    return found
  }
  return {
    tokens,
    async createToken(login, { name, scopes }) {
      const path = at`/users/${login}/tokens`
      const answer = await api.ask('POST', path, { body: { name, scopes }, understood: [400] })
      if (answer.status !== 400) return (answer.body as { sha1: string }).sha1
      // 400 is also a scope that this version does not know.
      const taken = (await tokens(login)).some((each) => each.name === name)
      if (!taken) throw api.refusal(answer, 'POST', path)
      return null
    },
    async deleteToken(login, id) {
      const answer = await api.ask('DELETE', at`/users/${login}/tokens/${id}`, { understood: [404] })
      return answer.status !== 404
    },
  }
}

function userOf(found: GiteaUser): User {
  return { id: found.id, login: found.login, email: found.email, admin: found.is_admin }
}
