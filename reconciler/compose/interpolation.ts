/** `$NAME` and `${NAME...}` in the texts of a Compose file, as Compose itself reads them. */

type Variable = { name: string; operator: string; argument: string }

/** Index of the brace that closes the one before `start`, or -1. */
function closing(text: string, start: number): number {
  let depth = 1
  for (let index = start; index < text.length; index += 1) {
    if (text[index] === '{' && text[index - 1] === '$') depth += 1
    if (text[index] === '}') depth -= 1
    if (depth === 0) return index
  }
  return -1
}

function variableAt(text: string, at: number): { variable: Variable; end: number } | null {
  const braced = text[at + 1] === '{'
  const name = /^[A-Za-z_][A-Za-z0-9_]*/.exec(text.slice(at + (braced ? 2 : 1)))?.[0]
  if (name === undefined) return null
  if (!braced) return { variable: { name, operator: '', argument: '' }, end: at + 1 + name.length }
  const end = closing(text, at + 2)
  if (end < 0) return null
  const rest = text.slice(at + 2 + name.length, end)
  const operator = /^:?[-?+]/.exec(rest)?.[0] ?? ''
  return { variable: { name, operator, argument: rest.slice(operator.length) }, end: end + 1 }
}

/** Calls back for each variable of the text and answers the text with what it answered instead. */
function replaceVariables(text: string, replace: (variable: Variable) => string): string {
  let result = ''
  for (let at = 0; at < text.length; ) {
    const found = text[at] === '$' && text[at + 1] !== '$' ? variableAt(text, at) : null
    if (found) {
      result += replace(found.variable)
      at = found.end
      continue
    }
    if (text.startsWith('$$', at)) at += 1
    result += text[at]
    at += 1
  }
  return result
}

/** The text with the variables in it replaced; an unknown one without a default is empty, as in Compose. */
export function interpolate(text: string, variables: Record<string, string>): string {
  return replaceVariables(text, ({ name, operator, argument }) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined
    const counts = operator.startsWith(':') ? Boolean(value) : value !== undefined
    if (operator.endsWith('+')) return counts ? interpolate(argument, variables) : ''
    if (operator.endsWith('-') && !counts) return interpolate(argument, variables)
    return value ?? ''
  })
}

/** Names in a text that are neither in `variables` nor have a default. */
export function unknownVariables(text: string, variables: Record<string, string>): string[] {
  const unknown: string[] = []
  replaceVariables(text, ({ name, operator, argument }) => {
    const isKnown = Object.hasOwn(variables, name)
    if (operator.endsWith('-') || operator.endsWith('+'))
      unknown.push(...unknownVariables(argument, variables))
    else if (!isKnown) unknown.push(name)
    return ''
  })
  return [...new Set(unknown)]
}
