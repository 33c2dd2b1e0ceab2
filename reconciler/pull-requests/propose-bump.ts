import { isUtf8 } from 'node:buffer'
import type { ServicePolicy } from '../desired-state.ts'
import { SamovarError } from '../errors.ts'
import type { Forge, PullRequest } from '../gitea/forge.ts'
import type { Deliver } from '../gitea/outbox.ts'
import { inForce } from '../in-force.ts'
import type { NewMessage } from '../journal/outbox.ts'
import type { Memory } from '../look.ts'
import type { Parts } from '../parts.ts'
import { bumpFile } from '../version-bumps/bump.ts'
import { type BumpContent, bumpText } from './bump-text.ts'
import { type FileChange, ownPrefix, writeOwnBranch } from './own-branch.ts'
import { closeReplaced, openOwnPullRequest, ownOpen } from './own-pull-request.ts'
import { settleEnded } from './settle-proposals.ts'
import { versionIn } from './version-in-file.ts'

/**
 * One service has one slot: a newer version takes the place of one that nobody has heard of yet.
 *
 * @param found milliseconds since 1970. It makes a message of each time that a version was found, or the outbox would
 * hold it for said already: its pull request may have been closed and wanted again since, or conflict by now
 */
export function bumpMessage(bump: Omit<BumpContent, 'found'>, found: number): NewMessage {
  const { service, file, image, from, to, step, created, notes } = bump
  const content: BumpContent = { service, file, image, from, to, step, created, notes, found }
  return { kind: 'bump', subject: `bump ${service}`, slot: 'version', content }
}

export const bumpBranch = (service: string): string => `${ownPrefix}bump-${service}`

/**
 * The pull request of a newer version: opened, or brought up to date when one of the service is open. When the branch
 * cannot take it any more (its base was changed in the same lines), it is closed and another one is opened.
 */
export const deliverBump =
  (forge: Forge, parts: Parts, memory: Memory): Deliver =>
  async (content, signal) => {
    const bump = content as BumpContent
    const { journal, settings, now } = parts
    const loaded = await inForce(parts, memory)
    const policy = loaded.state.services[bump.service]
    const base = settings.branch
    if (policy === undefined || isRefused(parts, bump)) return
    const change = await fileWith(forge, bump, { base, policy })
    if (change === null) return
    const pull = await pullOf(forge, parts, { service: bump.service, policy, signal })
    if (isRefused(parts, bump)) return
    const branch = bumpBranch(bump.service)
    const keepsDataOf = ownersIn(loaded.state.services, bump.service)
    const text = bumpText(bump, { policy, hostName: loaded.state.host.name, keepsDataOf })
    const message = `${text.title}\n`
    const head = await writeOwnBranch(forge, { branch, base, message, changes: [change], pull })
    const known = pull === null ? null : journal.proposal(pull.number)
    // What was told once is not told again: somebody may have written something into it since.
    const isTold = pull !== null && known?.state === 'open' && isSame(known, bump.to)
    if (isTold && known.head === head) return
    const reviewers = known === null ? (policy.update.reviewers ?? loaded.state.host.bumps.reviewers) : []
    const wanted = { head: branch, base, ...text, pull, policy, reviewers }
    const { number } = isTold ? pull : await openBump(forge, wanted)
    const { service, to } = bump
    const version = { service, tag: to.tag, digest: to.digest, operation: null }
    journal.saveProposal({ number, kind: 'bump', ...version, branch, head, state: 'open', at: now() })
  }

function openBump(
  forge: Forge,
  wanted: Omit<Parameters<typeof openOwnPullRequest>[1], 'labels'> & { policy: ServicePolicy },
): Promise<PullRequest> {
  const { policy, ...rest } = wanted
  const isAutomatic = policy.update.policy === 'automatic'
  return openOwnPullRequest(forge, {
    ...rest,
    labels: ['samovar', 'samovar/bump', ...(isAutomatic ? ['samovar/automatic'] : [])],
    reviewers: isAutomatic ? [] : rest.reviewers,
  })
}

/** The open one of the service, or null. What a person said to the one before counts before another is opened. */
async function pullOf(
  forge: Forge,
  parts: Parts,
  about: { service: string; policy: ServicePolicy; signal: AbortSignal },
): Promise<PullRequest | null> {
  const { service, policy, signal } = about
  const wanted = { login: await forge.login(), branch: bumpBranch(service) }
  const found = ownOpen(await forge.openPullRequests(parts.settings.branch), wanted)
  if (found !== null) return await stillFits(forge, parts, { pull: found, signal })
  const before = parts.journal.proposals('open')
  for (const proposal of before.filter((each) => each.kind === 'bump' && each.service === service))
    await settleEnded(forge, parts, { proposal, policy })
  return null
}

/** The services whose databases are in this one. */
const ownersIn = (services: Record<string, ServicePolicy>, server: string): string[] =>
  Object.values(services)
    .filter((each) => each.data.some((part) => 'postgres' in part && part.postgres === server))
    .map((each) => each.service)

/** Null when the file says something else than the bump was made for: the next sweep looks from there. */
async function fileWith(
  forge: Forge,
  bump: BumpContent,
  { base, policy }: { base: string; policy: ServicePolicy },
): Promise<FileChange | null> {
  const file = await forge.file(bump.file, base)
  // Written again as text, other bytes than those of the version would change.
  if (file === null || !isUtf8(file.bytes)) return null
  const text = file.bytes.toString('utf8')
  const said = versionIn(text)
  if (said === null || !isSame(said, bump.from) || (said.image ?? policy.image) !== bump.image) return null
  return { path: bump.file, sha: file.sha, bytes: Buffer.from(bumpFile(text, bump.to, bump.file)) }
}

type Version = { tag: string; digest: string | null }
const isSame = (one: Version, other: Version): boolean => one.tag === other.tag && one.digest === other.digest

/** It may have been reverted, or closed by a person, since it was found. */
const isRefused = ({ journal }: Parts, { service, to }: BumpContent): boolean =>
  journal
    .refusedVersions(service)
    .some((each) => each.digest === to.digest || (each.digest === '' && each.tag === to.tag))

/** Gitea looks for conflicts by and by, after each push of head or base, and says until then that there are some. */
const lookAgain = { times: 5, after: 1_000 }

/** Null when it was closed, since what it proposes conflicts with its base. */
async function stillFits(
  forge: Forge,
  parts: Parts,
  { pull, signal }: { pull: PullRequest; signal: AbortSignal },
): Promise<PullRequest | null> {
  // A draft counts as not mergeable, whatever is in it.
  if (pull.mergeable || pull.draft || pull.base.sha === '') return pull
  for (let times = 0; times < lookAgain.times; times += 1) {
    const now = await forge.pullRequest(pull.number)
    // A person who closes it meanwhile is heard at the next look.
    if (now.mergeable || now.state === 'closed') return now
    await parts.clock.sleep(lookAgain.after, signal)
    if (signal.aborted) throw new SamovarError('interrupted', `#${pull.number} was not looked at to the end`)
  }
  await closeReplaced(forge, parts, pull)
  return null
}
