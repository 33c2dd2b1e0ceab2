import type { Change } from './change.ts'
import { heldByOwnContainer } from './own-container.ts'
import { shortImage, type Target } from './target.ts'
import { type Held, heldByWindows, moment, type WindowStanding } from './window-hold.ts'

export { moment } from './window-hold.ts'

/** What stands beside the desired state and may hold a change back. */
export type Standing = WindowStanding & {
  now: number
  /** `apply --now`: windows and growing pauses are ignored, quarantine and pauses are not. */
  ignoreWindows: boolean
  paused: ReadonlySet<string>
  /** Id of the container that Samovar itself runs in, or null. */
  ownContainer: string | null
  /** Services whose last operation could neither go on nor go back, for the same target as now. */
  stuck: { service: string; operation: string; reason: string }[]
  quarantined: { service: string; digest: string; configuration: string; reason: string; operation: string }[]
  /** Services whose data is only half put back. */
  dirty: { service: string; backup: string }[]
  setbacks: { service: string; target: string; count: number; nextAt: number; reason: string }[]
  /** What the last roll-out that held made of each service: digest and configuration. */
  lastApplied: Map<string, string>
}

/** Why a change is not done now, in a sentence with the next step, or null when it is done. */
export const hold = (target: Target, change: Change, standing: Standing): string | null =>
  heldBack(target, change, standing)?.reason ?? null

/**
 * Why a change is not done now and when it will be, or null when it is done. The order is that of importance to the
 * reader: what a person said, what cannot work, what did not work, what waits for its time.
 */
export function heldBack(target: Target, change: Change, standing: Standing): Held | null {
  const reason = heldUntilMended(target, change, standing)
  if (reason !== null) return { reason, startsAt: null }
  if (standing.ignoreWindows) return null
  const setback = standing.setbacks.find(
    (each) =>
      each.service === target.service && each.target === `${target.image.digest} ${target.configuration}`,
  )
  if (setback === undefined || setback.nextAt <= standing.now)
    return heldByWindow(target, change, { standing, at: standing.now })
  const startsAt = startAfter(target, change, { standing, at: setback.nextAt })
  const next =
    startsAt === null
      ? 'no moment for the next try is in sight'
      : `next try at ${moment(startsAt, standing.timezone)}`
  const tried = setback.count === 1 ? 'once' : `${setback.count} times`
  return {
    reason: `tried ${tried} (${setback.reason}); ${next}, or samovar retry ${target.service}`,
    startsAt,
  }
}

/** What no time heals: a person, or another commit, has to do something. */
function heldUntilMended(target: Target, change: Change, standing: Standing): string | null {
  const own = heldByOwnContainer(change, standing.ownContainer)
  if (own !== null) return own
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
  return null
}

type Moment = { standing: Standing; at: number }

/**
 * Windows hold what a commit changes in a running service, whatever its policy; a missing or stopped container is
 * mended at any time.
 */
function heldByWindow(target: Target, change: Change, { standing, at }: Moment): Held | null {
  if (!mindsWindows(change)) return null
  return heldByWindows({ services: [target.service], windows: [target.window] }, standing, at)
}

function startAfter(target: Target, change: Change, about: Moment): number | null {
  const held = heldByWindow(target, change, about)
  return held === null ? about.at : held.startsAt
}

export const mindsWindows = (change: Pick<Change, 'action' | 'drift'>): boolean =>
  change.action === 'replace' && !change.drift
