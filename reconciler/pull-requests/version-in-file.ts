import { parseDocument } from 'yaml'

/** The version that a service file names, or null when it cannot be read so. */
export function versionIn(text: string): { tag: string; digest: string | null } | null {
  const document = parseDocument(text)
  if (document.errors.length > 0) return null
  const tag: unknown = document.get('tag')
  const digest: unknown = document.get('digest')
  if (typeof tag !== 'string' && typeof tag !== 'number') return null
  return {
    tag: sourceOf(document.get('tag', true)) ?? String(tag),
    digest: typeof digest === 'string' ? digest : null,
  }
}

/** As it is written: 18.10 is not 18.1. */
function sourceOf(node: unknown): string | null {
  const source = (node as { source?: unknown } | undefined)?.source
  return typeof source === 'string' ? source : null
}
