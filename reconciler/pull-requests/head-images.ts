import { platform } from '../compose/service-facts.ts'
import { sentenceOf } from '../errors.ts'
import type { Loaded } from '../load.ts'
import type { Parts } from '../parts.ts'
import type { Pinned } from '../pinned-images.ts'
import type { Target } from '../plan/target.ts'

/** Stands for a digest that nobody looks for before the merge; no image has it. */
export const unknownDigest = `sha256:${'0'.repeat(64)}`

/**
 * The images that a head names. A tag is asked from its registry only when the commit in force names that image for
 * that service already: a stranger must not send Samovar to registries of his choice. Nothing is remembered: at the
 * merge the tag is resolved for good.
 *
 * @param known what the services are to be at the commit in force
 */
export async function headImages(
  parts: Pick<Parts, 'engine' | 'journal'>,
  head: Loaded,
  known: { inForce: Loaded; targets: Target[] },
): Promise<Map<string, Pinned>> {
  const entries = await Promise.all(
    Object.values(head.state.services).map(async (policy): Promise<[string, Pinned]> => {
      const { service, image: name, tag } = policy
      const before = known.inForce.state.services[service]
      const image = { name, tag, digest: policy.digest ?? '', platform: platform(head.model, service) }
      if (image.digest !== '') return [service, { image, problem: null }]
      if (before?.image !== name)
        return [service, { image: { ...image, digest: unknownDigest }, problem: null }]
      const target = known.targets.find((each) => each.service === service)
      const isSame = before.tag === tag && before.digest === null && target !== undefined
      if (isSame)
        return [service, { image: { ...image, digest: target.image.digest }, problem: target.problem }]
      return [service, await resolved(parts, image)]
    }),
  )
  return new Map(entries)
}

async function resolved(
  { engine, journal }: Pick<Parts, 'engine' | 'journal'>,
  image: Pinned['image'],
): Promise<Pinned> {
  const reference = `${image.name}:${image.tag}`
  try {
    return { image: { ...image, digest: await engine.resolve(reference) }, problem: null }
  } catch (error) {
    const earlier = journal.digestOf(null, reference)
    if (earlier !== null) return { image: { ...image, digest: earlier }, problem: null }
    const problem = `${sentenceOf(error)}; next: check the tag and the registry, or name the digest`
    return { image: { ...image, digest: unknownDigest }, problem }
  }
}
