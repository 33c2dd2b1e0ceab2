import type { ServicePolicy } from '../desired-state.ts'
import type { RefusedVersion } from '../journal/forge-records.ts'
import { type Choice, chooseVersions } from './choose.ts'
import type { ImageFacts } from './image-facts.ts'
import { fullImageName } from './image-name.ts'
import type { Registries } from './registry.ts'
import { releaseNotesLink } from './release-notes.ts'
import type { Step } from './version.ts'

/** A version that a service can be brought to. */
export type Candidate = {
  service: string
  /** Service file, relative to the repository. */
  file: string
  image: string
  from: { tag: string; digest: string | null }
  to: { tag: string; digest: string }
  /** `digest`: the same tag holds a rebuilt image. */
  step: Step | 'digest'
  /** When the image was built, milliseconds since 1970; null when nobody says. */
  created: number | null
  /** Where the release notes are; null when nobody says. */
  notes: string | null
  /** Why it is not proposed yet, for a person; null: it can be now. */
  waits: string | null
}

/** What a search for a version needs beside the policy. */
export type Search = {
  registries: Registries
  /** Versions of this service that nobody wants. */
  refused: readonly RefusedVersion[]
  /** When a version was first seen here; writes it down when this is the first time. Milliseconds since 1970. */
  firstSeen: (image: string, tag: string, digest: string) => number
  now: number
  /** The service holds databases of others. */
  isDatabaseServer: boolean
  /** `linux/amd64`; that of this machine when not named. */
  platform?: string
}

/** A registry is asked about this many versions of one service; whatever comes after them is far behind. */
const mostAsked = 10

/**
 * The newest version that a policy accepts and that may be proposed: built for the platform, not refused, as old as
 * `minimumAge` wants. When the best is too young the next one below it is taken; when all are, the best comes back with
 * `waits`. Without a newer version it is the rebuilt image of the same tag, when the file names a digest and the image
 * for this platform really is another one.
 *
 * @throws SamovarError `registry-unreachable`
 */
export async function findCandidate(policy: ServicePolicy, search: Search): Promise<Candidate | null> {
  const newer = await newerVersion(policy, search)
  if (newer !== null && newer.waits === null) return newer
  const rebuilt = await rebuiltImage(policy, search)
  return rebuilt !== null && rebuilt.waits === null ? rebuilt : (newer ?? rebuilt)
}

async function newerVersion(policy: ServicePolicy, search: Search): Promise<Candidate | null> {
  if (policy.update.accept === 'digest') return null
  const refused = ofImage(policy, search).filter((each) => each.digest === '')
  const choices = chooseVersions({
    image: policy.image,
    current: policy.tag,
    tags: await search.registries.tags(policy.image),
    accept: policy.update.accept,
    pattern: policy.update.tags,
    isDatabaseServer: search.isDatabaseServer,
    refused: new Set(refused.map((each) => each.tag)),
  })
  let waiting: Candidate | null = null
  for (const choice of choices.slice(0, mostAsked)) {
    const candidate = await candidateFor(policy, search, choice)
    if (candidate?.waits === null) return candidate
    waiting ??= candidate
  }
  return waiting
}

/** Null when the tag is gone, holds what is refused, or is not built for the platform (yet). */
async function candidateFor(
  policy: ServicePolicy,
  search: Search,
  choice: Choice | { tag: string; step: 'digest' },
): Promise<Candidate | null> {
  const { registries, platform } = search
  const digest = await registries.digest(policy.image, choice.tag)
  if (digest === null || isRefused(policy, search, { tag: choice.tag, digest })) return null
  // By the digest, so that a tag that moves meanwhile is not described by one image and pinned to another.
  const facts = await registries.facts(policy.image, digest, platform)
  if (facts === null || facts.platformDigest === null) return null
  const { service, file, image, tag } = policy
  return {
    service,
    file,
    image,
    from: { tag, digest: policy.digest },
    to: { tag: choice.tag, digest },
    step: choice.step,
    created: facts.created,
    notes: releaseNotesLink(choice.tag, { template: policy.update.releaseNotes, labels: facts.labels }),
    waits: waitOf(policy, search, { tag: choice.tag, facts }),
  }
}

/**
 * The same tag, pushed anew. The index also changes when only another platform or an attestation was rebuilt, which is
 * no reason for a restart here, so the manifests for the platform are compared.
 */
async function rebuiltImage(policy: ServicePolicy, search: Search): Promise<Candidate | null> {
  if (policy.digest === null) return null
  const { registries, platform } = search
  const digest = await registries.digest(policy.image, policy.tag)
  if (digest === null || digest === policy.digest) return null
  const [before, after] = [
    await registries.facts(policy.image, policy.digest, platform),
    await registries.facts(policy.image, digest, platform),
  ]
  if (before !== null && before.platformDigest === (after?.platformDigest ?? null)) return null
  return await candidateFor(policy, search, { tag: policy.tag, step: 'digest' })
}

/** By when the image was built, else by when it was first seen here; a date in the future is none. */
function waitOf(
  policy: ServicePolicy,
  { now, firstSeen }: Search,
  { tag, facts }: { tag: string; facts: ImageFacts },
): string | null {
  const { minimumAge } = policy.update
  // Written down in any case: a policy may get a minimumAge later.
  const seen = firstSeen(policy.image, tag, facts.digest)
  const since = facts.created !== null && facts.created <= now ? facts.created : seen
  if (since + minimumAge <= now) return null
  return `younger than minimumAge: until ${new Date(since + minimumAge).toISOString().slice(0, 16)}Z`
}

function isRefused(policy: ServicePolicy, search: Search, to: { tag: string; digest: string }): boolean {
  return ofImage(policy, search).some(
    // A digest is refused under whatever tag it comes.
    (each) => each.digest === to.digest || (each.digest === '' && each.tag === to.tag),
  )
}

const ofImage = (policy: ServicePolicy, { refused }: Search): RefusedVersion[] =>
  refused.filter((each) => fullImageName(each.image) === fullImageName(policy.image))
