/** Keys, values and paths as findings show them: on one line, short, without control characters. */

const longest = 60

/** A text in back quotes, shortened, with control characters (a terminal would obey them) written as escapes. */
export function quoted(text: string): string {
  const shortened = text.length > longest ? `${text.slice(0, longest)}…` : text
  return `\`${printable(shortened)}\``
}

/** The text with line ends, escape sequences, direction marks and lone surrogates written as `\u....`. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** `health.checks[0].http`; a key that would read badly is put into brackets and quotes. */
export function keyPath(path: readonly (string | number)[]): string {
  if (path.length === 0) return 'file'
  return path.map((part, index) => keyPart(part, index === 0)).join('')
}

function keyPart(part: string | number, first: boolean): string {
  if (typeof part === 'number') return `[${part}]`
  if (/^[\p{L}\p{N}_-]{1,60}$/u.test(part)) return first ? part : `.${part}`
  const shortened = part.length > longest ? `${part.slice(0, longest)}…` : part
  return `["${printable(shortened)}"]`
}

/** `a, b or c` */
export function oneOf(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}

/** The name that was most likely meant, or null when none is near. */
export function nearest(name: string, known: readonly string[]): string | null {
  if (name.length > longest) return null
  const near = known
    .map((candidate) => ({ candidate, steps: editSteps(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, steps }) => steps <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((one, other) => one.steps - other.steps)
  return near[0]?.candidate ?? null
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one text into the other. */
function editSteps(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1] ? 0 : 1
      const swapped =
        row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current[column] = Math.min(
        at(rows, row - 1, column) + 1,
        (current[column - 1] ?? 0) + 1,
        at(rows, row - 1, column - 1) + same,
        swapped ? at(rows, row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    rows.push(current)
  }
  return at(rows, from.length, to.length)
}

function at(rows: number[][], row: number, column: number): number {
  return rows[row]?.[column] ?? 0
}
