import { type Document, isAlias, isMap, isNode, isPair, isSeq } from 'yaml'

const mostAliases = 2000
const mostNodes = 200_000

type Counting = { aliases: number; sizes: Map<string, number> }

/** Nodes after every alias was replaced by what it stands for; infinite for one that contains itself. */
function expandedSize(node: unknown, counting: Counting): number {
  if (isPair(node)) return expandedSize(node.key, counting) + expandedSize(node.value, counting)
  if (isAlias(node)) {
    counting.aliases += 1
    return counting.sizes.get(node.source) ?? Number.POSITIVE_INFINITY
  }
  let size = 1
  const anchor = isNode(node) && 'anchor' in node ? node.anchor : undefined
  if (anchor !== undefined) counting.sizes.delete(anchor)
  if (isMap(node) || isSeq(node)) for (const item of node.items) size += expandedSize(item, counting)
  if (anchor !== undefined) counting.sizes.set(anchor, size)
  return size
}

/**
 * Why the aliases of a document are too many, or null. A few lines of aliases of aliases stand for millions of
 * nodes; Compose expands them and would work for minutes. Here nothing is expanded, only counted.
 */
export function aliasTrouble(document: Document): string | null {
  const counting: Counting = { aliases: 0, sizes: new Map() }
  const size = expandedSize(document.contents, counting)
  if (counting.aliases > mostAliases) return `more than ${mostAliases} aliases`
  if (size === Number.POSITIVE_INFINITY)
    return 'an alias stands for something that is not there or contains itself'
  return size > mostNodes ? `its aliases stand for more than ${mostNodes} values` : null
}
