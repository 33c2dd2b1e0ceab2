/**
 * Text of others inside Markdown that Gitea renders: log lines, reasons, names. Inside code nothing of it is a link, a
 * mention, an image or HTML.
 */

/**
 * Control characters, and those that nobody sees or that turn the direction of writing, which make text look like
 * another. Half of a surrogate pair would come back as another character and never be equal to what was said.
 */
const unseen = /[\p{Cc}\p{Cf}\p{Cs}]/gu

/** One line as code; `|` is kept out of the way of tables. */
export function code(text: string, longest = 200): string {
  const line = bounded(text.replaceAll(/\s+/g, ' ').replaceAll(unseen, '').trim(), longest)
  if (line === '') return ''
  const fence = '`'.repeat(longestRun(line) + 1)
  const pad = line.startsWith('`') || line.endsWith('`') ? ' ' : ''
  return `${fence}${pad}${line.replaceAll('|', '\\|')}${pad}${fence}`
}

/** Several lines as a block of code. */
export function block(text: string, longest = 8_000): string {
  const lines = text
    .split('\n')
    .map((line) => line.replaceAll('\t', '    ').replaceAll(unseen, ''))
    .join('\n')
  const fence = '`'.repeat(Math.max(3, longestRun(lines) + 1))
  return `${fence}text\n${bounded(lines, longest)}\n${fence}`
}

const bounded = (text: string, longest: number): string =>
  text.length <= longest ? text : `${text.slice(0, longest - 1).replace(/\p{Cs}$/u, '')}…`

const longestRun = (text: string): number =>
  Math.max(0, ...[...text.matchAll(/`+/g)].map((match) => match[0].length))
