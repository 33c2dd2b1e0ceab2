import { createHash } from 'node:crypto'
import { commentMessage } from '../gitea/comment.ts'
import { statusMessage } from '../gitea/commit-status.ts'
import type { CommitStatus, Forge, PullRequest, StatusState } from '../gitea/forge.ts'
import { planContext } from '../gitea/protection.ts'
import { fingerprintOfError, whatAndNext } from '../log.ts'
import type { Outlook } from '../look.ts'
import type { Teller } from '../notify/tell.ts'
import type { Parts } from '../parts.ts'
import type { HeadPlan } from './head-plan.ts'
import { isOfHost } from './host-files.ts'
import { isOutage } from './outage.ts'
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
export function planTeller(parts: Parts, forge: Forge, teller: Teller): PlanTeller {
  const told = new Map<number, string>()
  const plans = new Map<number, HeadPlan>()
  /** Whose turn was longest ago comes first, so that many pull requests keep none waiting for ever. */
  const turns = new Map<number, number>()
  let turn = 0

  async function tellInTurn(pull: PullRequest, outlook: Outlook, sight: string): Promise<void> {
    turn += 1
    turns.set(pull.number, turn)
    try {
      const answer = await tellOne(parts, forge, { pull, outlook, previous: plans.get(pull.number) })
      if (answer === 'moved') return
      if (answer !== null) plans.set(pull.number, answer)
      told.set(pull.number, `${pull.head.sha} ${sight}`)
      teller.well(`pull request #${pull.number}`, 'it is planned')
    } catch (error) {
      if (isOutage(error)) throw error
      teller.problem(`pull request #${pull.number}`, fingerprintOfError(error), whatAndNext(error))
    }
  }

  return {
    async tell(open, outlook) {
      const sight = sightOf(outlook)
      const isTold = (pull: PullRequest) => told.get(pull.number) === `${pull.head.sha} ${sight}`
      const waiting = open
        .filter((pull) => !isTold(pull))
        .toSorted((a, b) => (turns.get(a.number) ?? 0) - (turns.get(b.number) ?? 0))
      for (const pull of open.filter(isTold)) await insist(parts, forge, pull)
      for (const pull of waiting.slice(0, atOnce)) await tellInTurn(pull, outlook, sight)
      const present = new Set(open.map((each) => each.number))
      await tellOutcomes(parts, forge, { open: present, outlook, plans })
      const known = new Set([...present, ...parts.journal.openPlans().map((each) => each.number)])
      for (const map of [told, turns, plans])
        for (const number of map.keys()) if (!known.has(number)) map.delete(number)
    },
  }
}

/** Whoever may write can set the status that Samovar set, too. A plan that is not good must not look good. */
async function insist(parts: Parts, forge: Forge, { number, head }: PullRequest): Promise<void> {
  const plan = parts.journal.toldPlan(number)
  if (plan === null || plan.head !== head.sha || plan.state === 'success') return
  const there = (await forge.statuses(head.sha)).find((each) => each.context === planContext)
  if (there !== undefined && there.state !== plan.state)
    parts.journal.unsay(`status ${head.sha}`, planContext)
  if (there === undefined || there.state === plan.state) return
  const description = `not good, whatever else was said here: see the comment of Samovar`
  say(parts, forge, { number, sha: head.sha, status: { state: plan.state as StatusState, description } })
}

function say(
  { journal, now }: Parts,
  forge: Forge,
  about: { number: number; sha: string; status: Pick<CommitStatus, 'state' | 'description'> },
): void {
  const targetUrl = `${forge.webUrl}/pulls/${about.number}`
  journal.post(statusMessage(about.sha, { ...about.status, context: planContext, targetUrl }), now())
}

/** What a plan depends on beside the pull request: the commit in force, and what runs. */
function sightOf({ commit, running, plan }: Outlook): string {
  const containers = running.map((each) => `${each.service} ${each.image.digest} ${each.configuration}`)
  // Not why it is held: some reasons count the time.
  const held = plan.changes.map((each) => `${each.service} ${each.action} ${each.held === null}`)
  return createHash('sha256')
    .update(JSON.stringify([commit, containers.sort(), held]))
    .digest('hex')
}

async function tellOne(
  parts: Parts,
  forge: Forge,
  about: { pull: PullRequest; outlook: Outlook; previous: HeadPlan | undefined },
): Promise<HeadPlan | 'moved' | null> {
  const { pull, outlook, previous } = about
  const { journal, now } = parts
  const { number } = pull
  const { sha } = pull.head
  const { paths, more } = await forge.changedPaths(number, mostPaths)
  if (!more && !paths.some(isOfHost(parts, outlook.loaded)) && journal.toldPlan(number) === null) {
    // It may be a required status, which must arrive for every pull request.
    const description = 'it changes nothing of the host'
    say(parts, forge, { number, sha, status: { state: 'success', description } })
    return null
  }
  const plan = await planHead({ parts, outlook, number, head: sha })
  // A push in between: what was planned is another head than the one that would be told so.
  if (plan.head !== sha) return 'moved'
  const status = planStatus(plan)
  const body = planComment(plan, {
    hostName: outlook.loaded.state.host.name,
    now: now(),
    ...(previous === undefined ? {} : { previous }),
  })
  journal.post(commentMessage({ number, marker: 'plan', body }), now())
  say(parts, forge, { number, sha, status })
  journal.rememberPlan({
    number,
    head: sha,
    against: outlook.commit,
    plan: plan.fingerprint,
    state: status.state,
    at: now(),
    merged: null,
    ended: false,
  })
  return plan
}
