import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from 'yaml'
import type { Finding } from '../desired-state.ts'
import { aliasTrouble } from './alias-limit.ts'

/** One Compose file with its positions. A file may hold several documents, which Compose merges. */
export type ComposeSource = { file: string; text: string; documents: Document[]; lines: LineCounter }

/** A key of a mapping with its value; aliases are followed and merge keys (`<<`) included. */
export type Entry = { key: string; keyNode: Node | undefined; value: unknown }

const plainTags = new Set(
  ['map', 'seq', 'str', 'int', 'float', 'bool', 'null', 'merge'].map((tag) => `!!${tag}`),
)
const allowedTags = new Set([...plainTags, '!reset', '!override', '!', '?'])

/**
 * Parses without judging.
 * @param file path relative to the checkout, for messages
 */
export function parseSource(file: string, text: string): ComposeSource {
  const lines = new LineCounter()
  // The parser's own look for duplicate keys compares each with each: minutes for a large file.
  const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false, logLevel: 'silent' })
  return { file, text, documents: Array.isArray(documents) ? documents : [], lines }
}

export function findingAt(source: ComposeSource, node: unknown, key: string, message: string): Finding {
  const range =
    typeof node === 'object' && node !== null && 'range' in node ? (node as Node).range : undefined
  return findingAtOffset(source, range?.[0] ?? 0, key, message)
}

export function findingAtOffset(
  source: ComposeSource,
  offset: number,
  key: string,
  message: string,
): Finding {
  const { line, col } = source.lines.linePos(offset)
  return { file: source.file, line: Math.max(line, 1), column: Math.max(col, 1), key, message }
}

function followed(document: Document, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node
}

/** Entries of a mapping, one level; nothing for any other value. */
export function entriesOf(document: Document, node: unknown, depth = 0): Entry[] {
  const map = followed(document, node)
  if (!isMap(map) || depth > 20) return []
  return map.items.flatMap((pair): Entry[] => {
    const key = followed(document, pair.key)
    if (!isScalar(key)) return []
    if (key.value !== '<<') {
      return [{ key: String(key.value), keyNode: key, value: followed(document, pair.value) }]
    }
    const merged = followed(document, pair.value)
    const maps: unknown[] = isSeq(merged) ? merged.items : [merged]
    return maps.flatMap((one) => entriesOf(document, one, depth + 1))
  })
}

/** Items of a list; a single value counts as a list of one, nothing as none. */
export function itemsOf(document: Document, node: unknown): unknown[] {
  const list = followed(document, node)
  if (isSeq(list)) return list.items.map((item) => followed(document, item))
  return list === null || list === undefined || (isScalar(list) && list.value === null) ? [] : [list]
}

/** Text of a scalar, or undefined for a collection and for nothing. */
export function textOf(node: unknown): string | undefined {
  return isScalar(node) && node.value !== null ? String(node.value) : undefined
}

function syntaxFindings(source: ComposeSource, document: Document): Finding[] {
  return document.errors.map(({ message, pos }) => {
    const isTooDeep = /call stack|Stack overflow/.test(message)
    const said = message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '')
    return findingAtOffset(
      source,
      pos[0],
      'yaml',
      isTooDeep ? 'it is nested too deeply' : (said ?? 'cannot be read'),
    )
  })
}

function duplicateKeys(source: ComposeSource, map: YAMLMap): Finding[] {
  const seen = new Set<string>()
  return map.items.flatMap(({ key }) => {
    if (!isScalar(key) || key.value === '<<') return []
    const name = String(key.value)
    if (seen.has(name)) return [findingAt(source, key, 'yaml', `the key ${name} stands here twice`)]
    seen.add(name)
    return []
  })
}

/** What the YAML itself has wrong: syntax, duplicate keys, and tags that another parser would read differently. */
export function yamlFindings(source: ComposeSource): Finding[] {
  return source.documents.flatMap((document) => {
    const findings = syntaxFindings(source, document)
    if (findings.length > 0) return findings
    const trouble = aliasTrouble(document)
    if (trouble !== null) findings.push(findingAt(source, document.contents, 'yaml', trouble))
    visit(document, {
      Node: (_key, node) => {
        const tag = node.tag?.replace('tag:yaml.org,2002:', '!!')
        if (tag && !allowedTags.has(tag)) {
          findings.push(findingAt(source, node, 'yaml', `the tag ${tag} is not allowed here`))
        }
        if (isMap(node)) findings.push(...duplicateKeys(source, node))
      },
    })
    return findings
  })
}

/** Every scalar value (not key) with the key it stands under. Aliases are not expanded: each is seen once. */
export function valuesOf(document: Document): { key: string; node: Node; text: string }[] {
  const values: { key: string; node: Node; text: string }[] = []
  visit(document, {
    Scalar: (role, node, path) => {
      if (role === 'key' || typeof node.value !== 'string') return
      const keys = path.flatMap((step) =>
        isPair(step) && isScalar(step.key) ? [String(step.key.value)] : [],
      )
      values.push({ key: keys.join('.'), node, text: node.value })
    },
  })
  return values
}

/** The node at a path such as services, web, build; the deepest one that is there when the path ends early. */
export function locate(
  sources: ComposeSource[],
  path: string[],
): { source: ComposeSource; node: unknown } | null {
  let best: { source: ComposeSource; node: unknown; depth: number } | null = null
  for (const source of sources) {
    for (const document of source.documents) {
      let node: unknown = document.contents
      let position: unknown = node
      let depth = 0
      for (const step of path) {
        const entry = entriesOf(document, node).find(({ key }) => key === step)
        const item = isSeq(node) ? node.items[Number(step)] : undefined
        if (!entry && item === undefined) break
        node = entry ? entry.value : followed(document, item)
        position = entry ? entry.keyNode : item
        depth += 1
      }
      if (depth > (best?.depth ?? 0)) best = { source, node: position, depth }
    }
  }
  return best
}

export function isComposite(node: unknown): boolean {
  return isCollection(node)
}
