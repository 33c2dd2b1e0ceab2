import { platform } from './compose/service-facts.ts'
import type { Engine, ImageReference } from './engine/engine.ts'
import { sentenceOf } from './errors.ts'
import type { Journal } from './journal.ts'
import type { Loaded } from './load.ts'

type Parts = { engine: Engine; journal: Journal; now: () => number }

/** As it is written into Compose files and labels: `name:tag@sha256:...`. */
export const referenceOf = (image: ImageReference): string =>
  `${image.name}:${image.tag}${image.digest === '' ? '' : `@${image.digest}`}`

export type Pinned = { image: ImageReference; problem: string | null }

/** The digest the desired state names, else the one the tag had when this commit was first seen. */
export async function pinnedImages(parts: Parts, loaded: Loaded): Promise<Map<string, Pinned>> {
  const entries = await Promise.all(
    Object.values(loaded.state.services).map(async (policy): Promise<[string, Pinned]> => {
      const image: ImageReference = {
        name: policy.image,
        tag: policy.tag,
        digest: policy.digest ?? '',
        platform: platform(loaded.model, policy.service),
      }
      if (image.digest !== '') return [policy.service, { image, problem: null }]
      return [policy.service, await resolved(parts, loaded.commit, image)]
    }),
  )
  return new Map(entries)
}

/** The digest of a tag, as this commit has it once it was asked for. */
export async function resolved(parts: Parts, commit: string, image: ImageReference): Promise<Pinned> {
  const { engine, journal, now } = parts
  const reference = `${image.name}:${image.tag}`
  const known = journal.digestOf(commit, reference)
  if (known !== null) return { image: { ...image, digest: known }, problem: null }
  try {
    const digest = await engine.resolve(reference)
    journal.rememberDigest(commit, reference, digest, now())
    return { image: { ...image, digest }, problem: null }
  } catch (error) {
    // The registry is away: what the tag meant at an earlier commit still stands, and is not recorded for this one.
    const earlier = journal.digestOf(null, reference)
    if (earlier !== null) return { image: { ...image, digest: earlier }, problem: null }
    const problem = `${sentenceOf(error)}; next: check the tag and the registry, or name the digest`
    return { image, problem }
  }
}
