import { writeComposeFile } from './compose-file.ts'
import type { Outlook } from './look.ts'
import { removeUnusedMountedFiles } from './mounted-files-in-use.ts'
import type { Parts } from './parts.ts'
import { imagesToDrop } from './plan/images-to-drop.ts'
import { isParked } from './plan/target.ts'
import { removeUnusedSecrets } from './secrets/secret-files.ts'

/**
 * What may go after a pass: containers whose soak is over, images nobody uses and nobody could go back to, checkouts
 * of old commits. The Compose file for operators is brought up to date.
 *
 * @returns the instances that were removed
 */
export async function tidyUp(parts: Parts, outlook: Outlook): Promise<string[]> {
  const discarded: string[] = []
  const { engine, journal, now } = parts
  for (const row of journal.kept()) {
    if (row.discardAt > now()) continue
    const seen = outlook.running.find((each) => each.instance === row.kept.instance)
    // Only what still stands aside: a person may have started it, or given it a name of its own.
    if (seen !== undefined && (!isParked(seen) || seen.state === 'running')) continue
    await engine.discard(row.kept)
    discarded.push(row.kept.instance)
    journal.discarded(row.operation, row.service)
  }
  await removeLateCandidates(parts, outlook)
  const inUse = new Set(outlook.running.map((each) => each.image.id))
  for (const target of outlook.targets.list) {
    inUse.add(target.image.digest)
    for (const digest of journal.rollbackTargets(target.service)) inUse.add(digest)
  }
  const pulled = journal.images().filter((each) => each.pulled)
  for (const image of imagesToDrop(pulled, inUse, outlook.loaded.state.host.images.keep)) {
    if (await engine.dropImage(image)) journal.forgetImage(image.digest)
  }
  await writeComposeFile(parts.settings.stateDir, outlook.targets, outlook.plan)
  const wanted = JSON.stringify(outlook.targets.model)
  await removeUnusedMountedFiles(parts.settings.stateDir, { running: outlook.running, wanted, now: now() })
  const left = outlook.running.filter((each) => !discarded.includes(each.instance))
  const mounts = left.flatMap((each) => each.mounts)
  await removeUnusedSecrets(parts.settings.secretsDir, { mounts, wanted, now: now() })
  await parts.source.keepOnly([outlook.commit])
  journal.forgetOld(now(), new Set(outlook.running.map((each) => each.instance)))
  return discarded
}

/** A create call that was cut short may be finished by the engine after recovery has looked: such a one was never started. */
async function removeLateCandidates(parts: Parts, outlook: Outlook): Promise<void> {
  for (const each of outlook.running) {
    if (each.state !== 'created' || !each.name.endsWith(`.new-${each.operation}`) || each.operation === '')
      continue
    const ended = parts.journal.operation(each.operation)?.finishedAt ?? null
    if (ended !== null) await parts.engine.removeCandidate(each)
  }
}
