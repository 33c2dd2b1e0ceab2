/**
 * When windows are open, found by walking over every minute of a time with the clock on the wall, and a cron matcher
 * of its own: nothing of it is what production calculates with.
 */

export const minute = 60_000
const quarter = 15 * minute

export type Walk = { from: number; count: number; timezone: string }

/** The wall clock at each minute, as minutes of a calendar without time zones. */
export function wallClocks({ from, count, timezone }: Walk): Int32Array {
  const format = new Intl.DateTimeFormat('sv-SE', {
    timeZone: timezone,
    dateStyle: 'short',
    timeStyle: 'short',
  })
  const walls = new Int32Array(count)
  for (let at = 0; at < count; at += 15) {
    // `2026-03-29 03:15`; no clock of these years is changed within a quarter of an hour.
    const wall = Date.parse(`${format.format(from + at * minute).replace(' ', 'T')}:00Z`) / minute
    for (let more = 0; more < 15 && at + more < count; more += 1) walls[at + more] = wall + more
  }
  if (from % quarter !== 0) throw new Error('a walk begins at a quarter of an hour')
  return walls
}

/** The minutes at which a window opens: each minute of the wall counts when it is first shown, or was passed over. */
export function openingsOn(walls: Int32Array, expression: string): Uint8Array {
  const matches = matcher(expression)
  const opens = new Uint8Array(walls.length)
  let shown = (walls[0] ?? 0) - 1
  for (let at = 0; at < walls.length; at += 1) {
    for (const wall = walls[at] ?? 0; shown < wall; ) {
      shown += 1
      if (matches(shown)) opens[at] = 1
    }
  }
  return opens
}

/** 1 at each minute in which the window is open. */
export function openOn(opens: Uint8Array, forMinutes: number): Uint8Array {
  const open = new Uint8Array(opens.length)
  let last = Number.NEGATIVE_INFINITY
  for (let at = 0; at < opens.length; at += 1) {
    if (opens[at] === 1) last = at
    open[at] = at < last + forMinutes ? 1 : 0
  }
  return open
}

/** At each minute the first one from it on that is set, or -1. */
export function nextOn(set: Uint8Array): Int32Array {
  const next = new Int32Array(set.length)
  let coming = -1
  for (let at = set.length - 1; at >= 0; at -= 1) {
    if (set[at] === 1) coming = at
    next[at] = coming
  }
  return next
}

/** 1 at each minute from which on so many minutes are set. */
export function roomOn(set: Uint8Array, minutes: number): Uint8Array {
  const room = new Uint8Array(set.length)
  let run = 0
  for (let at = set.length - 1; at >= 0; at -= 1) {
    run = set[at] === 1 ? run + 1 : 0
    room[at] = run >= Math.max(minutes, 1) ? 1 : 0
  }
  return room
}

function matcher(expression: string): (wall: number) => boolean {
  const [minutes, hours, days, months, weekdays] = expression.split(' ').map(numbersOf)
  const anyDay = expression.split(' ')[2] === '*' || expression.split(' ')[4] === '*'
  return (wall) => {
    if (minutes?.has(wall % 60) === false) return false
    const date = new Date(wall * minute)
    const isDay = days?.has(date.getUTCDate()) === true
    const isWeekday = weekdays?.has(date.getUTCDay()) === true
    return (
      hours?.has(date.getUTCHours()) === true &&
      months?.has(date.getUTCMonth() + 1) === true &&
      (anyDay ? isDay && isWeekday : isDay || isWeekday)
    )
  }
}

function numbersOf(field: string): Set<number> {
  const numbers = new Set<number>()
  for (const part of field.split(',')) {
    const [range = '', step = '1'] = part.split('/')
    const [first, last] = range === '*' ? [0, 59] : range.split('-').map(Number)
    for (let each = first ?? 0; each <= (last ?? first ?? 0); each += Number(step)) numbers.add(each)
  }
  return numbers
}
