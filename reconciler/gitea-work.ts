import { codeOf } from './errors.ts'
import type { Forge } from './gitea/forge.ts'
import { deliverDue } from './gitea/outbox.ts'
import { inForce } from './in-force.ts'
import { fingerprintOfError, whatAndNext } from './log.ts'
import { type Memory, newMemory, type Outlook } from './look.ts'
import type { Teller } from './notify/tell.ts'
import type { Parts } from './parts.ts'
import { type Merged, mergeOwn } from './pull-requests/merge-own.ts'
import { isOutage } from './pull-requests/outage.ts'
import { bumpMessage } from './pull-requests/propose-bump.ts'
import { settleProposals } from './pull-requests/settle-proposals.ts'
import { type PlanTeller, planTeller } from './pull-requests/tell-plans.ts'
import { deliveriesOf } from './say-to-gitea.ts'
import { connectRegistries } from './version-bumps/registry.ts'
import { dueHints, isSweepDue, type Sweeper, sweepVersions } from './version-bumps/sweep.ts'

/** Gitea is not asked for pull requests more often than this, unless a webhook says that something happened. */
const shortestLook = 15_000
/** A pull request of the bot whose checks take longer than this is looked at with the others. */
const soonGreen = 60 * 60_000
/** Several webhooks of one cause come within this time. */
const settle = 300
/** How often it is looked whether something is to be said or done; a few reads of SQLite. */
const lookEvery = 500

export type GiteaWork = {
  /** Something happened to a pull request: look now. */
  pullRequestHint(): void
  /** Ends when the signal has fired. Never throws. */
  run(): Promise<void>
}

export type GiteaTold = {
  teller: Teller
  /** For the log: what the bot did by itself. */
  did(what: string): void
  /** For those who look closely. */
  looked(what: string): void
  gaveUp(what: string, why: string): void
}

type About = { stopping: AbortSignal; told: GiteaTold; outlook: () => Outlook | null; merged: () => void }

/**
 * Everything between Samovar and Gitea beside Git itself: what waits is delivered, plans are told on pull requests,
 * the bot's own ones are followed and merged, registries are asked for new versions. It goes on beside the passes and
 * never keeps one waiting: Gitea may be what is being rolled out. Delivering, looking and sweeping go on beside each
 * other too, so that a slow plan or registry keeps no status waiting.
 *
 * @param about.outlook what the last pass saw of the host, or null before the first
 * @param about.merged is called when the bot merged something: the branch has moved
 */
export function giteaWork(parts: Parts & { forge: Forge }, about: About): GiteaWork {
  const { journal } = parts
  let isHinted = false
  journal.releaseMessages()
  // What stands in Gitea may have been changed, or gone back with its data, since the last process looked.
  journal.forgetSaid(0)
  const look = looking(parts, about)
  const sweep = sweeping(parts, about)
  return {
    pullRequestHint() {
      isHinted = true
    },
    async run() {
      await Promise.all([
        again(parts, about, {
          isDue: () => (journal.nextMessageAt() ?? Number.POSITIVE_INFINITY) <= parts.now(),
          act: delivering(parts, about),
        }),
        again(parts, about, {
          isDue: () => isHinted || look.isDue(),
          async act() {
            isHinted = false
            await look.act()
          },
        }),
        again(parts, about, sweep),
      ])
    },
  }
}

type Duty = { isDue: () => boolean | Promise<boolean>; act: () => Promise<void> }

/** Does it whenever it is due, to the end; what goes wrong is told, and tried again when it is due again. */
async function again({ clock }: Parts, { stopping, told }: About, duty: Duty): Promise<void> {
  while (!stopping.aborted) {
    try {
      if (await duty.isDue()) {
        await clock.sleep(settle, stopping)
        await duty.act()
      }
    } catch (error) {
      if (!stopping.aborted) tellFailed(told, error)
    }
    await clock.sleep(lookEvery, stopping)
  }
}

/** Nobody is left to tell when this fails too: a journal that cannot be written ends the passes as well. */
function tellFailed({ teller }: GiteaTold, error: unknown): void {
  try {
    if (codeOf(error) === 'forge-unreachable') teller.problem('gitea', 'away', whatAndNext(error))
    else teller.problem('gitea work', fingerprintOfError(error), whatAndNext(error))
  } catch {
    // The next round tells it.
  }
}

