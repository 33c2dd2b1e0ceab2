import { createContext, Script } from 'node:vm'

/** A pattern for tags is short; Docker allows tags of 128 characters. */
const longestPattern = 200
const longestTag = 128
const patienceMs = 250

const judged = new Map<string, string | null>()
const context = createContext({ pattern: '', probes: [] as string[] })
const trial = new Script(
  '{ const expression = new RegExp(pattern); for (const probe of probes) expression.test(probe) }',
)

/**
 * Judges a regular expression for tags: it must compile, and it must not take forever on a hostile tag.
 * The time is measured rather than guessed from the form: `(\.\d+)*` is harmless and `(\d+)*$` is not, though they
 * look alike. V8 stops an expression that backtracks when the time of the script is over.
 * @returns what is wrong, or null
 */
export function judgeTagPattern(pattern: string): string | null {
  const known = judged.get(pattern)
  if (known !== undefined) return known
  const judgement = judge(pattern)
  if (judged.size > 1_000) judged.clear()
  judged.set(pattern, judgement)
  return judgement
}

function judge(pattern: string): string | null {
  if (pattern === '') return 'is empty'
  if (pattern.length > longestPattern) return `is longer than ${longestPattern} characters`
  try {
    new RegExp(pattern)
  } catch {
    return 'is not a regular expression that can be read'
  }
  try {
    Object.assign(context, { pattern, probes: probesFor(pattern) })
    trial.runInContext(context, { timeout: patienceMs })
    return null
  } catch {
    return 'takes too long on some tags (a repetition inside a repetition)'
  }
}

/** Long tags that almost match: each letter and some pairs repeated, with an end that fits nothing. */
function probesFor(pattern: string): string[] {
  const letters = new Set([...'01aAz.-_', ...pattern.replace(/[^\w.-]/g, '')])
  const pairs = ['1.', '1-', 'a1', 'ab', 'a-', '1.2', 'v1.']
  return [...letters, ...pairs].map((piece) => `${piece.repeat(longestTag).slice(0, longestTag)}\u0000`)
}
