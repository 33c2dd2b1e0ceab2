import type { Host, Job } from './desired-state.ts'
import { heldJob } from './jobs.ts'
import type { JobRun } from './journal/job-records.ts'
import type { OperationResult } from './journal/operation.ts'
import type { Journal } from './journal.ts'
import { momentAfter } from './plan/rounds.ts'

/** One job of `samovar jobs --json` and of `jobs` in `status --json`; times are ISO 8601 in UTC. */
export type JobStatus = {
  name: string
  service: string
  /** Five cron fields, on the wall clock of `timezone`. */
  schedule: string
  timezone: string
  next: string
  /** Why its schedule does not start it now, or null. */
  held: string | null
  /** The newest run; `applied` is a success, `untouched` a failure. Null when it never ran. */
  last: {
    operation: string
    result: OperationResult
    startedAt: string
    finishedAt: string | null
    ms: number | null
    byHand: boolean
    reason: string
  } | null
  lastSuccess: string | null
}

/** What must be known of jobs to say how they stand; small enough to be remembered between passes. */
export type KnownJobs = {
  timezone: string
  jobs: Record<string, Pick<Job, 'schedule' | 'service' | 'afterwards'>>
}

export const knownJobs = ({ timezone, jobs }: Pick<Host, 'timezone' | 'jobs'>): KnownJobs => ({
  timezone,
  jobs: Object.fromEntries(
    Object.entries(jobs).map(([name, { schedule, service, afterwards }]) => [
      name,
      { schedule, service, afterwards },
    ]),
  ),
})

/** Every job of the desired state, by name. */
export function jobStatuses(
  { jobs, timezone }: KnownJobs,
  journal: Pick<Journal, 'lastJobRuns' | 'lastJobSuccesses' | 'paused'>,
  now: number,
): JobStatus[] {
  const last = new Map(journal.lastJobRuns().map((run) => [run.job, run]))
  const good = new Map(journal.lastJobSuccesses().map((run) => [run.job, run]))
  const paused = journal.paused()
  return Object.entries(jobs)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, job]) => ({
      name,
      service: job.service,
      schedule: job.schedule,
      timezone,
      next: iso(momentAfter({ expression: job.schedule, timezone }, now)),
      held: heldJob(paused, job),
      last: lastOf(last.get(name)),
      lastSuccess: isoOrNull(good.get(name)?.finishedAt ?? null),
    }))
}

function lastOf(run: JobRun | undefined): JobStatus['last'] {
  if (run === undefined) return null
  const { id, result, startedAt, finishedAt, byHand, reason } = run
  return {
    operation: id,
    result,
    startedAt: iso(startedAt),
    finishedAt: isoOrNull(finishedAt),
    ms: finishedAt === null ? null : finishedAt - startedAt,
    byHand,
    reason,
  }
}

const iso = (at: number): string => new Date(at).toISOString()
const isoOrNull = (at: number | null): string | null => (at === null ? null : iso(at))
