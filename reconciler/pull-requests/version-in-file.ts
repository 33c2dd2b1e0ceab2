import { isMap, parseDocument } from 'yaml'

/** The version that a service file names, or null when it cannot be read so. `image` is null where it names none. */
export function versionIn(text: string): { image: string | null; tag: string; digest: string | null } | null {
  const document = parseDocument(text)
  if (document.errors.length > 0 || !isMap(document.contents)) return null
  const image: unknown = document.get('image')
  const tag: unknown = document.get('tag')
  const digest: unknown = document.get('digest')
  if (typeof tag !== 'string' && typeof tag !== 'number') return null
  return {
    image: typeof image === 'string' ? image : null,
    tag: sourceOf(document.get('tag', true)) ?? String(tag),
    digest: typeof digest === 'string' ? digest : null,
  }
}

/** As it is written: 18.10 is not 18.1. */
function sourceOf(node: unknown): string | null {
  const source = (node as { source?: unknown } | undefined)?.source
  return typeof source === 'string' ? source : null
}
