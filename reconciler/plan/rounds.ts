import { windowAt } from './windows.ts'

/** What the daemon does on a schedule; `job NAME` is a job of host.yaml. */
export type RoundName = 'backup' | 'verify' | JobRound
export type JobRound = `job ${string}`

export const roundOfJob = (job: string): JobRound => `job ${job}`

/** Five cron fields, and the zone of the wall clock they are read on. */
export type Schedule = { expression: string; timezone: string }

/** What the journal remembers of a round. */
export type LastRound = {
  /** The moment of the schedule it stood for; milliseconds since 1970. */
  dueAt: number
  /** The schedule of that time. */
  schedule: Schedule
  /** Killed in the middle, for the first time. */
  cut: boolean
}

/** `due`: to be done now. `new`: nothing to do before its next moment, only to be written down. */
export type RoundVerdict = {
  name: RoundName
  verdict: 'due' | 'new'
  /** The moment of the schedule that is made good; milliseconds since 1970. */
  dueAt: number
  schedule: Schedule
}

/** In the order they are done when several are due; null: there is no such schedule. */
export type Schedules = { [name in RoundName]?: Schedule | null }

/** Those that there are. */
export const schedulesIn = (schedules: Schedules): [RoundName, Schedule][] =>
  (Object.entries(schedules) as [RoundName, Schedule | null | undefined][]).flatMap(([name, schedule]) =>
    schedule === null || schedule === undefined ? [] : [[name, schedule]],
  )

const day = 24 * 60 * 60_000

/**
 * Which schedules have a moment behind them that nothing was done for. Several missed moments (the machine was off)
 * are one: a backup is of now, not of then. A schedule that is new, or another than before, begins with its next
 * moment, so that a commit at noon does not stop a service at noon; a moment of the old one that was missed is still
 * made up.
 *
 * @param last what was done last, by name
 * @param now milliseconds since 1970
 */
export function judgeRounds(
  schedules: Schedules,
  last: ReadonlyMap<string, LastRound>,
  now: number,
): RoundVerdict[] {
  const verdicts: RoundVerdict[] = []
  for (const [name, schedule] of schedulesIn(schedules)) {
    const dueAt = momentBefore(schedule, now)
    const before = last.get(name)
    // A clock that was days ahead must not put backups off until it was right.
    if (before === undefined || before.dueAt > now + day) {
      verdicts.push({ name, verdict: 'new', dueAt, schedule })
      continue
    }
    const isMissed = before.cut || momentBefore(before.schedule, now) > before.dueAt
    if (isMissed) verdicts.push({ name, verdict: 'due', dueAt, schedule })
    else if (!isSame(schedule, before.schedule)) verdicts.push({ name, verdict: 'new', dueAt, schedule })
  }
  return verdicts
}

const isSame = (a: Schedule, b: Schedule): boolean =>
  a.expression === b.expression && a.timezone === b.timezone

/** The last moment of a schedule that is not after `now`; clock changes as for windows. */
export function momentBefore({ expression, timezone }: Schedule, now: number): number {
  return windowAt({ opens: expression, for: 0 }, timezone, now).openedAt
}

/** The next moment of a schedule after `now`. */
export function momentAfter({ expression, timezone }: Schedule, now: number): number {
  return windowAt({ opens: expression, for: 0 }, timezone, now).opensAt
}
