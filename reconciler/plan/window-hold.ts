import { spent } from '../wording.ts'
import { type Obstacle, type Start, type Windows, whenToStart } from './when-to-start.ts'
import type { WindowRule } from './windows.ts'

/** Why a change is not done now, and when it starts by itself. */
export type Held = {
  /** A sentence with the next step. */
  reason: string
  /** Milliseconds since 1970; null when a person has to do something first, or no moment is in sight. */
  startsAt: number | null
}

/** What windows.ts and when-to-start.ts are asked with. */
export type WindowStanding = {
  timezone: string
  windows: Record<string, WindowRule>
  /** How long the roll-out of a service is expected to take, in milliseconds. */
  takes: ReadonlyMap<string, number>
}

/** A roll-out that is judged: of a service, or of several that are swapped together. */
export type Swap = { services: string[]; windows: (string | null)[] }

/**
 * Whether windows hold a roll-out at a moment: those that are named, and every one that denies.
 *
 * @param at milliseconds since 1970
 */
export function heldByWindows(swap: Swap, standing: WindowStanding, at: number): Held | null {
  const takes = Math.max(0, ...swap.services.map((service) => standing.takes.get(service) ?? 0))
  const start = whenToStart(windowsOf(swap, standing), at, takes)
  if (start.obstacle === null) return null
  const { timezone } = standing
  const sentence = `${obstacleInWords(start.obstacle, timezone, takes)}${startInWords(start, timezone, takes)}`
  const next =
    start.at === null
      ? 'change the windows in host.yaml, or samovar apply --now'
      : 'wait, or samovar apply --now'
  return { reason: `${sentence}; next: ${next}`, startsAt: start.at }
}

/** The windows that count for a roll-out. */
export function windowsOf(
  { windows }: Pick<Swap, 'windows'>,
  standing: Pick<WindowStanding, 'timezone' | 'windows'>,
): Windows {
  const all = Object.entries(standing.windows).map(([name, rule]) => ({ name, rule }))
  return {
    allow: all.filter(({ name, rule }) => rule.kind !== 'deny' && windows.includes(name)),
    deny: all.filter(({ rule }) => rule.kind === 'deny'),
    timezone: standing.timezone,
  }
}

function obstacleInWords({ kind, window, until }: Obstacle, timezone: string, takes: number): string {
  const name = `the window "${window.name}"`
  switch (kind) {
    case 'closed':
      return `waits for ${name}, which opens at ${moment(until, timezone)}`
    case 'denied':
      return until === Number.POSITIVE_INFINITY
        ? `${name} denies changes, without an end`
        : `${name} denies changes until ${moment(until, timezone)}`
    case 'too short':
      return window.rule.kind === 'deny'
        ? `would take about ${spent(takes)}, and ${name} denies changes from ${moment(until, timezone)}`
        : `would take about ${spent(takes)}, and ${name} closes at ${moment(until, timezone)}`
    default:
      return kind satisfies never
  }
}

function startInWords({ obstacle, at, fits }: Start, timezone: string, takes: number): string {
  if (at === null) return '; no moment is in sight at which it could start'
  const isThen = obstacle?.until === at && obstacle.kind !== 'too short'
  if (!fits)
    return `; starts at ${moment(at, timezone)}, when a long opening begins: it takes about ${spent(takes)} and fits into none`
  if (isThen) return obstacle.kind === 'closed' ? '' : ' and it starts then'
  return `; starts at ${moment(at, timezone)}`
}

/** `Sun 2026-11-29 03:15` in the host's time zone. */
export function moment(at: number, timezone: string): string {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone: timezone,
    weekday: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(at)
  const part = (type: string): string => parts.find((each) => each.type === type)?.value ?? ''
  return `${part('weekday')} ${part('year')}-${part('month')}-${part('day')} ${part('hour')}:${part('minute')}`
}
