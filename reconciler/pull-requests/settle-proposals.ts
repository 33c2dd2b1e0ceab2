import type { ServicePolicy } from '../desired-state.ts'
import type { Forge, PullRequest } from '../gitea/forge.ts'
import type { Proposal } from '../journal/forge-records.ts'
import type { Parts } from '../parts.ts'
import { closeReplaced } from './propose-bump.ts'
import { versionIn } from './version-in-file.ts'

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
  const { journal } = parts
  const open = new Map(about.open.map((each) => [each.number, each]))
  for (const proposal of journal.proposals('closed')) {
    if (!open.has(proposal.number)) continue
    journal.saveProposal({ ...proposal, state: 'open' })
    if (proposal.kind === 'bump') journal.allowVersions(proposal.service, proposal.tag)
  }
  for (const proposal of journal.proposals('open')) {
    const pull = open.get(proposal.number)
    const policy = about.policies[proposal.service] ?? null
    if (pull === undefined) await settleOne(forge, parts, { proposal, policy })
    else if (await isAlreadySo(forge, parts, { proposal, policy })) await closeReplaced(forge, parts, pull)
  }
}

type About = { proposal: Proposal; policy: ServicePolicy | null }

async function settleOne(forge: Forge, { journal, now }: Known, about: About): Promise<void> {
  const { proposal, policy } = about
  const pull = await forge.pullRequest(proposal.number)
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
      why: `its pull request #${proposal.number} was closed`,
      at: now(),
    })
  journal.saveProposal({ ...proposal, state: 'closed' })
}

async function isAlreadySo(forge: Forge, { settings }: Known, { proposal, policy }: About): Promise<boolean> {
  if (policy === null) return true
  const file = await forge.file(policy.file, settings.branch)
  const said = file === null ? null : versionIn(file.bytes.toString('utf8'))
  const { tag, digest } = proposal
  return said !== null && said.tag === tag && (said.digest === null || said.digest === digest)
}
