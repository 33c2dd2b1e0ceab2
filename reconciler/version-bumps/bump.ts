import { isDeepStrictEqual } from 'node:util'
import { isMap, isScalar, type Pair, parse, parseDocument, type Scalar, type YAMLMap } from 'yaml'
import { parseYamlFile } from '../desired-state/yaml-file.ts'
import { isMergePair, keyText } from '../desired-state/yaml-positions.ts'
import { SamovarError } from '../errors.ts'
import { isDigest, isTag } from './image-name.ts'

/** `digest` null: the file names none afterwards. */
export type Bump = { tag: string; digest: string | null }

/** One place of the text that gets another content; both ends are offsets. */
type Edit = { from: number; to: number; text: string }

/** A file, decoded: a byte order mark and its ends of line are kept. */
type Source = { file: string; text: string }

/**
 * Writes another version into a service file. Only the values of `tag` and `digest` change, every other byte stays:
 * comments, layout, ends of line, and the quotes as long as the new value allows. A digest that was missing comes
 * on a line of its own after the tag; one that is not wanted any more goes with its line.
 *
 * The result is read again and compared, so what comes back differs in these two values and in nothing else.
 *
 * @param text the whole file, decoded, a byte order mark included
 * @param file its name for the message, relative to the repository
 * @throws SamovarError `desired-state-invalid` with file:line:column when that cannot be done: the value is an alias,
 *   has an anchor, is merged in, spans several lines or is not there
 */
export function bumpFile(text: string, change: Bump, file = 'the service file'): string {
  const source = { file, text }
  if (!isTag(change.tag)) throw refused(source, 0, 'tag', 'cannot become what is no tag')
  if (change.digest !== null && !isDigest(change.digest))
    throw refused(source, 0, 'digest', 'cannot become what is no digest')
  const map = mappingOf(source)
  const tag = pairOf(source, map, 'tag')
  if (tag === null) throw refused(source, 0, 'tag', 'is not in the file itself, expected it there')
  const digest = pairOf(source, map, 'digest')
  const edits = [replacement(source, tag, change.tag)]
  if (digest !== null)
    edits.push(
      change.digest === null ? removal(source, map, digest) : replacement(source, digest, change.digest),
    )
  else if (change.digest !== null) edits.push(addition(source, map, { tag, digest: change.digest }))
  const bumped = edited(text, edits)
  if (!isExactly(source, bumped, change))
    throw refused(source, tag.value.range[0], 'tag', 'is written in a way that cannot be edited by itself')
  return bumped
}

type Located = { key: Scalar & Ranged; value: Scalar & Ranged; pair: Pair }
type Ranged = { range: [number, number, number] }

function mappingOf(source: Source): YAMLMap & Ranged {
  const document = parseDocument(source.text, { uniqueKeys: false, prettyErrors: false, logLevel: 'error' })
  const [error] = document.errors
  if (error !== undefined) throw refused(source, error.pos[0], 'file', 'cannot be read as YAML')
  const { contents } = document
  if (!isMap(contents) || !contents.range) throw refused(source, 0, 'file', 'is no mapping')
  return contents as YAMLMap & Ranged
}

/** A key of the file itself with a value on one line; null when the key is not there. */
function pairOf(source: Source, map: YAMLMap, name: string): Located | null {
  const pairs = map.items.filter((pair) => !isMergePair(pair) && keyText(pair.key) === name)
  const [pair] = pairs
  if (pair === undefined) return null
  const { key, value } = pair
  const at = (isScalar(key) ? key.range?.[0] : undefined) ?? 0
  if (pairs.length > 1) throw refused(source, at, name, 'stands here a second time')
  if (!isScalar(key) || !key.range) throw refused(source, at, name, 'has a key that is no text')
  if (!isScalar(value) || !value.range || typeof value.value !== 'string')
    throw refused(source, at, name, 'is no text of its own (an alias?), expected the value written here')
  if (value.anchor) throw refused(source, at, name, 'has an anchor (&), so other places use the same value')
  const written = source.text.slice(value.range[0], value.range[1])
  if (/[\r\n]/.test(written) || value.type === 'BLOCK_LITERAL' || value.type === 'BLOCK_FOLDED')
    throw refused(source, at, name, 'spans several lines, expected one')
  return { key: key as Located['key'], value: value as Located['value'], pair }
}

function replacement(source: Source, { value }: Located, text: string): Edit {
  const [from, to] = value.range
  const written = source.text.slice(from, to)
  const quote = written.startsWith('"') || written.startsWith("'") ? written.charAt(0) : ''
  return { from, to, text: inQuotes(text, quote) }
}

/** 18.6 without quotes would be a number; quotes come where they were not needed before. */
function inQuotes(text: string, quote: string): string {
  if (quote !== '') return `${quote}${text}${quote}`
  return parse(text) === text ? text : `"${text}"`
}

