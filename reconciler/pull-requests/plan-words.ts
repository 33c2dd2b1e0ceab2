import { code } from '../gitea/markdown.ts'
import { durationInWords } from '../health/clock.ts'
import { sizeInWords } from '../rollout/data.ts'
import { spent } from '../wording.ts'
import type { HeadChange, HeadPlan, ToldData, ToldImage } from './head-plan.ts'

/** Marks of direction, joiners and other signs without a shape, and halves of characters. */
const shapeless = /[\p{Cf}\p{Cs}\p{Co}\p{Cn}]/gu
const whiteOrControl = /[\p{Cc}\p{Z}\s]+/gu

/** Text of others on one line, without what is not seen. */
export function plain(text: string, longest: number): string {
  const line = text
    .slice(0, 4 * longest)
    .replaceAll(shapeless, '')
    .replaceAll(whiteOrControl, ' ')
    .trim()
  const characters = [...line]
  return characters.length <= longest ? line : `${characters.slice(0, longest - 1).join('')}…`
}

/**
 * Text of others as code: nothing of it is a link, a mention, an image or HTML there. A `|` would end the cell of a
 * table in some versions even with a backslash before it, so it becomes a sign that looks like it.
 */
export function shown(text: string, longest = 120): string {
  const line = plain(text, longest).replaceAll('|', '¦')
  return line === '' ? '(nothing)' : code(line, 2 * longest + 2)
}

export const listed = (names: string[], most = 12): string => {
  const more = names.length - most
  const all = names.slice(0, most).map((name) => shown(name))
  return more > 0 ? `${all.join(', ')} and ${more} more` : all.join(', ')
}

/** `a`, `b` and `c` */
export const joined = (parts: string[]): string =>
  parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`

/** A sentence of others that may carry a next step. */
export function sentence(text: string, longest = 500): string {
  const [what = '', ...rest] = text.split('; next: ')
  const next = rest.length === 0 ? '' : ` Next: ${shown(rest.join('; next: '), longest)}`
  return `${shown(what, longest)}.${next}`
}

/** Minute in a time zone, such as `2026-11-29 03:15 Europe/Berlin`. */
export function minuteInWords(at: number, timezone: string): string {
  const text = new Intl.DateTimeFormat('sv-SE', {
    timeZone: timezone,
    dateStyle: 'short',
    timeStyle: 'short',
  }).format(at)
  return shown(`${text} ${timezone}`)
}

/** What the change is about in a few words for the heading. */
export function changeInWords(change: HeadChange, mark: (text: string) => string): string {
  const { service, action, image } = change
  const name = mark(service)
  if (action === 'remove') return `stop ${name}`
  if (action === 'start') return `start ${name}`
  const [before, after] = [image?.before?.tag ?? '', image?.after?.tag ?? '']
  if (action === 'create') return after === '' ? `create ${name}` : `create ${name} ${mark(after)}`
  if (image === null) return `replace ${name} (configuration)`
  return before === after || before === ''
    ? `replace ${name} ${mark(after)} (another image)`
    : `replace ${name} ${mark(before)} -> ${mark(after)}`
}

/** How long it is away in all, and whether that is all that is known. */
export function downtimeOfAll(changes: HeadChange[]): string {
  const away = changes.filter((change) => change.action === 'replace' && change.together === null)
  if (changes.some((change) => change.action === 'remove')) return 'what is stopped stays so'
  if (away.length === 0) return 'no downtime'
  const known = away.flatMap(({ downtime }) => downtime?.ms ?? [])
  if (known.length === 0) return 'downtime not known yet: nothing was replaced here before'
  const sum = durationInWords(known.reduce((all, ms) => all + ms, 0))
  return known.length < away.length ? `at least ${sum} of downtime` : `about ${sum} of downtime`
}

export function imageInWords(image: ToldImage | null, other: ToldImage | null): string {
  if (image === null) return '-'
  const name = other !== null && other.name !== image.name && image.name !== '' ? `${shown(image.name)} ` : ''
  const tag = image.tag === '' ? 'made by hand' : shown(image.tag)
  if (image.digest === '') return image.tag === '' ? tag : `${name}${tag} (digest not known yet)`
  return `${name}${tag} ${shown(image.digest.replace('sha256:', '').slice(0, 12))}`
}

/** The list of what differs, short enough for a cell. */
export function differsInWords(change: HeadChange): string {
  const kinds = [
    ...(change.image === null ? [] : ['image']),
    ...(change.fields.length === 0 ? [] : [listed(change.fields, 4)]),
  ]
  return kinds.length === 0 ? '-' : kinds.join(', ')
}

export function startInWords(change: HeadChange, timezone: string): string {
  const { window, held } = change
  if (window?.opensAt) return `${minuteInWords(window.opensAt, timezone)} (window ${shown(window.name)})`
  return held === null ? 'at once' : 'waits, see below'
}

export function downtimeInWords({ action, downtime, together }: HeadChange): string {
  if (together !== null) return `with ${shown(together)}`
  if (action === 'remove') return 'for good'
  if (action !== 'replace') return 'none'
  if (downtime === null) return 'not known yet'
  const of = downtime.of === 'service' ? '' : ' (as other services)'
  return `about ${durationInWords(downtime.ms)}${of}`
}

/** What is copied before it starts, and how large it was last time. */
export function dataInWords(data: ToldData, now: number): string {
  const parts = [
    ...data.databases.map((each) => `database ${shown(each.database)} in ${shown(each.server)}`),
    ...data.volumes.map((volume) => `volume ${shown(volume)}`),
  ]
  const still =
    data.while === 'running' || data.stop.length === 0
      ? 'everything runs on meanwhile'
      : `${listed(data.stop)} ${data.stop.length === 1 ? 'is' : 'are'} ${data.while} meanwhile`
  const last =
    data.last === null
      ? 'no backup of it is known, so nobody knows how large it is'
      : `last time ${sizeInWords(data.last.bytes)}, ${spent(Math.max(0, now - data.last.at))} ago`
  const back = data.restore
    ? 'it goes back when the change is reverted'
    : 'it stays when the change is reverted'
  return `${joined(parts.slice(0, 20))}; ${still}; ${last}; ${back}`
}

/** What the pull request itself asks for; the rest would be done without it. */
export const ownChanges = (plan: Pick<HeadPlan, 'changes'>): HeadChange[] =>
  plan.changes.filter((change) => !change.pending && !change.drift)

/** An aligned table. Cells hold code and our own words only. */
export function table(head: string[], rows: string[][]): string[] {
  const widths = head.map((title, column) =>
    Math.max(3, ...[title, ...rows.map((row) => row[column] ?? '')].map((cell) => [...cell].length)),
  )
  const line = (cells: string[]): string =>
    `| ${cells.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - [...cell].length)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)]
}

/** Gitea takes more, people do not. */
const longest = 60_000

/** By whole lines: each is complete in itself, so no code or table is left open. */
export function cut(lines: string[]): string {
  const kept: string[] = []
  let length = 0
  for (const line of lines) {
    if (length + line.length + 1 > longest - 100) {
      kept.push('', `(${lines.length - kept.length} more lines are left out: this is too long.)`)
      break
    }
    kept.push(line)
    length += line.length + 1
  }
  return `${kept.join('\n').trimEnd()}\n`
}
