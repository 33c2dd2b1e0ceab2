import { at } from '../api.ts'
import type { Forge, MergeWanted } from '../forge.ts'
import { inRepository, type Place } from './place.ts'
import { type GiteaPullRequest, pullRequestOf } from './pull-requests.ts'

/** What becomes of a pull request. Gitea's own "merge when checks succeed" is not used: see the end of this file. */
export function mergeCalls(place: Place): Pick<Forge, 'merge' | 'requestReviewers'> {
  const { api } = place
  const pull = (number: number, rest = '') => inRepository(place, at`/pulls/${number}`) + rest
  return {
    async merge(number, wanted) {
      // Done twice, the second one is refused: what is merged by then is seen below.
      const how = { body: mergeBody(wanted), understood: [405, 409], repeatable: true }
      const answer = await api.ask('POST', pull(number, '/merge'), how)
      if (answer.status < 300) return 'merged'
      const now = pullRequestOf(place, (await api.ask('GET', pull(number))).body as GiteaPullRequest)
      if (now.head.sha !== wanted.sha) return 'moved'
      return now.merged ? 'merged' : 'later'
    },
    /** One by one, since Gitea refuses all of them because of one. Asking somebody again does no harm. */
    async requestReviewers(number, logins) {
      const asked: string[] = []
      for (const login of logins) {
        const how = { body: { reviewers: [login] }, understood: [404, 422], repeatable: true }
        const answer = await api.ask('POST', pull(number, '/requested_reviewers'), how)
        if (answer.status < 300) asked.push(login)
      }
      return asked
    },
  }
}

/** 1.22 knows the capital names only, newer ones know both. */
function mergeBody(wanted: MergeWanted): object {
  return {
    Do: wanted.style,
    head_commit_id: wanted.sha,
    MergeTitleField: wanted.title,
    MergeMessageField: '',
    delete_branch_after_merge: wanted.deleteBranch,
  }
}

// `merge_when_checks_succeed` only starts at the next status in 1.22, and has merged a head whose checks had failed
// (go-gitea/gitea#39214).
