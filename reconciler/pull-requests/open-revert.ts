import type { ServicePolicy } from '../desired-state.ts'
import { SamovarError } from '../errors.ts'
import type { Forge } from '../gitea/forge.ts'
import type { Deliver } from '../gitea/outbox.ts'
import { inForce } from '../in-force.ts'
import type { Operation } from '../journal/operation.ts'
import type { Memory } from '../look.ts'
import type { Parts } from '../parts.ts'
import { bumpFile } from '../version-bumps/bump.ts'
import { linksFrom } from '../what-to-say.ts'
import { isOfHost } from './host-files.ts'
import { type FileChange, ownPrefix, writeOwnBranch } from './own-branch.ts'
import { openOwnPullRequest, ownOpen } from './own-pull-request.ts'
import { isBump, revertText } from './revert-text.ts'
import { versionIn } from './version-in-file.ts'

/**
 * The pull request that takes back in the repository what was taken back on the host. Nothing is opened when the
 * repository says something else by then: somebody was faster.
 */
export const deliverRevert =
  (forge: Forge, parts: Parts, memory: Memory): Deliver =>
  async (content) => {
    const { operation: id } = content as { operation: string }
    const operation = parts.journal.operation(id)
    if (operation === null || parts.journal.revertOf(id) !== null) return
    const loaded = await inForce(parts, memory)
    const policy = loaded.state.services[operation.service]
    if (policy === undefined || policy.revert.repository === 'none') return
    const base = parts.settings.branch
    const changes = isBump(operation)
      ? await bumpTakenBack(forge, base, { operation, policy })
      : await configurationTakenBack(forge, base, { operation, parts, isOfHost: isOfHost(parts, loaded) })
    if (changes.length === 0) return
    const branch = `${ownPrefix}revert-${operation.service}-${id}`
    const open = await forge.openPullRequests(base)
    const pull = ownOpen(open, { login: await forge.login(), branch })
    const text = revertText({
      operation,
      steps: parts.journal.steps(id),
      policy,
      hostName: loaded.state.host.name,
      link: linksFrom(parts.settings.publicUrl).operation(id),
    })
    const message = `${text.title}\n\nIt did not hold on ${loaded.state.host.name} (${id}).\n`
    const head = await writeOwnBranch(forge, { branch, base, message, changes, pull })
    const isAutomatic = policy.update.policy === 'automatic' && isBump(operation)
    const opened = await openOwnPullRequest(forge, {
      head: branch,
      base,
      ...text,
      pull,
      labels: ['samovar', 'samovar/revert', ...(isAutomatic ? ['samovar/automatic'] : [])],
      reviewers: isAutomatic ? [] : (policy.update.reviewers ?? loaded.state.host.bumps.reviewers),
    })
    parts.journal.saveProposal({
      number: opened.number,
      kind: 'revert',
      service: operation.service,
      tag: operation.from?.tag ?? '',
      digest: operation.from?.digest ?? '',
      operation: id,
      branch,
      head,
      state: 'open',
      at: parts.now(),
    })
  }

/** Empty when the file does not name the failed version any more. */
async function bumpTakenBack(
  forge: Forge,
  base: string,
  { operation, policy }: { operation: Operation; policy: ServicePolicy },
): Promise<FileChange[]> {
  const { from, to } = operation
  const file = await forge.file(policy.file, base)
  if (file === null || from === null || to === null) return []
  const text = file.bytes.toString('utf8')
  const said = versionIn(text)
  if (said === null || said.tag !== to.tag || (said.digest !== null && said.digest !== to.digest)) return []
  // Without a digest in the file the tag says it all, unless it is the same tag that was pushed anew.
  const digest = said.digest !== null || from.tag === to.tag ? from.digest : null
  const bytes = Buffer.from(bumpFile(text, { tag: from.tag, digest }))
  return bytes.equals(file.bytes) ? [] : [{ path: policy.file, sha: file.sha, bytes }]
}

/**
 * The files of the desired state and of Compose as they were at the last roll-out of the service that held, where
 * nobody has changed them since the failed commit. Files that were new then stay: a person decides.
 */
async function configurationTakenBack(
  forge: Forge,
  base: string,
  about: { operation: Operation; parts: Parts; isOfHost: (path: string) => boolean },
): Promise<FileChange[]> {
  const { operation, parts } = about
  const before = parts.journal.lastApplied(operation.service)?.commit
  if (before === undefined || before === operation.commit) return []
  const changed = (await parts.source.changedFiles(before, operation.commit)).filter(about.isOfHost)
  if (changed.length > 50)
    throw new SamovarError(
      'not-found',
      `${changed.length} files changed since ${operation.service} last held: too many to take back by themselves`,
      { next: 'Revert the commit in Git.' },
    )
  const changes: FileChange[] = []
  for (const path of changed) {
    const [now, failed, good] = await Promise.all([
      forge.file(path, base),
      forge.file(path, operation.commit),
      forge.file(path, before),
    ])
    if (now === null || failed === null || good === null || now.sha !== failed.sha) continue
    if (now.sha !== good.sha) changes.push({ path, sha: now.sha, bytes: good.bytes })
  }
  return changes
}
