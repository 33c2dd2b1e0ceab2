import { isUtf8 } from 'node:buffer'
import { codeOf, sentenceOf } from '../errors.ts'
import type { CommitStatus, Forge, PullRequest } from '../gitea/forge.ts'
import type { Proposal } from '../journal/forge-records.ts'
import type { Loaded } from '../load.ts'
import type { Parts } from '../parts.ts'
import { type Bump, bumpFile } from '../version-bumps/bump.ts'
import { isOutage } from './outage.ts'
import { isSame } from './own-pull-request.ts'
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
  const login = await forge.login()
  for (const proposal of parts.journal.proposals('open')) {
    const pull = about.open.find((each) => each.number === proposal.number && isSame(each, proposal, login))
    const policy = about.loaded.state.services[proposal.service]
    // Without a version it takes back a configuration, which a person decides.
    const isPersons = policy?.update.policy !== 'automatic' || proposal.tag === ''
    if (pull === undefined || isPersons || pull.draft) continue
    const one = await mergeOne(forge, parts, { proposal, pull, file: policy.file })
    merged.push(one)
    // The plans of the others are of a branch that has moved now.
    if (one.result === 'merged') break
  }
  return merged
}

type About = { proposal: Proposal; pull: PullRequest; file: string }

/** One that Gitea refuses, or that cannot be judged, keeps no other from being merged. */
async function mergeOne(
  forge: Forge,
  parts: Pick<Parts, 'journal' | 'settings'>,
  about: About,
): Promise<Merged> {
  const { proposal, pull } = about
  try {
    const why = await inTheWay(forge, parts, about)
    if (why !== null) return { proposal, result: 'waits', why }
    const { mergeStyles } = await forge.repository()
    const result = await forge.merge(pull.number, {
      sha: pull.head.sha,
      style: mergeStyles[0] ?? 'merge',
      title: `${pull.title} (#${pull.number})`,
      deleteBranch: true,
    })
    if (result === 'later') return { proposal, result: 'waits', why: 'Gitea does not merge it yet' }
    if (result === 'moved') return { proposal, result: 'waits', why: 'its head moved meanwhile' }
    parts.journal.saveProposal({ ...proposal, state: 'merged' })
    return { proposal, result: 'merged', why: '' }
  } catch (error) {
    if (isOutage(error)) throw error
    return { proposal, result: 'waits', why: sentenceOf(error) }
  }
}

async function inTheWay(
  forge: Forge,
  { journal, settings }: Pick<Parts, 'journal' | 'settings'>,
  about: About,
): Promise<string | null> {
  const { proposal, pull, file } = about
  const plan = journal.toldPlan(pull.number)
  if (plan === null || plan.head !== pull.head.sha) return 'its plan is not made yet'
  if (plan.state !== 'success') return 'its plan is not good'
  const statuses: CommitStatus[] = await forge.statuses(pull.head.sha)
  const branch = await forge.branch(settings.branch)
  if (!requiredAreGreen(branch?.requiredStatuses ?? null, statuses))
    return `the checks of #${proposal.number} have not all passed`
  const { paths, more } = await forge.changedPaths(pull.number, 2)
  if (more || paths.length !== 1 || paths[0] !== file) return `it changes more than ${file}`
  return (await isOurs(forge, settings.branch, about)) ? null : `${file} is not as Samovar wrote it`
}

async function isOurs(forge: Forge, base: string, { proposal, pull, file }: About): Promise<boolean> {
  const [now, head] = await Promise.all([forge.file(file, base), forge.file(file, pull.head.sha)])
  if (now === null || head === null || !isUtf8(now.bytes)) return false
  const text = now.bytes.toString('utf8')
  const { tag, digest } = proposal
  return bumped(text, { tag, digest: digest === '' ? null : digest })?.equals(head.bytes) === true
}

/** Null for a file that Samovar cannot write by itself any more. */
function bumped(text: string, version: Bump): Buffer | null {
  try {
    return Buffer.from(bumpFile(text, version))
  } catch (error) {
    if (codeOf(error) === 'desired-state-invalid') return null
    throw error
  }
}
