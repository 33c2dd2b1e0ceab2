import type { Forge, ForgeRepository, MergeStyle } from '../forge.ts'
import { inRepository, type Place } from './place.ts'

type GiteaRepository = {
  full_name: string
  default_branch: string
  private: boolean
  archived: boolean
  permissions?: { admin: boolean; push: boolean; pull: boolean }
  default_merge_style?: string
} & { [allowed in (typeof switches)[MergeStyle]]?: boolean }

const switches = {
  merge: 'allow_merge_commits',
  squash: 'allow_squash_merge',
  rebase: 'allow_rebase',
  'rebase-merge': 'allow_rebase_explicit',
  'fast-forward-only': 'allow_fast_forward_only_merge',
} as const

export function repositoryCalls(place: Place): Pick<Forge, 'version' | 'login' | 'repository'> {
  const { api } = place
  return {
    async version() {
      return ((await api.ask('GET', '/version')).body as { version: string }).version
    },
    async login() {
      return ((await api.ask('GET', '/user')).body as { login: string }).login
    },
    async repository() {
      return repositoryOf((await api.ask('GET', inRepository(place, ''))).body as GiteaRepository)
    },
  }
}

function repositoryOf(found: GiteaRepository): ForgeRepository {
  const styles = Object.keys(switches) as MergeStyle[]
  const allowed = styles.filter((style) => found[switches[style]] === true)
  const isPreferred = (style: MergeStyle) => (style === found.default_merge_style ? 0 : 1)
  return {
    fullName: found.full_name,
    defaultBranch: found.default_branch,
    private: found.private,
    archived: found.archived,
    permissions: {
      admin: found.permissions?.admin === true,
      push: found.permissions?.push === true,
      pull: found.permissions?.pull === true,
    },
    mergeStyles: allowed.sort((one, other) => isPreferred(one) - isPreferred(other)),
  }
}
