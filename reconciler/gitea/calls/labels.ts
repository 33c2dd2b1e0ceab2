import { at } from '../api.ts'
import type { Forge, Label } from '../forge.ts'
import { inRepository, type Place } from './place.ts'

export type GiteaLabel = { id: number; name: string; color: string; description: string }

export function labelCalls(place: Place): Pick<Forge, 'labels' | 'createLabel' | 'addLabels'> {
  const { api } = place
  const path = inRepository(place, '/labels')
  return {
    async labels() {
      const found: Label[] = []
      for await (const each of api.items<GiteaLabel>(path)) found.push(labelOf(each))
      return found
    },
    async createLabel({ name, color, description }) {
      const answer = await api.ask('POST', path, { body: { name, color, description } })
      return labelOf(answer.body as GiteaLabel)
    },
    async addLabels(number, ids) {
      const how = { body: { labels: ids }, repeatable: true }
      await api.ask('POST', inRepository(place, at`/issues/${number}/labels`), how)
    },
  }
}

/** Gitea takes a colour with `#` and gives it back without. */
export function labelOf(found: GiteaLabel): Label {
  return {
    id: found.id,
    name: found.name,
    color: `#${found.color.replace(/^#/, '')}`,
    description: found.description,
  }
}
