import { CronExpressionParser } from 'cron-parser'

/** Milliseconds; one that denies keeps closed what others open. */
export type WindowRule = { opens: string; for: number; kind?: 'allow' | 'deny' }

/** A time in which a window stays as it is, open or closed, in milliseconds since 1970. */
export type Stretch = {
  open: boolean
  from: number
  /** Infinity: no end in sight. */
  until: number
}

const minute = 60_000
const day = 24 * 60 * minute

/**
 * Whether a window is open at a moment, and when it opens next. The expression is read on the wall clock of the time
 * zone: an opening in an hour that the clock leaves out comes when the clock goes forward, one in an hour that comes
 * twice comes the first time.
 *
 * The clock changes are applied here, since cron-parser throws ("loop limit exceeded") around them in zones that
 * change at midnight or by half an hour (Africa/Cairo, America/Santiago, Australia/Lord_Howe).
 *
 * @param now milliseconds since 1970
 * @returns `openedAt` (the last time) and `opensAt` (the next time) in milliseconds since 1970
 */
export function windowAt(
  rule: WindowRule,
  timezone: string,
  now: number,
): { open: boolean; openedAt: number; opensAt: number } {
  const wallNow = now + offsetAt(now, timezone)
  const openings = (wall: number) =>
    CronExpressionParser.parse(rule.opens, { tz: 'UTC', currentDate: new Date(wall) })
  // Near a change the clock has shown later times than now: then it begins as much further off.
  const changedBy = Math.abs(offsetAt(now + day, timezone) - offsetAt(now - day, timezone))
  const earlier = openings(wallNow + changedBy + minute)
  let lastOpening: number
  do lastOpening = momentOf(earlier.prev().getTime(), timezone)
  while (lastOpening > now)
  const later = openings(wallNow - minute)
  let opensAt: number
  do opensAt = momentOf(later.next().getTime(), timezone)
  while (opensAt <= now)
  return { open: now < lastOpening + rule.for, openedAt: lastOpening, opensAt }
}

/** Openings that are followed further than that are taken to have no end. */
const mostOpenings = 1_000
/** Not as far back: how long something without an end has been open nobody needs to know. */
const mostOpeningsBefore = 100

/** The last stretches of each window that were asked for; a pass asks for the same ones again and again. */
const known = new Map<string, (Stretch & { sureUntil: number })[]>()
const mostKnown = 50

/**
 * How long a window has been and will be as it is at a moment. Openings that overlap, of a window that lasts longer
 * than the time between two of them, are one.
 *
 * @param now milliseconds since 1970
 */
export function stretchAt(rule: WindowRule, timezone: string, now: number): Stretch {
  const key = `${rule.opens} ${rule.for} ${timezone}`
  const before = known.get(key) ?? []
  const same = before.find(({ from, sureUntil }) => from <= now && now < sureUntil)
  if (same !== undefined) return same
  if (known.size > 100) known.clear()
  const { open, openedAt, opensAt } = windowAt(rule, timezone, now)
  const stretch = open
    ? { open, from: beginOf(rule, timezone, openedAt), ...endOf(rule, timezone, openedAt) }
    : { open, from: openedAt + rule.for, until: opensAt, sureUntil: opensAt }
  known.set(key, [stretch, ...before].slice(0, mostKnown))
  return stretch
}

function endOf(rule: WindowRule, timezone: string, opening: number): { until: number; sureUntil: number } {
  let last = opening
  for (let followed = 0; followed < mostOpenings; followed += 1) {
    const end = last + rule.for
    const { openedAt } = windowAt(rule, timezone, end)
    if (openedAt === last) return { until: end, sureUntil: end }
    last = openedAt
  }
  return { until: Number.POSITIVE_INFINITY, sureUntil: last }
}

function beginOf(rule: WindowRule, timezone: string, opening: number): number {
  let first = opening
  for (let followed = 0; followed < mostOpeningsBefore; followed += 1) {
    const { openedAt } = windowAt(rule, timezone, first - 1)
    if (openedAt + rule.for < first) break
    first = openedAt
  }
  return first
}

/** The moment at which the wall clock first shows that time, or has passed over it. */
function momentOf(wall: number, timezone: string): number {
  const [before, after] = [offsetAt(wall - day, timezone), offsetAt(wall + day, timezone)]
  const [first, second] = [wall - Math.max(before, after), wall - Math.min(before, after)]
  if (first + offsetAt(first, timezone) >= wall) return first
  if (before >= after) return second
  // The clock goes forward between the two; before that it shows less than the time, from then on no less.
  let [low, high] = [first, second]
  while (high - low > minute) {
    const middle = low + Math.floor((high - low) / 2 / minute) * minute
    if (middle + offsetAt(middle, timezone) >= wall) high = middle
    else low = middle
  }
  return high
}

const formats = new Map<string, Intl.DateTimeFormat>()

/** How far the wall clock of a zone is ahead of UTC at a moment, in milliseconds. */
export function offsetAt(moment: number, timezone: string): number {
  const format =
    formats.get(timezone) ??
    new Intl.DateTimeFormat('en-US', {
      timeZone: timezone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  formats.set(timezone, format)
  const parts = new Map(format.formatToParts(moment).map(({ type, value }) => [type, Number(value)]))
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0
  const wall = Date.UTC(
    part('year'),
    part('month') - 1,
    part('day'),
    part('hour'),
    part('minute'),
    part('second'),
  )
  return wall - Math.floor(moment / 1000) * 1000
}
