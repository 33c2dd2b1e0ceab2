import type { CommitStatus } from '../gitea/forge.ts'

/**
 * Whether every status that the branch requires is there and good. Without any rule every status that is there must be
 * good. Gitea judges once more when it merges; this only keeps what it would refuse, or some versions would let pass
 * (1.22 looks at the first match of a pattern alone), from being tried.
 *
 * @param required patterns as in branch protection: `*`, `?`, `[...]`, `{a,b}`; null: no rule
 */
export function requiredAreGreen(required: string[] | null, statuses: CommitStatus[]): boolean {
  const isGood = ({ state }: CommitStatus): boolean => state === 'success' || state === 'skipped'
  if (required === null || required.length === 0) return statuses.length > 0 && statuses.every(isGood)
  return required.every((pattern) => {
    const expression = patternOf(pattern)
    const matched = statuses.filter((each) => expression.test(each.context))
    return matched.length > 0 && matched.every(isGood)
  })
}

/** `*` goes over `/` too, as in Gitea. A pattern that cannot be read matches itself only. */
function patternOf(pattern: string): RegExp {
  let depth = 0
  const source = pattern.replaceAll(/\\.|\[[^\]]+\]|[*?{},]|[^\\[*?{},]+|./gs, (part) => {
    if (part === '*') return '.*'
    if (part === '?') return '.'
    if (part === '{') return ++depth > 0 ? '(?:' : ''
    if (part === '}' && depth > 0) return depth-- > 0 ? ')' : ''
    if (part === ',' && depth > 0) return '|'
    if (part.startsWith('[') && part.length > 2) return part.replace(/^\[!/, '[^')
    return part.startsWith('\\') ? escaped(part.slice(1)) : escaped(part)
  })
  try {
    return new RegExp(`^${source}$`, 's')
  } catch {
    return new RegExp(`^${escaped(pattern)}$`, 's')
  }
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
