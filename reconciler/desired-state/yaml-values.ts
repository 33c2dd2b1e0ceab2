import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import { isMergePair, keyText, type Path } from './yaml-positions.ts'

/** A few dozen bytes of aliases can stand for billions of values; this many are more than any person writes. */
const mostValues = 100_000
const deepest = 100

export type Problem = { offset: number; path: Path; message: string }

/** A value and how many values it holds once its aliases are written out. */
type Sized = { value: unknown; size: number }

type Reading = {
  anchors: Map<string, { node: Node; sized: Sized | null }>
  targets: Map<Alias, Node>
  problems: Problem[]
  /** Sizes of the lists and mappings read so far, for merges. */
  sizes: WeakMap<object, number>
  /** Keys copied by merges so far. */
  merged: number
}

class TooMany extends Error {}

/**
 * Turns parsed YAML into plain values, each node once: aliases share the value of their anchor, `<<` merges.
 * Own code instead of the parser's `toJS`, which searches the whole document for every alias and expands merges of
 * merges without a limit.
 * @returns what each alias stands for (to find positions), and the problems: equal keys, aliases without an anchor,
 *   inside their own anchor or too many, keys that are no text, nesting without end
 */
export function resolveValues(root: Node): {
  value: unknown
  targets: Map<Alias, Node>
  problems: Problem[]
} {
  const reading: Reading = {
    anchors: new Map(),
    targets: new Map(),
    problems: [],
    sizes: new WeakMap(),
    merged: 0,
  }
  try {
    const { value } = read(reading, root, [])
    return { value, targets: reading.targets, problems: reading.problems }
  } catch (error) {
    if (!(error instanceof TooMany)) throw error
    const message = `holds more than ${mostValues} values once its aliases are written out, expected a file for people`
    return { value: null, targets: reading.targets, problems: [{ offset: 0, path: [], message }] }
  }
}

function read(reading: Reading, node: Node | null, path: Path): Sized {
  if (isAlias(node)) return readAlias(reading, node, path)
  const anchor =
    (isScalar(node) || isMap(node) || isSeq(node)) && node.anchor
      ? { node, sized: null as Sized | null }
      : null
  if (anchor !== null) reading.anchors.set(anchor.node.anchor ?? '', anchor)
  const sized = readOwn(reading, node, path)
  if (sized.size > mostValues) throw new TooMany()
  if (sized.value !== null && typeof sized.value === 'object') reading.sizes.set(sized.value, sized.size)
  if (anchor !== null) anchor.sized = sized
  return sized
}

function readOwn(reading: Reading, node: Node | null, path: Path): Sized {
  if (path.length > deepest) {
    report(reading, node, path.slice(0, 3), `is nested too deeply, expected at most ${deepest} levels`)
    return { value: null, size: 1 }
  }
  if (isMap(node)) return readMap(reading, node, path)
  if (isSeq(node)) return readList(reading, node, path)
  return { value: isScalar(node) ? node.value : null, size: 1 }
}

function readAlias(reading: Reading, node: Alias, path: Path): Sized {
  const anchor = reading.anchors.get(node.source)
  if (anchor?.sized) {
    reading.targets.set(node, anchor.node)
    return anchor.sized
  }
  const message =
    anchor === undefined
      ? 'is an alias (*) without an anchor (&) before it, expected an anchor of that name, or quotes around the text'
      : 'is an alias (*) inside its own anchor (&), expected no circle'
  report(reading, node, path, message)
  return { value: null, size: 1 }
}

function readList(reading: Reading, list: YAMLSeq, path: Path): Sized {
  let size = 1
  const value = list.items.map((item, index) => {
    const sized = read(reading, item as Node | null, [...path, index])
    size = grown(size, sized.size)
    return sized.value
  })
  return { value, size }
}

function readMap(reading: Reading, map: YAMLMap, path: Path): Sized {
  const entries = new Map<string, Sized>()
  const own = new Set<string>()
  for (const pair of map.items) {
    if (isMergePair(pair)) {
      readMerge(reading, pair, entries, path)
      continue
    }
    const key = keyText(pair.key)
    const keyNode = pair.key as Node | null
    if (isScalar(keyNode) && keyNode.anchor) read(reading, keyNode, path)
    if (key === null) {
      report(reading, keyNode ?? map, path, 'has a key that is no text, expected text')
    } else if (own.has(key)) {
      report(reading, keyNode, [...path, key], 'stands here a second time, expected each key once')
    } else {
      own.add(key)
      entries.set(key, read(reading, pair.value as Node | null, [...path, key]))
    }
  }
  let size = 1
  for (const entry of entries.values()) size = grown(size, entry.size)
  return { value: Object.fromEntries([...entries].map(([key, entry]) => [key, entry.value])), size }
}

/** Keys that stand in the mapping itself win, wherever the merge is written; earlier sources win over later ones. */
function readMerge(reading: Reading, pair: Pair, entries: Map<string, Sized>, path: Path): void {
  const node = pair.value as Node | null
  const { value } = read(reading, node, [...path, '<<'])
  for (const source of Array.isArray(value) ? value : [value]) {
    if (source === null || typeof source !== 'object' || Array.isArray(source)) {
      report(
        reading,
        node,
        [...path, '<<'],
        'merges something that is no mapping, expected *alias of a mapping',
      )
      return
    }
    for (const [key, merged] of Object.entries(source)) {
      reading.merged++
      if (reading.merged > mostValues) throw new TooMany()
      if (!entries.has(key)) entries.set(key, { value: merged, size: sizeOf(reading, merged) })
    }
  }
}

function sizeOf(reading: Reading, value: unknown): number {
  return value !== null && typeof value === 'object' ? (reading.sizes.get(value) ?? 1) : 1
}

function grown(size: number, more: number): number {
  if (size + more > mostValues) throw new TooMany()
  return size + more
}

function report(reading: Reading, node: Node | null, path: Path, message: string): void {
  reading.problems.push({ offset: node?.range?.[0] ?? 0, path, message })
}
