import { isUtf8 } from 'node:buffer'
import type { ServicePolicy } from '../desired-state.ts'
import { SamovarError } from '../errors.ts'
import type { Forge } from '../gitea/forge.ts'
import type { Deliver } from '../gitea/outbox.ts'
import { inForce } from '../in-force.ts'
import type { Operation } from '../journal/operation.ts'
import type { Memory } from '../look.ts'
import type { Parts } from '../parts.ts'
import { bumpFile } from '../version-bumps/bump.ts'
import { isTag } from '../version-bumps/image-name.ts'
import { linksFrom } from '../what-to-say.ts'
import { commitBefore } from './first-plans.ts'
import { heldSince } from './held-since.ts'
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
    if (heldSince(parts.journal, operation)) return
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
    const message = `${text.title}\n\nIt was reverted on ${loaded.state.host.name} (${id}).\n`
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
    const version = isBump(operation) ? operation.from : null
    parts.journal.saveProposal({
      number: opened.number,
      kind: 'revert',
      service: operation.service,
      // Of a configuration there is no version by which it could be known.
      tag: version?.tag ?? '',
      digest: version?.digest ?? '',
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
  // A container that others made may name no tag: then a person has to say which version it was.
  if (file === null || from === null || to === null || !isTag(from.tag) || !isUtf8(file.bytes)) return []
  const text = file.bytes.toString('utf8')
  const said = versionIn(text)
  if (said === null || said.tag !== to.tag || (said.digest !== null && said.digest !== to.digest)) return []
  // The digest too, also where the file had none: the tag may have moved since, to what nobody here has tried.
  const digest = from.digest === '' ? null : from.digest
  const bytes = Buffer.from(bumpFile(text, { tag: from.tag, digest }, policy.file))
  return bytes.equals(file.bytes) ? [] : [{ path: policy.file, sha: file.sha, bytes }]
}

/**
 * The files of the desired state and of Compose as they were at the commit that was in force before, where nobody has
 * changed them since the failed commit. Files that were new then stay: a person decides. The files of other services
 * are theirs.
 */
async function configurationTakenBack(
  forge: Forge,
  base: string,
  about: { operation: Operation; parts: Parts; isOfHost: (path: string) => boolean },
): Promise<FileChange[]> {
  const { operation, parts } = about
  const before =
    commitBefore(parts.journal, operation.commit) ?? parts.journal.lastApplied(operation.service)?.commit
  if (before === undefined || before === operation.commit) return []
  const services = `${parts.settings.directory}/services/`
  const isOthers = (path: string): boolean =>
    path.startsWith(services) && path !== `${services}${operation.service}.yaml`
  const changed = (await parts.source.changedFiles(before, operation.commit)).filter(
    (path) => about.isOfHost(path) && !isOthers(path),
  )
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
