import { type Stretch, stretchAt, type WindowRule } from './windows.ts'

export type NamedWindow = { name: string; rule: WindowRule }

/** The windows that count for one roll-out: all of `allow` must be open, and none of `deny`. */
export type Windows = { allow: NamedWindow[]; deny: NamedWindow[]; timezone: string }

/**
 * Why a roll-out does not start now: one window is closed or denies (until then), or the time that is left is too short
 * (until then, because that window closes or, when it denies, opens). An opening that `is over half` is too far gone for
 * what takes longer than every opening.
 */
export type Obstacle = { kind: 'closed' | 'denied' | 'too short'; window: NamedWindow; until: number }

export type Start = {
  /** Null: now. */
  obstacle: Obstacle | null
  /** The first moment at which it may start, in milliseconds since 1970; null: none is in sight. */
  at: number | null
  /** False: it takes longer than every opening that is known, and starts with a long one nevertheless. */
  fits: boolean
}

const day = 24 * 60 * 60_000
/** How far ahead an opening is looked for that is long enough, and how many of them at most. */
const horizon = 31 * day
const mostSteps = 300

/**
 * When a roll-out that takes so long may start: while all is open, and early enough to be over before something
 * closes. What fits into no opening of the next 31 days would wait for ever: it starts in the first half of the longest
 * one, which leaves a daemon that is busy the time to come to it.
 *
 * @param now milliseconds since 1970
 * @param takes how long the roll-out is expected to take, in milliseconds
 */
export function whenToStart(windows: Windows, now: number, takes: number): Start {
  if (windows.allow.length + windows.deny.length === 0) return { obstacle: null, at: now, fits: true }
  const here = openAt(windows, now)
  if (here.obstacle === null && now + takes <= here.until) return { obstacle: null, at: now, fits: true }
  const obstacle = here.obstacle ?? { kind: 'too short', window: here.ends, until: here.until }
  const coming = openings(windows, here.until, now + horizon, takes)
  const last = coming.at(-1)
  if (last !== undefined && lengthOf(last) >= takes) return { obstacle, at: last.from, fits: true }
  const longest = coming.toSorted((a, b) => lengthOf(b) - lengthOf(a))[0]
  if (here.obstacle === null && lengthOf(here) >= (longest === undefined ? 0 : lengthOf(longest))) {
    const isEarly = now < here.from + lengthOf(here) / 2
    if (isEarly) return { obstacle: null, at: now, fits: false }
  }
  return { obstacle, at: longest?.from ?? null, fits: false }
}

const lengthOf = ({ from, until }: { from: number; until: number }): number => until - from

/** The time around a moment in which no window changes. `obstacle` null: all is open in it, until `ends` ends that. */
type Opening = { from: number; until: number; ends: NamedWindow; obstacle: Obstacle | null }

function openAt({ allow, deny, timezone }: Windows, at: number): Opening {
  const seen = [...deny, ...allow].map((window) => ({ window, ...stretchAt(window.rule, timezone, at) }))
  const shut = seen.filter(({ open, window }) => open === isDenying(window))
  const first = (shut.length === 0 ? seen.toSorted(endingFirst) : shut.toSorted(endingLast))[0]
  if (first === undefined) throw new Error('no window was asked about')
  const { window, until } = first
  const kind = isDenying(window) ? 'denied' : 'closed'
  return {
    from: Math.max(...seen.map(({ from }) => from)),
    until,
    ends: window,
    obstacle: shut.length === 0 ? null : { kind, window, until },
  }
}

const isDenying = ({ rule }: NamedWindow): boolean => rule.kind === 'deny'
const endingFirst = (a: Stretch, b: Stretch): number => a.until - b.until
/** Of two that are shut as long the one that denies is named, which comes first. */
const endingLast = (a: Stretch, b: Stretch): number => b.until - a.until

/** The openings from a moment on, up to the first that is long enough. */
function openings(windows: Windows, begin: number, end: number, takes: number): Opening[] {
  const found: Opening[] = []
  let at = begin
  for (let step = 0; step < mostSteps && at !== Number.POSITIVE_INFINITY; step += 1) {
    if (at > end && found.length > 0) break
    const next = openAt(windows, at)
    if (next.obstacle === null) {
      found.push(next)
      if (lengthOf(next) >= takes) break
    }
    at = next.until
  }
  return found
}
