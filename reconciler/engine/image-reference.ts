/** `name:tag@sha256:...` as Samovar writes it into the image label. */
export function splitReference(reference: string): { name: string; tag: string; digest: string } {
  const [tagged = '', digest = ''] = reference.split('@')
  const colon = tagged.lastIndexOf(':')
  return colon > tagged.lastIndexOf('/')
    ? { name: tagged.slice(0, colon), tag: tagged.slice(colon + 1), digest }
    : { name: tagged, tag: '', digest }
}
