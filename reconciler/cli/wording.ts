import { clockTime, spent, versionInWords } from '../wording.ts'

export { clockTime, spent, versionInWords }

/** `12 s ago`, from an ISO time or milliseconds. */
export function ago(at: string | number, now: number): string {
  const since = now - (typeof at === 'number' ? at : Date.parse(at))
  return since < 1000
    ? 'just now'
    : `${spent(since).replace(/ (\d+) \w+$/, (rest) => (since < 120_000 ? rest : ''))} ago`
}

/** ` (starts in 2 d 14 h)`, behind the reason of what is held; nothing when it does not start by itself. */
export function startsIn(at: string | number | null | undefined, now: number): string {
  // A status that an earlier version remembered has none.
  if (at == null) return ''
  const left = (typeof at === 'number' ? at : Date.parse(at)) - now
  return left < 60_000 ? ' (starts within a minute)' : ` (starts in ${spent(left)})`
}

/** `12.3 MB`; as `docker pull` counts them. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = count / 1000
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${value.toFixed(value < 100 ? 1 : 0)} ${units[unit]}`
}

/** A sentence with its next step, taken apart: hold reasons carry both as `...; next: ...`. */
export function sentenceAndNext(text: string): { sentence: string; next: string | null } {
  const at = text.indexOf('; next: ')
  return at === -1
    ? { sentence: text, next: null }
    : { sentence: text.slice(0, at), next: text.slice(at + 8) }
}

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
