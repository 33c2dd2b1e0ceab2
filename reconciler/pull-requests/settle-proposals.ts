import type { ServicePolicy } from '../desired-state.ts'
import type { Forge, PullRequest } from '../gitea/forge.ts'
import type { Proposal } from '../journal/forge-records.ts'
import type { Parts } from '../parts.ts'
import { heldSince } from './held-since.ts'
import { isOutage } from './outage.ts'
import { closeReplaced, isSame, pullOrNull } from './own-pull-request.ts'
import { versionIn } from './version-in-file.ts'

/** Closing one takes less than this, also when Gitea is asked several times. */
const closing = 5 * 60_000

type Known = Pick<Parts, 'journal' | 'now' | 'settings'>

/**
 * What became of Samovar's own pull requests. A bump that a person closed is a no to that version; one that is open
 * again takes the no back; one whose version the branch has already is closed.
 *
 * @param open all open pull requests against the branch
 * @param policies of the commit in force, by service
 */
export async function settleProposals(
  forge: Forge,
  parts: Known,
  about: { open: PullRequest[]; policies: Record<string, ServicePolicy> },
): Promise<void> {
  const { journal, now } = parts
  const login = await forge.login()
  const openNow = (proposal: Proposal): PullRequest | undefined =>
    about.open.find((each) => each.number === proposal.number && isSame(each, proposal, login))
  for (const proposal of journal.proposals('closed')) {
    if (openNow(proposal) === undefined) continue
    journal.saveProposal({ ...proposal, state: 'open' })
    journal.takeRefusalBack(proposal.service, becauseClosed(proposal))
  }
  // Closing it did not get through, or a person opened it again; it is not just being closed beside this.
  for (const proposal of journal.proposals('replaced'))
    if (openNow(proposal) !== undefined && now() - proposal.at > closing)
      journal.saveProposal({ ...proposal, state: 'open' })
  const problems: unknown[] = []
  for (const proposal of journal.proposals('open')) {
    const pull = openNow(proposal)
    const policy = about.policies[proposal.service] ?? null
    try {
      if (pull === undefined) await settleEnded(forge, parts, { proposal, policy })
      else if (await isSettled(forge, parts, { proposal, policy })) await closeReplaced(forge, parts, pull)
    } catch (error) {
      // One that cannot be judged must not keep the others from it.
      if (isOutage(error)) throw error
      problems.push(error)
    }
  }
  if (problems.length > 0) throw problems[0]
}

/** How a refusal is known again whose pull request is opened again. */
const becauseClosed = ({ number }: Proposal): string => `its pull request #${number} was closed`

type About = { proposal: Proposal; policy: ServicePolicy | null }

/** Writes down what became of one that is not open any more; one that is open stays as it is. */
export async function settleEnded(forge: Forge, { journal, now }: Known, about: About): Promise<void> {
  const { proposal, policy } = about
  const pull = await pullOrNull(forge, proposal.number)
  // An administrator may delete one, or Gitea was set up anew: nobody said no to anything.
  if (pull === null || !isSame(pull, proposal, await forge.login())) {
    journal.saveProposal({ ...proposal, state: 'replaced' })
    return
  }
  if (pull.state === 'open') return
  if (pull.merged) {
    journal.saveProposal({ ...proposal, state: 'merged' })
    return
  }
  if (proposal.kind === 'bump' && policy !== null)
    journal.refuseVersion({
      service: proposal.service,
      image: policy.image,
      tag: proposal.tag,
      // A no to a version is one to every build of it; a no to a rebuild is one to that build alone.
      digest: policy.tag === proposal.tag ? proposal.digest : '',
      why: becauseClosed(proposal),
      at: now(),
    })
  journal.saveProposal({ ...proposal, state: 'closed' })
}

/** The branch has it already, or nothing is left to take back there. */
async function isSettled(
  forge: Forge,
  { journal, settings }: Known,
  { proposal, policy }: About,
): Promise<boolean> {
  if (policy === null) return true
  const { kind, tag, digest } = proposal
  const operation = proposal.operation === null ? null : journal.operation(proposal.operation)
  if (operation !== null && heldSince(journal, operation)) return true
  // A configuration is taken back: no version says whether that is so.
  if (tag === '') return false
  const file = await forge.file(policy.file, settings.branch)
  const said = file === null ? null : versionIn(file.bytes.toString('utf8'))
  if (said === null) return false
  const failed = operation?.to ?? null
  if (kind === 'revert' && failed !== null && said.tag !== tag && said.tag !== failed.tag) return true
  // Of the same tag that was pushed anew only the digest says which of the two it is.
  const isByDigest = failed?.tag === tag
  return said.tag === tag && (said.digest === digest || (said.digest === null && !isByDigest))
}
