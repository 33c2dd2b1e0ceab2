import type { Inspected } from '../engine/engine.ts'
import { codeOf, SamovarError } from '../errors.ts'
import type { Member, Operation } from '../journal/operation.ts'
import { prepareData } from './data.ts'
import type { Body, Work } from './step.ts'

/** Below this much free disk a roll-out does not begin: a full disk in the middle of it is the worst place. */
export const leastFreeDisk = 500 * 1024 ** 2

/** Everything that can fail while the old version still serves, first of all the pull. */
export async function preflight(work: Work, operation: Operation): Promise<string> {
  const free = await work.engine.freeDisk()
  if (free !== null && free < leastFreeDisk) {
    throw new SamovarError(
      'disk-full',
      `only ${Math.floor(free / 1024 ** 2)} MiB of disk are free; a roll-out wants at least ${leastFreeDisk / 1024 ** 2} MiB`,
    )
  }
  for (const member of operation.intent.members) await refuseTakenName(work, member)
  const images = operation.intent.members.map((member) => member.image)
  for (const image of images) {
    stopped(work)
    const held = await work.engine.holdImage(image, (progress) => work.progress.pull(operation, progress))
    work.journal.rememberImage({
      digest: image.digest,
      id: held.id,
      name: image.name,
      tag: image.tag,
      pulled: held.pulled,
      at: work.now(),
    })
  }
  const ready = operation.intent.data === undefined ? '' : `; ${await prepareData(work, operation)}`
  return `image is local: ${images.map((image) => `${image.name}:${image.tag}@${image.digest}`).join(', ')}${ready}`
}

/** An index that moved for another platform only: the digest is new, what would run is not. */
export function isSameImage(work: Work, operation: Operation): boolean {
  const { members, reasons } = operation.intent
  const local = new Map(work.journal.images().map((image) => [image.digest, image.id]))
  return (
    operation.kind === 'replace' &&
    reasons.every((reason) => reason.field === 'image') &&
    members.every(
      (member) => member.oldImageId !== null && local.get(member.image.digest) === member.oldImageId,
    )
  )
}

/** The new containers stand beside the old ones, not started: a bad configuration shows here and costs nothing. */
export async function create(work: Work, operation: Operation, body: Body): Promise<string> {
  stopped(work)
  if (body.problem !== null) throw new SamovarError('data-not-covered', body.problem)
  await work.engine.prepare(body.networks, body.volumes)
  const made: string[] = []
  for (const member of operation.intent.members) {
    await createMember(work, operation, { body, member })
    made.push(member.candidate?.name ?? member.service)
  }
  return `created ${made.join(', ')}`
}

async function createMember(
  work: Work,
  operation: Operation,
  what: { body: Body; member: Member },
): Promise<void> {
  const { body, member } = what
  const held = await work.engine.holdImage(member.image)
  const containers = { ...member.shares }
  for (const each of operation.intent.members)
    if (each.candidate !== null) containers[each.service] = each.candidate.instance
  const wanted = await body.of(member.service, held.id, containers)
  member.candidate = await work.engine.create(operation.id, wanted, {
    name: member.name,
    platform: member.image.platform,
  })
  const seen = await work.engine.inspect(member.candidate.instance)
  refuseAnonymousVolume(member, seen)
  const old = await inspectOld(work, member)
  if (old !== null) refuseOtherMajor(member, old, seen)
  // Restart policy and name follow at the start; anything else that differs already is how this engine renders it.
  const rendered = body.compare(wanted, seen).filter((difference) => difference.field !== 'restart')
  work.journal.rememberResidue(
    member.candidate.instance,
    rendered.map((difference) => difference.field),
  )
}

/** The new container would start with an empty volume instead of the old one's data. */
function refuseAnonymousVolume(member: Member, seen: Inspected): void {
  const [path] = seen.anonymousVolumes
  if (path === undefined || member.current === null) return
  throw new SamovarError(
    'engine-refused',
    `${member.service}: ${path} is an anonymous volume; its data would be left behind with the old container`,
    {
      next: `Name it in the Compose file: "volumes: [${member.service}-data:${path}]", and copy the data into it once.`,
    },
  )
}

async function inspectOld(work: Work, member: Member): Promise<Inspected | null> {
  if (member.current === null) return null
  try {
    return await work.engine.inspect(member.current.instance)
  } catch (error) {
    if (codeOf(error) !== 'not-found') throw error
    throw new SamovarError('changed', `${member.name} is no longer the container that was looked at`, {
      cause: error,
    })
  }
}

/** The files of one PostgreSQL major are of no use to another; the image says its own in PG_MAJOR. */
function refuseOtherMajor(member: Member, old: Inspected, made: Inspected): void {
  const majorOf = (seen: Inspected): string | undefined =>
    seen.imageDefaults?.Env?.find((entry) => entry.startsWith('PG_MAJOR='))?.slice('PG_MAJOR='.length)
  const [before, after] = [majorOf(old), majorOf(made)]
  if (before === undefined || after === undefined || before === after) return
  throw new SamovarError(
    'engine-refused',
    `${member.service} would go from PostgreSQL ${before} to ${after}, which cannot read the files of ${before}`,
    { next: 'Stay on the same major, or move the data by dump and restore by hand.' },
  )
}

/** Found while the old version still serves, and not when the new one is given its name. */
async function refuseTakenName(work: Work, member: Member): Promise<void> {
  const holder = await work.engine.holder(member.name)
  if (holder === null || holder === member.current?.instance) return
  if (member.current?.name === member.name)
    throw new SamovarError('changed', `${member.name} is no longer the container that was looked at`)
  throw new SamovarError(
    'name-taken',
    `${member.service} cannot be named ${member.name}: another container has that name (${holder.slice(0, 12)})`,
    { next: 'Rename or remove that container; Samovar does not touch what it did not create.' },
  )
}

function stopped(work: Work): void {
  if (work.stopping.aborted) throw new SamovarError('interrupted', 'Samovar was told to stop')
}
