import { at } from '../api.ts'
import type { Forge } from '../forge.ts'
import { inRepository, type Place } from './place.ts'

type GiteaBranch = {
  commit: { id: string }
  enable_status_check?: boolean
  status_check_contexts?: string[] | null
}

export function branchCalls(place: Place): Pick<Forge, 'branch' | 'deleteBranch'> {
  const { api } = place
  const pathOf = (name: string) => inRepository(place, at`/branches/${name}`)
  const branch: Forge['branch'] = async (name) => {
    const answer = await api.ask('GET', pathOf(name), { understood: [404] })
    if (answer.status === 404) return null
    const found = answer.body as GiteaBranch
    const required = found.enable_status_check === true ? (found.status_check_contexts ?? []) : null
    return { sha: found.commit.id, requiredStatuses: required }
  }
  return {
    branch,
    async deleteBranch(name) {
      // 1.22 answers 500 for a branch that is not there.
      if ((await branch(name)) === null) return false
      const answer = await api.ask('DELETE', pathOf(name), { understood: [404] })
      return answer.status !== 404
    },
  }
}
