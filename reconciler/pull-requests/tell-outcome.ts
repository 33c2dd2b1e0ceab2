import { commentMessage } from '../gitea/comment.ts'
import { statusMessage } from '../gitea/commit-status.ts'
import type { Forge, PullRequest } from '../gitea/forge.ts'
import { planContext } from '../gitea/protection.ts'
import type { ToldPlan } from '../journal/forge-records.ts'
import { isRollOut, type Operation } from '../journal/operation.ts'
import type { Outlook } from '../look.ts'
import type { Parts } from '../parts.ts'
import { linksFrom } from '../what-to-say.ts'
import { type FirstPlan, firstPlans } from './first-plans.ts'
import type { HeadPlan } from './head-plan.ts'
import { notFollowedComment, outcomeComment, togetherComment } from './outcome-comment.ts'
import { pullOrNull } from './own-pull-request.ts'
import { isAsTold } from './plan-fingerprint.ts'

/** A merge that never was in force by itself, since another one followed at once, is waited for this long. */
const patience = 30 * 60_000

/**
 * What became of plans whose pull request is no longer open: the same comment tells how the merge went, and whether the
 * plan was still true; the merged commit says which plan it was.
 *
 * @param plans what was told last, as far as this process told it
 */
export async function tellOutcomes(
  parts: Parts,
  forge: Forge,
  about: { open: ReadonlySet<number>; outlook: Outlook; plans: ReadonlyMap<number, HeadPlan> },
): Promise<void> {
  const { journal, now } = parts
  for (const told of journal.openPlans()) {
    if (about.open.has(told.number)) continue
    const pull = await pullOrNull(forge, told.number)
    if (pull?.state === 'open') continue
    if (pull === null || pull.mergeCommit === null || pull.base.branch !== parts.settings.branch) {
      journal.rememberPlan({ ...told, ended: true })
      continue
    }
    const merged = { ...told, merged: pull.mergeCommit }
    const first = firstPlans(journal).find((each) => each.commit === pull.mergeCommit)
    if (first === undefined) {
      const ended = now() - pull.updatedAt > patience
      tellWithoutPlan(parts, about.outlook, { told: merged, ended })
      journal.rememberPlan({ ...merged, ended })
      continue
    }
    const ended = tellOne(parts, forge, { told, pull, first, ...about })
    journal.rememberPlan({ ...merged, ended })
  }
}

/** The merged commit never was in force by itself: it is not valid, or another merge followed at once. */
function tellWithoutPlan(
  { journal, now }: Parts,
  { findings, findingsCommit, loaded }: Outlook,
  { told, ended }: { told: ToldPlan; ended: boolean },
): void {
  const { number, merged: commit } = told
  if (commit === null) return
  const hostName = loaded.state.host.name
  const isFollowed = findingsCommit !== commit
  if (isFollowed && !ended) return
  const body = isFollowed
    ? togetherComment({ hostName, commit })
    : notFollowedComment({ hostName, commit, findings })
  journal.post(commentMessage({ number, marker: 'plan', body }), now())
}

type About = {
  told: ToldPlan
  pull: PullRequest
  first: FirstPlan
  outlook: Outlook
  plans: ReadonlyMap<number, HeadPlan>
}

/** True when nothing more is to come. */
function tellOne(parts: Parts, forge: Forge, { told, pull, first, outlook, plans }: About): boolean {
  const { journal, now, settings } = parts
  const { commit } = first
  const { host } = outlook.loaded.state
  const isTrue = isAsTold(told.plan, first.plan)
  const operations = operationsOf(parts, commit)
  const links = linksFrom(settings.publicUrl)
  const body = outcomeComment(plans.get(pull.number) ?? null, {
    hostName: host.name,
    now: operations.at(-1)?.finishedAt ?? told.at,
    timezone: host.timezone,
    commit,
    operations,
    instead: isTrue ? null : first.changes,
    nothing: first.changes.every((each) => each.drift),
    link: (id) => links.operation(id) || null,
  })
  journal.post(commentMessage({ number: pull.number, marker: 'plan', body }), now())
  const description = isTrue
    ? `as planned in #${pull.number}`
    : `not what #${pull.number} planned: the host or an image had moved meanwhile`
  const state = isTrue ? 'success' : 'warning'
  const targetUrl = `${forge.webUrl}/pulls/${pull.number}`
  journal.post(statusMessage(commit, { context: planContext, state, description, targetUrl }), now())
  const isQuiet = outlook.plan.changes.every((change) => change.action === 'none' || change.drift)
  return outlook.commit !== commit || (isQuiet && operations.every((each) => each.result !== 'running'))
}

function operationsOf({ journal }: Parts, commit: string): Operation[] {
  return journal
    .history(200)
    .filter((each) => each.commit === commit && isRollOut(each) && !each.intent.drift)
    .toReversed()
}