/** In the style of the tag's own key; with the quotes that `image` has, which needs none either. */
function addition(source: Source, map: YAMLMap, about: { tag: Located; digest: string }): Edit {
  const { text } = source
  const { key, value } = about.tag
  const keyWritten = text.slice(key.range[0], key.range[1])
  const keyQuote = /^["']/.exec(keyWritten)?.[0] ?? ''
  const between = text.slice(key.range[1], value.range[0])
  const separator = /^:[ \t]*$/.test(between) ? between : ': '
  const image = map.items.find((pair) => keyText(pair.key) === 'image')?.value
  const imageQuote = isScalar(image) && image.range ? /^["']/.exec(text.slice(image.range[0])) : null
  const written = inQuotes(about.digest, imageQuote?.[0] ?? '')
  const line = `${keyQuote}digest${keyQuote}${separator}${written}`
  if (map.flow)
    return { from: value.range[1], to: value.range[1], text: `${separator === ':' ? ',' : ', '}${line}` }
  const end = endOfLine(text, value.range[1])
  const indent = text.slice(startOfLine(text, key.range[0]), key.range[0])
  if (!/^[ \t\uFEFF]*$/.test(indent))
    throw refused(source, key.range[0], 'tag', 'is not the first thing on its line, expected it there')
  const newline = text.includes('\r\n') ? '\r\n' : '\n'
  return { from: end, to: end, text: `${newline}${indent.replace('\uFEFF', '')}${line}` }
}

function removal(source: Source, map: YAMLMap & Ranged, digest: Located): Edit {
  const { text } = source
  const { key, value } = digest
  if (map.flow) return removalInFlow(source, map, digest)
  const start = startOfLine(text, key.range[0])
  if (!/^[ \t]*$/.test(text.slice(start, key.range[0])))
    throw refused(source, key.range[0], 'digest', 'is not the first thing on its line, expected it there')
  const end = endOfLine(text, value.range[1])
  const after = /^\r?\n/.exec(text.slice(end, end + 2))?.[0].length
  // The last line of a file without an end of line takes the one before it along.
  if (after === undefined)
    return { from: start - (/\r?\n$/.exec(text.slice(0, start))?.[0].length ?? 0), to: end, text: '' }
  return { from: start, to: end + after, text: '' }
}

/** With the comma before it, or with the one after it when it stands first. */
function removalInFlow(source: Source, map: YAMLMap, { key, value, pair }: Located): Edit {
  const at = map.items.indexOf(pair)
  const before = map.items[at - 1]?.value as Partial<Ranged> | null | undefined
  const next = map.items[at + 1]?.key as Partial<Ranged> | undefined
  const edit = before?.range
    ? { from: before.range[1], to: value.range[1], text: '' }
    : { from: key.range[0], to: next?.range?.[0] ?? value.range[1], text: '' }
  if (source.text.slice(edit.from, edit.to).includes('#'))
    throw refused(source, key.range[0], 'digest', 'has a comment beside it that would go with it')
  return edit
}

const startOfLine = (text: string, offset: number): number => text.lastIndexOf('\n', offset - 1) + 1

/** Before the end of line itself. */
function endOfLine(text: string, offset: number): number {
  const newline = text.indexOf('\n', offset)
  if (newline < 0) return text.length
  return text[newline - 1] === '\r' ? newline - 1 : newline
}

function edited(text: string, edits: Edit[]): string {
  return edits
    .toSorted((one, other) => other.from - one.from)
    .reduce((before, { from, to, text: content }) => before.slice(0, from) + content + before.slice(to), text)
}

/** Read again, the file says the new version, and everything else as before. */
function isExactly(source: Source, bumped: string, change: Bump): boolean {
  const before = valueOf(source.text)
  const after = valueOf(bumped)
  if (before === null || after === null) return false
  const { tag: _tag, digest: _digest, ...rest } = before
  const { tag, digest, ...restAfter } = after
  return tag === change.tag && (digest ?? null) === change.digest && isDeepStrictEqual(rest, restAfter)
}

function valueOf(text: string): Record<string, unknown> | null {
  const { yaml } = parseYamlFile('', text.replace(/^\uFEFF/, ''))
  const value = yaml?.value ?? null
  return value === null || typeof value !== 'object' ? null : (value as Record<string, unknown>)
}

function refused({ file, text }: Source, offset: number, key: string, message: string): SamovarError {
  const before = text.slice(0, offset).split('\n')
  const place = `${before.length}:${(before.at(-1)?.length ?? 0) + 1}`
  return new SamovarError('desired-state-invalid', `${file}:${place}: ${key}: ${message}`, {
    next: 'Write the new version into the file by hand, or write `tag` and `digest` as plain values on their own lines.',
  })
}
