/** Short values are words of every sentence, so those go only where they stand alone. */
const longEnough = 4
/** Nobody has as many, and looking for them takes time: then nothing is shown at all. */
const mostValues = 2_000
const longestText = 2_000

/**
 * Hides the plain values of `variables` in texts that are told on a pull request: Compose quotes a value that it cannot
 * use, whole or a part of it. Values of secrets are not looked for here: nothing that is told was ever near one, and a
 * secret that is blotted out of a stranger's text tells the stranger that he guessed it.
 *
 * @param variables the `variables` of the head as far as they could be read, and those in force
 */
export function hiding(variables: unknown[]): (text: string) => string {
  const values = [...new Set(variables.flatMap(textsOf).flatMap(withParts))].filter((value) => value !== '')
  if (values.length > mostValues) return () => '***'
  const patterns = values
    .sort((a, b) => b.length - a.length)
    .map((value) => new RegExp(aloneWhenShort(value), 'gu'))
  return (text) =>
    patterns.reduce((masked, pattern) => masked.replace(pattern, '***'), text.slice(0, longestText))
}

function textsOf(variables: unknown): string[] {
  if (typeof variables !== 'object' || variables === null) return []
  return Object.values(variables)
    .filter((value) => typeof value !== 'object')
    .map(String)
}

/** `80:x9f2` is quoted as `x9f2` when that is the half that is wrong. Plain words stay words. */
function withParts(value: string): string[] {
  const parts = value
    .split(/[^\p{L}\p{N}_.-]+/u)
    .filter((part) => part.length >= longEnough && (/\d/.test(part) || part.length >= 2 * longEnough))
  return [value, JSON.stringify(value).slice(1, -1), ...parts]
}

function aloneWhenShort(value: string): string {
  const literal = value.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
  return value.length >= longEnough ? literal : `(?<![\\p{L}\\p{N}_])${literal}(?![\\p{L}\\p{N}_])`
}
