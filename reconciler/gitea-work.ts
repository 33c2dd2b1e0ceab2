import { deliveriesOf } from './deliveries.ts'
import { codeOf } from './errors.ts'
import type { Forge } from './gitea/forge.ts'
import { deliverDue } from './gitea/outbox.ts'
import { inForce } from './in-force.ts'
import type { Loaded } from './load.ts'
import { fingerprintOfError, whatAndNext } from './log.ts'
import { type Memory, newMemory, type Outlook } from './look.ts'
import type { Teller } from './notify/tell.ts'
import type { Parts } from './parts.ts'
import { type Merged, mergeOwn } from './pull-requests/merge-own.ts'
import { bumpMessage } from './pull-requests/propose-bump.ts'
import { settleProposals } from './pull-requests/settle-proposals.ts'
import { type PlanTeller, planTeller } from './pull-requests/tell-plans.ts'
import { connectRegistries } from './version-bumps/registry.ts'
import { dueHints, isSweepDue, type Sweeper, sweepVersions } from './version-bumps/sweep.ts'

/** Gitea is not asked for pull requests more often than this, unless a webhook says that something happened. */
const shortestLook = 15_000
/** Several webhooks of one cause come within this time. */
const settle = 300
const shortestPause = 1_000
/** How often it is looked whether a pass wants something said; one read of SQLite. */
const messagesEvery = 500

export type GiteaWork = {
  /** Something happened to a pull request: look now. */
  pullRequestHint(): void
  /** A registry may have something new. */
  bumpHint(): void
  /** Ends when the signal has fired. */
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

/**
 * Everything between Samovar and Gitea beside Git itself: what waits is delivered, plans are told on pull requests,
 * the bot's own ones are followed and merged, registries are asked for new versions. It goes on beside the passes and
 * never keeps one waiting: Gitea may be what is being rolled out.
 *
 * @param outlook what the last pass saw of the host, or null before the first
 * @param merged is called when the bot merged something: the branch has moved
 */
export function giteaWork(
  parts: Parts & { forge: Forge },
  about: { stopping: AbortSignal; told: GiteaTold; outlook: () => Outlook | null; merged: () => void },
): GiteaWork {
  const { forge } = parts
  const { stopping, told } = about
  const memory: Memory = newMemory()
  const plans: PlanTeller = planTeller(parts, forge)
  const sweeper: Sweeper = { registries: connectRegistries({ now: parts.now }), parts, told: told.teller }
  const deliver = deliveriesOf(parts, forge, memory)
  let wake: () => void = () => undefined
  let lookAt = 0
  parts.journal.releaseMessages()

  const turn = async (): Promise<void> => {
    await send()
    if (parts.now() >= lookAt) {
      lookAt = parts.now() + betweenLooks()
      await look()
    }
    const loaded = await inForce(parts, memory)
    const all = isSweepDue(parts, loaded.state.host)
    if (all || dueHints(parts).length > 0) await sweep(loaded, all)
    await send()
  }

  /** A status that turns green sends no webhook in 1.22, so what waits for one is looked at often. */
  function betweenLooks(): number {
    const poll = about.outlook()?.loaded.state.host.poll ?? 0
    return parts.journal.proposals('open').length > 0 ? shortestLook : Math.max(shortestLook, poll)
  }

  async function sweep(loaded: Loaded, all: boolean): Promise<void> {
    const found = await sweepVersions(sweeper, loaded, { all })
    for (const candidate of found) parts.journal.post(bumpMessage(candidate), parts.now())
    const what = found.map((each) => `${each.service} ${each.to.tag}`).join(', ')
    told.looked(`registries were asked: ${what === '' ? 'nothing newer that may be proposed' : what}`)
  }

  async function send(): Promise<void> {
    const answer = await deliverDue(parts.journal, {
      deliver,
      now: parts.now,
      signal: stopping,
      told: { dropped: (message, why) => told.gaveUp(`${message.kind} of ${message.subject}`, why) },
    })
    if (answer === 'answers') told.teller.well('gitea', 'it answers again; what waited is said')
    if (answer === 'away') {
      const [first] = parts.journal.waitingMessages().filter((each) => each.problem !== '')
      const count = parts.journal.waitingMessages().length
      const waits = count === 1 ? '1 message waits' : `${count} messages wait`
      told.teller.problem('gitea', 'away', `${first?.problem ?? 'it does not answer'}; ${waits}`)
    }
  }

  async function look(): Promise<void> {
    const outlook = about.outlook()
    const open = await forge.openPullRequests(parts.settings.branch)
    told.teller.well('gitea', 'it answers again')
    const loaded = await inForce(parts, memory)
    await settleProposals(forge, parts, { open, policies: loaded.state.services })
    if (outlook !== null) await plans.tell(open, outlook)
    for (const each of await mergeOwn(forge, parts, { open, loaded })) tellMerge(each)
  }

  function tellMerge({ proposal, result }: Merged): void {
    if (result !== 'merged') return
    told.did(`merged #${proposal.number}: ${proposal.service} ${proposal.tag}`)
    about.merged()
  }

  function tellFailed(error: unknown): void {
    if (codeOf(error) === 'forge-unreachable') told.teller.problem('gitea', 'away', whatAndNext(error))
    else told.teller.problem('gitea work', fingerprintOfError(error), whatAndNext(error))
  }

  async function sleepUntilDue(): Promise<void> {
    const woken = new AbortController()
    wake = () => woken.abort()
    const end = () => woken.abort()
    stopping.addEventListener('abort', end, { once: true })
    const messages = setInterval(() => {
      if ((parts.journal.nextMessageAt() ?? Number.POSITIVE_INFINITY) <= parts.now()) end()
    }, messagesEvery)
    try {
      await parts.clock.sleep(Math.max(shortestPause, lookAt - parts.now()), woken.signal)
      if (!stopping.aborted) await parts.clock.sleep(settle, stopping)
    } finally {
      clearInterval(messages)
      wake = () => undefined
      stopping.removeEventListener('abort', end)
    }
  }

  return {
    pullRequestHint() {
      lookAt = 0
      wake()
    },
    bumpHint: () => wake(),
    async run() {
      while (!stopping.aborted) {
        try {
          await turn()
          told.teller.well('gitea work', 'it goes on')
        } catch (error) {
          if (!stopping.aborted) tellFailed(error)
        }
        if (!stopping.aborted) await sleepUntilDue()
      }
    },
  }
}
