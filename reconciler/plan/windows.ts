import { CronExpressionParser } from 'cron-parser'

export type WindowRule = { opens: string; for: number }

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
  // A day more than needed on both sides: no clock is changed by as much.
  const earlier = openings(wallNow + day)
  let lastOpening: number
  do lastOpening = momentOf(earlier.prev().getTime(), timezone)
  while (lastOpening > now)
  const later = openings(wallNow - day)
  let opensAt: number
  do opensAt = momentOf(later.next().getTime(), timezone)
  while (opensAt <= now)
  return { open: now < lastOpening + rule.for, openedAt: lastOpening, opensAt }
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
