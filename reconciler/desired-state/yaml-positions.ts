import { type Alias, isAlias, isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from 'yaml'

/** Keys and list positions from the top of a file to something in it. */
export type Path = readonly (string | number)[]

/** The nodes of one file, and what each alias stands for. */
export type YamlTree = { root: Node; targets: ReadonlyMap<Alias, Node> }

/** Offsets in the text of a key and of its value; of the nearest thing around when the path does not exist. */
export type Place = { key: number; value: number; writtenAs: string | undefined }

/** The text of a key; null for what is no key here (a list, a mapping, nothing at all). */
export function keyText(key: unknown): string | null {
  if (!isScalar(key) || key.value === null) return null
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value))
}

/** A `<<` that merges other mappings into this one. */
export function isMergePair(pair: Pair): boolean {
  return isScalar(pair.key) && pair.key.value === '<<' && (pair.key.type ?? 'PLAIN') === 'PLAIN'
}

/** Finds a path; what comes by an alias or a merge is placed where it is written. */
export function locateIn(tree: YamlTree, path: Path): Place {
  let place = placeOf(tree.root, tree.root)
  let node: Node | null = tree.root
  for (const part of path) {
    const next: { key: Node | null; value: Node | null } | null = step(tree, node, part)
    if (next === null) return { ...place, value: place.key }
    place = placeOf(next.key ?? next.value, next.value ?? next.key)
    node = next.value
  }
  return place
}

function step(tree: YamlTree, from: Node | null, part: string | number) {
  const node = target(tree, from)
  if (isSeq(node)) {
    const item = (node.items[Number(part)] ?? null) as Node | null
    return item === null ? null : { key: item, value: item }
  }
  if (!isMap(node)) return null
  const pair = findPair(tree, node, String(part), 0)
  return pair === null ? null : { key: pair.key as Node | null, value: pair.value as Node | null }
}

function findPair(tree: YamlTree, map: YAMLMap, name: string, depth: number): Pair | null {
  const own = map.items.find((pair) => !isMergePair(pair) && keyText(pair.key) === name)
  if (own !== undefined || depth > 100) return own ?? null
  for (const pair of map.items.filter(isMergePair)) {
    const merged = target(tree, pair.value as Node | null)
    for (const source of isSeq(merged) ? merged.items : [merged]) {
      const node = target(tree, source as Node | null)
      const found = isMap(node) ? findPair(tree, node, name, depth + 1) : null
      if (found !== null) return found
    }
  }
  return null
}

function target(tree: YamlTree, node: Node | null): Node | null {
  return isAlias(node) ? (tree.targets.get(node) ?? null) : node
}

function placeOf(key: Node | null, value: Node | null): Place {
  const start = key?.range?.[0] ?? 0
  const plain = isScalar(value) && value.type === 'PLAIN' ? value.source : undefined
  return { key: start, value: value?.range?.[0] ?? start, writtenAs: plain }
}
