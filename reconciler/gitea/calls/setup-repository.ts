import { type Api, at } from '../api.ts'
import type { DeployKey, Hook, NewHook, Setup, SetupLabel } from '../setup-calls.ts'
import { type GiteaLabel, labelOf } from './labels.ts'
import { inRepository } from './place.ts'

type GiteaHook = {
  id: number
  type: string
  config: { url?: string; content_type?: string }
  events: string[] | null
  branch_filter: string
  active: boolean
}
type GiteaKey = { id: number; title: string; key: string; read_only: boolean }

export function repositoryCalls(api: Api): Pick<Setup, 'repository' | 'createRepository'> {
  return {
    async repository(owner, name) {
      const answer = await api.ask('GET', at`/repos/${owner}/${name}`, { understood: [404] })
      if (answer.status === 404) return null
      const found = answer.body as Record<'private' | 'empty' | 'archived', boolean> &
        Record<'full_name' | 'default_branch', string>
      return {
        fullName: found.full_name,
        private: found.private,
        empty: found.empty,
        archived: found.archived,
        defaultBranch: found.default_branch,
      }
    },
    async createRepository(wanted) {
      const { owner, name, description, private: isPrivate, autoInit, defaultBranch } = wanted
      const isOrganisation = (await api.ask('GET', at`/orgs/${owner}`, { understood: [404] })).status !== 404
      const path = isOrganisation ? at`/orgs/${owner}/repos` : at`/admin/users/${owner}/repos`
      const options = { auto_init: autoInit, default_branch: defaultBranch }
      const body = { name, description, private: isPrivate, ...options }
      const answer = await api.ask('POST', path, { body, understood: [409] })
      return answer.status === 409 ? 'exists' : 'created'
    },
  }
}

export function hookCalls(api: Api): Pick<Setup, 'hooks' | 'createHook' | 'editHook' | 'deleteHook'> {
  return {
    async hooks(repository) {
      const found: Hook[] = []
      for await (const each of api.items<GiteaHook>(inRepository(repository, '/hooks')))
        found.push(hookOf(each))
      return found
    },
    async createHook(repository, wanted) {
      const body = { type: 'gitea', ...hookBody(wanted, { secret: wanted.secret }) }
      return hookOf((await api.ask('POST', inRepository(repository, '/hooks'), { body })).body as GiteaHook)
    },
    async editHook(repository, id, wanted) {
      const path = inRepository(repository, at`/hooks/${id}`)
      return hookOf((await api.ask('PATCH', path, { body: hookBody(wanted, {}) })).body as GiteaHook)
    },
    async deleteHook(repository, id) {
      const path = inRepository(repository, at`/hooks/${id}`)
      return (await api.ask('DELETE', path, { understood: [404] })).status !== 404
    },
  }
}

/** All of it, each time: what is left out Gitea resets. `form` would be signed over something else than the body. */
function hookBody(wanted: Omit<NewHook, 'secret'>, secret: { secret?: string }): object {
  return {
    active: wanted.active,
    branch_filter: wanted.branchFilter,
    events: wanted.events,
    authorization_header: '',
    config: { url: wanted.url, content_type: 'json', ...secret },
  }
}

function hookOf(found: GiteaHook): Hook {
  return {
    id: found.id,
    type: found.type,
    url: found.config.url ?? '',
    contentType: found.config.content_type ?? '',
    events: found.events ?? [],
    branchFilter: found.branch_filter,
    active: found.active,
  }
}

export function setupLabelCalls(api: Api): Pick<Setup, 'labels' | 'createLabel'> {
  return {
    async labels(repository) {
      const found: SetupLabel[] = []
      for await (const each of api.items<GiteaLabel>(inRepository(repository, '/labels')))
        found.push(labelOf(each))
      return found
    },
    async createLabel(repository, { name, color, description }) {
      const how = { body: { name, color, description } }
      return labelOf((await api.ask('POST', inRepository(repository, '/labels'), how)).body as GiteaLabel)
    },
  }
}

export function deployKeyCalls(api: Api): Pick<Setup, 'deployKeys' | 'addDeployKey'> {
  const deployKeys: Setup['deployKeys'] = async (repository) => {
    const found: DeployKey[] = []
    for await (const each of api.items<GiteaKey>(inRepository(repository, '/keys')))
      found.push({ id: each.id, title: each.title, key: each.key, readOnly: each.read_only })
    return found
  }
  return {
    deployKeys,
    async addDeployKey(repository, { title, key, readOnly }) {
      const path = inRepository(repository, '/keys')
      const body = { title, key, read_only: readOnly }
      const answer = await api.ask('POST', path, { body, understood: [422] })
      if (answer.status !== 422) return 'created'
      // 422 is also what is no key at all, or a key that an account has.
      const isSame = (each: DeployKey) => each.title === title || material(each.key) === material(key)
      if (!(await deployKeys(repository)).some(isSame)) throw api.refusal(answer, 'POST', path)
      return 'exists'
    },
  }
}

/** Type and key, without the comment. */
function material(key: string): string {
  return key.trim().split(/\s+/).slice(0, 2).join(' ')
}
