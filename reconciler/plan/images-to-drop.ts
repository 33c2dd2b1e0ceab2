export type KnownImage = { digest: string; id: string; name: string; tag: string; at: number }

/**
 * Which of the images that Samovar pulled are removed: not those in use, not the rollback targets, and of the others
 * each repository keeps the newest `keep`. Images that Samovar did not pull are not in the list and never go.
 *
 * @param inUse image ids of all containers and digests of all rollback targets
 * @param keep how many unused ones of a repository stay
 */
export function imagesToDrop(known: KnownImage[], inUse: ReadonlySet<string>, keep: number): KnownImage[] {
  const unused = known.filter((image) => !inUse.has(image.id) && !inUse.has(image.digest))
  const names = new Set(unused.map((image) => image.name))
  return [...names].flatMap((name) =>
    unused
      .filter((image) => image.name === name)
      .toSorted((a, b) => b.at - a.at)
      .slice(keep),
  )
}