function delivering(parts: Parts & { forge: Forge }, { stopping, told }: About): () => Promise<void> {
  const { journal, now } = parts
  const deliver = deliveriesOf(parts, parts.forge, newMemory())
  return async () => {
    const answer = await deliverDue(journal, {
      deliver,
      now,
      signal: stopping,
      told: { dropped: (message, why) => told.gaveUp(`${message.kind} of ${message.subject}`, why) },
    })
    if (answer === 'answers') told.teller.well('gitea', 'it answers again; what waited is said')
    if (answer !== 'away' || stopping.aborted) return
    const waiting = journal.waitingMessages()
    const waits = waiting.length === 1 ? '1 message waits' : `${waiting.length} messages wait`
    const why = waiting.find((each) => each.problem !== '')?.problem ?? 'it does not answer'
    told.teller.problem('gitea', 'away', `${waits}: ${why}`)
  }
}

function looking(parts: Parts & { forge: Forge }, about: About): Duty {
  const { forge, journal, now } = parts
  const { told } = about
  const memory: Memory = newMemory()
  const plans: PlanTeller = planTeller(parts, forge, told.teller)
  let lookAt = 0
  /** Why each is not merged yet, as it was told. */
  const waits = new Map<number, string>()
  const tellMerge = ({ proposal, result, why }: Merged): void => {
    const which = `#${proposal.number}: ${proposal.service} ${proposal.tag}`
    if (result === 'merged') {
      told.did(`merged ${which}`)
      about.merged()
    } else if (waits.get(proposal.number) !== why) told.did(`${which} is not merged yet: ${why}`)
    waits.set(proposal.number, why)
  }
  return {
    isDue: () => now() >= lookAt,
    async act() {
      const outlook = about.outlook()
      lookAt = now() + shortestLook
      const open = await forge.openPullRequests(parts.settings.branch)
      told.teller.well('gitea', 'it answers again')
      const loaded = await inForce(parts, memory)
      await settleProposals(forge, parts, { open, policies: loaded.state.services }).catch(
        (error: unknown) => {
          if (isOutage(error)) throw error
          tellFailed(told, error)
        },
      )
      if (outlook !== null) await plans.tell(open, outlook)
      const merges = await mergeOwn(forge, parts, { open, loaded })
      for (const each of merges) tellMerge(each)
      const present = new Set(merges.map((each) => each.proposal.number))
      for (const number of waits.keys()) if (!present.has(number)) waits.delete(number)
      // In 1.22 a status that turns green sends no webhook.
      const isSoon = merges.some(
        ({ result, proposal }) => result === 'waits' && now() - proposal.at < soonGreen,
      )
      if (!isSoon) lookAt = now() + Math.max(shortestLook, loaded.state.host.poll)
      told.teller.well('gitea work', 'it goes on')
      journal.forgetProposals(mostProposals)
      journal.forgetSeen(mostSeen)
    },
  }
}

/** Pull requests that ended long ago are of no use to anybody here. */
const mostProposals = 1_000
const mostSeen = 10_000

function sweeping(parts: Parts, { told }: About): Duty {
  const memory: Memory = newMemory()
  const sweeper: Sweeper = { registries: connectRegistries({ now: parts.now }), parts, told: told.teller }
  /** The schedule is looked at now and then; a host that cannot be read is not read twice a second for a hint either. */
  let readAt = 0
  let failedUntil = 0
  let all = false
  return {
    async isDue() {
      const isHinted = dueHints(parts).length > 0
      if (parts.now() < (isHinted ? failedUntil : readAt)) return false
      readAt = parts.now() + shortestLook
      failedUntil = readAt
      all = isSweepDue(parts, (await inForce(parts, memory)).state.host)
      failedUntil = 0
      return all || isHinted
    },
    async act() {
      const found = await sweepVersions(sweeper, await inForce(parts, memory), { all })
      for (const candidate of found) parts.journal.post(bumpMessage(candidate, parts.now()), parts.now())
      const what = found.map((each) => `${each.service} ${each.to.tag}`).join(', ')
      told.looked(`registries were asked: ${what === '' ? 'nothing newer that may be proposed' : what}`)
    },
  }
}
