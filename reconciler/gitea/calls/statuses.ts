import { at } from '../api.ts'
import type { CommitStatus, Forge, StatusState } from '../forge.ts'
import { ForgeRefusal } from '../refusal.ts'
import { inRepository, type Place } from './place.ts'

/** `state` goes in, `status` comes out. */
type GiteaStatus = {
  id: number
  context: string
  status: StatusState
  description: string
  target_url: string
}

export function statusCalls(place: Place): Pick<Forge, 'statuses' | 'postStatus'> {
  const { api } = place
  const isKnown = async (sha: string): Promise<boolean> => {
    const path = inRepository(place, at`/git/commits/${sha}`)
    const query = { stat: 'false', verification: 'false', files: 'false' }
    return (await api.ask('GET', path, { query, understood: [404] })).status === 200
  }
  return {
    async statuses(sha) {
      // Each page of the combined status has another state, computed over that page only: just its rows are of use.
      const path = inRepository(place, at`/commits/${sha}/status`)
      const rows = (body: unknown) => (body as { statuses: GiteaStatus[] | null } | null)?.statuses
      const latest = new Map<string, GiteaStatus>()
      for await (const each of api.items<GiteaStatus>(path, { itemsOf: rows, understood: [404] }))
        if (each.id > (latest.get(each.context)?.id ?? 0)) latest.set(each.context, each)
      return [...latest.values()].map(statusOf)
    },
    async postStatus(sha, status) {
      const { context, state, description, targetUrl } = status
      const answer = await api.ask('POST', inRepository(place, at`/statuses/${sha}`), {
        body: { context, state, description, target_url: targetUrl },
        understood: [500],
      })
      if (answer.status !== 500) return
      // So it answers for a commit that it does not know, which would be tried again forever.
      throw (await isKnown(sha)) ? api.refusal(answer, 'POST', at`/statuses/${sha}`) : unknownCommit(sha)
    },
  }
}

function statusOf(found: GiteaStatus): CommitStatus {
  return {
    context: found.context,
    state: found.status,
    description: found.description,
    targetUrl: found.target_url,
  }
}

function unknownCommit(sha: string): ForgeRefusal {
  return new ForgeRefusal(404, `Gitea refused a status of ${sha}: the repository there has no such commit`)
}
