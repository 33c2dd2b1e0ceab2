/**
 * Text of others inside Markdown that Gitea renders: log lines, reasons, names. Inside code nothing of it is a link, a
 * mention, an image or HTML.
 */

/** Control characters and those that turn the direction of writing, which make text look like another. */
const unseen = /[\p{Cc}\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu

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
  text.length <= longest ? text : `${text.slice(0, longest - 1)}…`

const longestRun = (text: string): number =>
  Math.max(0, ...[...text.matchAll(/`+/g)].map((match) => match[0].length))
