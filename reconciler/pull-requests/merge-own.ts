import type { CommitStatus, Forge, PullRequest } from '../gitea/forge.ts'
import type { Proposal } from '../journal/forge-records.ts'
import type { Loaded } from '../load.ts'
import type { Parts } from '../parts.ts'
import { bumpFile } from '../version-bumps/bump.ts'
import { requiredAreGreen } from './required-statuses.ts'

export type Merged = { proposal: Proposal; result: 'merged' | 'waits'; why: string }

/**
 * Merges Samovar's own pull requests of services whose policy is automatic, when all required statuses are green. What
 * is merged is exactly what Samovar would write itself: one file, two values; whatever else somebody pushed to the
 * branch waits for a person. Gitea's own auto-merge is not used: some versions merge a head that was not looked at.
 */
export async function mergeOwn(
  forge: Forge,
  parts: Pick<Parts, 'journal' | 'settings'>,
  about: { open: PullRequest[]; loaded: Loaded },
): Promise<Merged[]> {
  const merged: Merged[] = []
  for (const proposal of parts.journal.proposals('open')) {
    const pull = about.open.find((each) => each.number === proposal.number)
    const policy = about.loaded.state.services[proposal.service]
    if (pull === undefined || policy?.update.policy !== 'automatic' || pull.draft || pull.head.fork) continue
    const why = await inTheWay(forge, parts, { proposal, pull, file: policy.file })
    if (why !== null) {
      merged.push({ proposal, result: 'waits', why })
      continue
    }
    const { mergeStyles } = await forge.repository()
    const result = await forge.merge(pull.number, {
      sha: pull.head.sha,
      style: mergeStyles[0] ?? 'merge',
      title: `${pull.title} (#${pull.number})`,
      deleteBranch: true,
    })
    if (result === 'merged') parts.journal.saveProposal({ ...proposal, state: 'merged' })
    const waits = result === 'later' ? 'Gitea does not merge it yet' : 'its head moved meanwhile'
    merged.push({
      proposal,
      result: result === 'merged' ? 'merged' : 'waits',
      why: result === 'merged' ? '' : waits,
    })
  }
  return merged
}

async function inTheWay(
  forge: Forge,
  { journal, settings }: Pick<Parts, 'journal' | 'settings'>,
  about: { proposal: Proposal; pull: PullRequest; file: string },
): Promise<string | null> {
  const { proposal, pull, file } = about
  const plan = journal.toldPlan(pull.number)
  if (plan === null || plan.head !== pull.head.sha) return 'its plan is not made yet'
  if (plan.state !== 'success') return 'its plan is not good'
  const { paths, more } = await forge.changedPaths(pull.number, 2)
  if (more || paths.length !== 1 || paths[0] !== file) return `it changes more than ${file}`
  if (!(await isOurs(forge, settings.branch, about))) return `${file} is not as Samovar wrote it`
  const statuses: CommitStatus[] = await forge.statuses(pull.head.sha)
  const branch = await forge.branch(settings.branch)
  return requiredAreGreen(branch?.requiredStatuses ?? null, statuses) ? null : notGreen(proposal)
}

const notGreen = ({ number }: Proposal): string => `the checks of #${number} have not all passed`

async function isOurs(
  forge: Forge,
  base: string,
  { proposal, pull, file }: { proposal: Proposal; pull: PullRequest; file: string },
): Promise<boolean> {
  const [now, head] = await Promise.all([forge.file(file, base), forge.file(file, pull.head.sha)])
  if (now === null || head === null) return false
  const text = now.bytes.toString('utf8')
  const { tag, digest } = proposal
  // A revert leaves out the digest where the file had none.
  return [digest, null].some((each) => Buffer.from(bumpFile(text, { tag, digest: each })).equals(head.bytes))
}
