import { readFile } from 'node:fs/promises'

/** A fenced block of a document: what it is (`sh`, `js`), its text, and the heading it stands under. */
export type Block = { heading: string; kind: string; text: string }

/** Every fenced block of a Markdown file, in order. */
export async function blocksOf(file: string): Promise<Block[]> {
  const blocks: Block[] = []
  let heading = ''
  let block: Block | null = null
  for (const line of (await readFile(file, 'utf8')).split('\n')) {
    const fence = /^```(.*)$/.exec(line)
    if (fence !== null && block === null) block = { heading, kind: fence[1] ?? '', text: '' }
    else if (fence !== null && block !== null) {
      blocks.push(block)
      block = null
    } else if (block !== null) block.text += `${line}\n`
    else heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading
  }
  return blocks
}

/**
 * A command with its words in capitals replaced.
 *
 * @throws Error when a word is left that looks like one and is not known
 */
export function filledIn(text: string, words: Record<string, string>): string {
  const names = Object.keys(words).toSorted((a, b) => b.length - a.length)
  return text.replace(new RegExp(`(?<!\\w)(?:${names.join('|')})(?!\\w)`, 'g'), (name) => words[name] ?? name)
}
