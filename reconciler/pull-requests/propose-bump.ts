import type { Forge, PullRequest } from '../gitea/forge.ts'
import type { Deliver } from '../gitea/outbox.ts'
import { inForce } from '../in-force.ts'
import type { NewMessage } from '../journal/outbox.ts'
import type { Memory } from '../look.ts'
import type { Parts } from '../parts.ts'
import { bumpFile } from '../version-bumps/bump.ts'
import { type BumpContent, bumpText } from './bump-text.ts'
import { ownPrefix, writeOwnBranch } from './own-branch.ts'
import { openOwnPullRequest, ownOpen } from './own-pull-request.ts'
import { versionIn } from './version-in-file.ts'

/** One service has one slot: a newer version takes the place of one that nobody has heard of yet. */
export function bumpMessage(bump: BumpContent): NewMessage {
  const { service, file, image, from, to, step, created, notes } = bump
  const content: BumpContent = { service, file, image, from, to, step, created, notes }
  return { kind: 'bump', subject: `bump ${service}`, slot: 'version', content }
}

export const bumpBranch = (service: string): string => `${ownPrefix}bump-${service}`

/**
 * The pull request of a newer version: opened, or brought up to date when one of the service is open. When the branch
 * cannot take it any more (its base was changed in the same lines), it is closed and another one is opened.
 */
export const deliverBump =
  (forge: Forge, parts: Parts, memory: Memory): Deliver =>
  async (content) => {
    const bump = content as BumpContent
    const { journal, settings, now } = parts
    const loaded = await inForce(parts, memory)
    const policy = loaded.state.services[bump.service]
    const base = settings.branch
    const file = await forge.file(bump.file, base)
    if (policy === undefined || file === null || isRefused(parts, bump)) return
    const said = versionIn(file.bytes.toString('utf8'))
    // Somebody wrote another version by hand meanwhile: the next sweep looks from there.
    if (said === null || said.tag !== bump.from.tag || said.digest !== bump.from.digest) return
    const branch = bumpBranch(bump.service)
    const login = await forge.login()
    const found = ownOpen(await forge.openPullRequests(base), { login, branch })
    const pull = found === null ? null : await stillFits(forge, parts, found)
    const text = bumpText(bump, { policy, hostName: loaded.state.host.name })
    const changes = [
      {
        path: bump.file,
        sha: file.sha,
        bytes: Buffer.from(bumpFile(file.bytes.toString('utf8'), bump.to)),
      },
    ]
    const message = `${text.title}\n`
    const head = await writeOwnBranch(forge, { branch, base, message, changes, pull })
    const isAutomatic = policy.update.policy === 'automatic'
    const opened = await openOwnPullRequest(forge, {
      head: branch,
      base,
      ...text,
      pull,
      labels: ['samovar', 'samovar/bump', ...(isAutomatic ? ['samovar/automatic'] : [])],
      reviewers: isAutomatic ? [] : (policy.update.reviewers ?? loaded.state.host.bumps.reviewers),
    })
    journal.saveProposal({
      number: opened.number,
      kind: 'bump',
      service: bump.service,
      tag: bump.to.tag,
      digest: bump.to.digest,
      operation: null,
      branch,
      head,
      state: 'open',
      at: now(),
    })
  }

/** It may have been reverted, or closed by a person, since it was found. */
const isRefused = ({ journal }: Parts, { service, to }: BumpContent): boolean =>
  journal
    .refusedVersions(service)
    .some((each) => each.tag === to.tag && (each.digest === '' || each.digest === to.digest))

/** Null when it was closed, since what it proposes conflicts with its base. */
async function stillFits(forge: Forge, parts: Parts, pull: PullRequest): Promise<PullRequest | null> {
  if (pull.mergeable) return pull
  const known = parts.journal.proposal(pull.number)
  const isNew = known === null || parts.now() - known.at < 60_000
  // Just after a push Gitea is still looking, and says so in the same words.
  if (isNew || pull.base.sha === '') return pull
  await closeReplaced(forge, parts, pull)
  return null
}

/** Closed by Samovar itself, which refuses nothing: written down first, so that it is not taken for a person's no. */
export async function closeReplaced(
  forge: Forge,
  { journal }: Pick<Parts, 'journal'>,
  pull: PullRequest,
): Promise<void> {
  const known = journal.proposal(pull.number)
  if (known !== null) journal.saveProposal({ ...known, state: 'replaced' })
  await forge.editPullRequest(pull.number, { state: 'closed' })
  await forge.deleteBranch(pull.head.branch)
}
