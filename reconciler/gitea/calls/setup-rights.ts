import { type Api, at } from '../api.ts'
import type { BranchProtection, Setup } from '../setup-calls.ts'
import { inRepository } from './place.ts'

type GiteaProtection = {
  rule_name: string
  enable_push: boolean
  enable_status_check: boolean
  status_check_contexts: string[] | null
  required_approvals: number
  block_on_rejected_reviews: boolean
  dismiss_stale_approvals: boolean
  protected_file_patterns: string
}

export function collaboratorCalls(api: Api): Pick<Setup, 'permission' | 'putCollaborator'> {
  return {
    async permission(repository, login) {
      const path = inRepository(repository, at`/collaborators/${login}/permission`)
      const answer = await api.ask('GET', path, { understood: [404] })
      if (answer.status === 404) return 'none'
      return (answer.body as { permission: Awaited<ReturnType<Setup['permission']>> }).permission
    },
    async putCollaborator(repository, login, permission) {
      const path = inRepository(repository, at`/collaborators/${login}`)
      await api.ask('PUT', path, { body: { permission } })
    },
  }
}

/** A rule is a glob that may have slashes; other than with branches, Gitea wants those encoded. */
export function protectionCalls(api: Api): Pick<Setup, 'protection' | 'createProtection' | 'editProtection'> {
  const protection: Setup['protection'] = async (repository, rule) => {
    const path = inRepository(repository, '/branch_protections/' + encodeURIComponent(rule))
    const answer = await api.ask('GET', path, { understood: [404] })
    return answer.status === 404 ? null : protectionOf(answer.body as GiteaProtection)
  }
  return {
    protection,
    async createProtection(repository, wanted) {
      const path = inRepository(repository, '/branch_protections')
      const body = { rule_name: wanted.rule, ...protectionBody(wanted) }
      const answer = await api.ask('POST', path, { body, understood: [403] })
      if (answer.status !== 403) return 'created'
      // 403 is also an account without the right.
      if ((await protection(repository, wanted.rule)) === null) throw api.refusal(answer, 'POST', path)
      return 'exists'
    },
    async editProtection(repository, rule, change) {
      const path = inRepository(repository, '/branch_protections/' + encodeURIComponent(rule))
      await api.ask('PATCH', path, { body: protectionBody(change) })
    },
  }
}

function protectionOf(found: GiteaProtection): BranchProtection {
  return {
    rule: found.rule_name,
    directPush: found.enable_push,
    requiredStatuses: found.enable_status_check ? (found.status_check_contexts ?? []) : [],
    requiredApprovals: found.required_approvals,
    blockOnRejectedReviews: found.block_on_rejected_reviews,
    dismissStaleApprovals: found.dismiss_stale_approvals,
    protectedPaths: found.protected_file_patterns.split(';').filter((each) => each !== ''),
  }
}

/** Gitea keeps what is undefined, which JSON leaves out. */
function protectionBody(wanted: Partial<Omit<BranchProtection, 'rule'>>): object {
  const statuses = wanted.requiredStatuses
  return {
    enable_push: wanted.directPush,
    enable_status_check: statuses === undefined ? undefined : statuses.length > 0,
    status_check_contexts: statuses,
    required_approvals: wanted.requiredApprovals,
    block_on_rejected_reviews: wanted.blockOnRejectedReviews,
    dismiss_stale_approvals: wanted.dismissStaleApprovals,
    protected_file_patterns: wanted.protectedPaths?.join(';'),
  }
}
