import type { Change } from './change.ts'
import { shortImage, type Target } from './target.ts'
import { type WindowRule, windowAt } from './windows.ts'

/** What stands beside the desired state and may hold a change back. */
export type Standing = {
  now: number
  timezone: string
  windows: Record<string, WindowRule>
  /** `apply --now`: windows and growing pauses are ignored, quarantine and pauses are not. */
  ignoreWindows: boolean
  paused: ReadonlySet<string>
  /** Services whose last operation could neither go on nor go back, for the same target as now. */
  stuck: { service: string; operation: string; reason: string }[]
  quarantined: { service: string; digest: string; configuration: string; reason: string; operation: string }[]
  /** Services whose data is only half put back. */
  dirty: { service: string; backup: string }[]
  setbacks: { service: string; target: string; count: number; nextAt: number; reason: string }[]
  /** What the last roll-out that held made of each service: digest and configuration. */
  lastApplied: Map<string, string>
}

/**
 * Why a change is not done now, in a sentence with the next step, or null when it is done. The order is that of
 * importance to the reader: what a person said, what cannot work, what did not work, what waits for its time.
 */
export function hold(target: Target, change: Change, standing: Standing): string | null {
  if (standing.paused.has(target.service)) return `paused by a person; next: samovar resume ${target.service}`
  const dirty = standing.dirty.find((each) => each.service === target.service)
  if (dirty !== undefined) {
    return `its data is only half put back from backup ${dirty.backup}, so nothing is started on it; next: samovar restore ${dirty.backup}`
  }
  const stuck = standing.stuck.find((each) => each.service === target.service)
  if (stuck !== undefined) {
    return `stuck: ${stuck.reason}; next: look at it (samovar show ${stuck.operation}), then samovar retry ${target.service}`
  }
  if (target.problem !== null && change.action !== 'start') return target.problem
  const quarantine = standing.quarantined.find(
    (each) =>
      each.service === target.service &&
      each.digest === target.image.digest &&
      each.configuration === target.configuration,
  )
  if (quarantine !== undefined && change.action !== 'start') {
    return `quarantined: ${shortImage(target.image)} was reverted (${quarantine.reason}); next: push a fix, or samovar retry ${target.service}`
  }
  if (standing.ignoreWindows) return null
  const setback = standing.setbacks.find(
    (each) =>
      each.service === target.service && each.target === `${target.image.digest} ${target.configuration}`,
  )
  if (setback !== undefined && setback.nextAt > standing.now) {
    return `tried ${setback.count === 1 ? 'once' : `${setback.count} times`} (${setback.reason}); next try at ${moment(setback.nextAt, standing.timezone)}, or samovar retry ${target.service}`
  }
  return heldByWindow(target, change, standing)
}

/** Windows hold what a commit changes in a running service; a missing or stopped container is mended at any time. */
function heldByWindow(target: Target, change: Change, standing: Standing): string | null {
  if (target.window === null || change.drift || change.action !== 'replace') return null
  const rule = standing.windows[target.window]
  if (rule === undefined) return null
  const { open, opensAt } = windowAt(rule, standing.timezone, standing.now)
  return open
    ? null
    : `waits for the window "${target.window}", which opens at ${moment(opensAt, standing.timezone)}; samovar apply --now does it at once`
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
