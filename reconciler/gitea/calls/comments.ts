import { at } from '../api.ts'
import type { Comment, Forge } from '../forge.ts'
import { inRepository, type Place } from './place.ts'

type GiteaComment = { id: number; body: string; user: { login: string } | null }

/** Pull requests are issues to Gitea here: these calls need a token with `write:issue`. */
export function commentCalls(place: Place): Pick<Forge, 'comments' | 'comment' | 'editComment'> {
  const { api } = place
  const ofIssue = (number: number) => inRepository(place, at`/issues/${number}/comments`)
  return {
    async comments(number) {
      // Not paged: all of them at once.
      const answer = await api.ask('GET', ofIssue(number), { understood: [500] })
      if (answer.status === 500) {
        // So it answers for one that is gone, which would be tried again forever. This says 404 then.
        await api.ask('GET', inRepository(place, at`/issues/${number}`))
        throw api.refusal(answer, 'GET', ofIssue(number))
      }
      const found = answer.body as GiteaComment[] | null
      return (found ?? []).map(commentOf).sort((one, other) => one.id - other.id)
    },
    async comment(number, body) {
      return commentOf((await api.ask('POST', ofIssue(number), { body: { body } })).body as GiteaComment)
    },
    async editComment(id, body) {
      await api.ask('PATCH', inRepository(place, at`/issues/comments/${id}`), { body: { body } })
    },
  }
}

function commentOf(found: GiteaComment): Comment {
  return { id: found.id, author: found.user?.login ?? '', body: found.body }
}
