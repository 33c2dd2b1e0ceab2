import { createHash } from 'node:crypto'
import { commentMessage } from '../gitea/comment.ts'
import { statusMessage } from '../gitea/commit-status.ts'
import type { CommitStatus, Forge, PullRequest } from '../gitea/forge.ts'
import { planContext } from '../gitea/protection.ts'
import type { Outlook } from '../look.ts'
import type { Parts } from '../parts.ts'
import type { HeadPlan } from './head-plan.ts'
import { isOfHost } from './host-files.ts'
import { planComment, planStatus } from './plan-comment.ts'
import { planHead } from './plan-head.ts'
import { tellOutcomes } from './tell-outcome.ts'

/** Plans are made one after the other, the longest waiting first; what does not fit waits for the next look. */
const atOnce = 20
/** A pull request that changes more files is taken to change the host. */
const mostPaths = 300

export type PlanTeller = {
  /** Tells what each open pull request would do, as far as that is not told yet. */
  tell(open: PullRequest[], outlook: Outlook): Promise<void>
}

/**
 * Plans of open pull requests, made against the real host and told in one comment and one status each. Made again when
 * the pull request, the commit in force or the host moves: a plan that is no longer true is replaced.
 */
export function planTeller(parts: Parts, forge: Forge): PlanTeller {
  const told = new Map<number, string>()
  const plans = new Map<number, HeadPlan>()
  return {
    async tell(open, outlook) {
      const sight = sightOf(outlook)
      const waiting = open
        .filter((pull) => told.get(pull.number) !== `${pull.head.sha} ${sight}`)
        .toSorted((a, b) => a.updatedAt - b.updatedAt)
      for (const pull of waiting.slice(0, atOnce)) {
        const plan = await tellOne(parts, forge, { pull, outlook, previous: plans.get(pull.number) })
        if (plan !== null) plans.set(pull.number, plan)
        told.set(pull.number, `${pull.head.sha} ${sight}`)
      }
      const present = new Set(open.map((each) => each.number))
      await tellOutcomes(parts, forge, { open: present, outlook, plans })
      const known = new Set([...present, ...parts.journal.openPlans().map((each) => each.number)])
      for (const number of told.keys()) if (!present.has(number)) told.delete(number)
      for (const number of plans.keys()) if (!known.has(number)) plans.delete(number)
    },
  }
}

/** What a plan depends on beside the pull request: the commit in force, and what runs. */
function sightOf({ commit, running, plan }: Outlook): string {
  const containers = running.map((each) => `${each.service} ${each.image.digest} ${each.configuration}`)
  const held = plan.changes.map((each) => `${each.service} ${each.action} ${each.held ?? ''}`)
  return createHash('sha256')
    .update(JSON.stringify([commit, containers.sort(), held]))
    .digest('hex')
}

async function tellOne(
  parts: Parts,
  forge: Forge,
  about: { pull: PullRequest; outlook: Outlook; previous: HeadPlan | undefined },
): Promise<HeadPlan | null> {
  const { pull, outlook, previous } = about
  const { journal, now } = parts
  const { number, head } = pull
  const say = (status: Pick<CommitStatus, 'state' | 'description'>) =>
    journal.post(
      statusMessage(head.sha, {
        ...status,
        context: planContext,
        targetUrl: `${forge.webUrl}/pulls/${number}`,
      }),
      now(),
    )
  const before = journal.toldPlan(number)
  const { paths, more } = await forge.changedPaths(number, mostPaths)
  if (!more && !paths.some(isOfHost(parts, outlook.loaded)) && before === null) {
    // It may be a required status, which must arrive for every pull request.
    say({ state: 'success', description: 'it changes nothing of the host' })
    return null
  }
  const plan = await planHead({ parts, outlook, number, head: head.sha })
  const status = planStatus(plan)
  const body = planComment(plan, {
    hostName: outlook.loaded.state.host.name,
    now: now(),
    ...(previous === undefined ? {} : { previous }),
  })
  journal.post(commentMessage({ number, marker: 'plan', body }), now())
  say(status)
  journal.rememberPlan({
    number,
    head: head.sha,
    against: outlook.commit,
    plan: plan.fingerprint,
    state: status.state,
    at: now(),
    merged: null,
    ended: false,
  })
  return plan
}
