import type { DatabaseSync } from 'node:sqlite'
import type { OperationResult } from './operation.ts'

/** One run of a job. Times are milliseconds since 1970. */
export type JobRun = {
  job: string
  id: string
  service: string
  result: OperationResult
  reason: string
  byHand: boolean
  startedAt: number
  finishedAt: number | null
}

/** How many runs of one job the journal keeps: one that runs every five minutes must not fill the disk. */
const keptRuns = 50

/** What the journal knows about jobs. */
export function openJobRecords(database: DatabaseSync) {
  return {
    /** The newest run of each job. */
    lastJobRuns(): JobRun[] {
      return database
        .prepare(`select ${columns}, max(sequence) from operations where kind = 'job' group by job`)
        .all()
        .map(runOf)
    },

    /** The newest run of each job that succeeded. */
    lastJobSuccesses(): JobRun[] {
      return database
        .prepare(
          `select ${columns}, max(sequence) from operations where kind = 'job' and result = 'applied' group by job`,
        )
        .all()
        .map(runOf)
    },

    /** Runs beyond the newest go, with their logs; the last success stays. */
    forgetOldRuns(job: string): void {
      const old = database
        .prepare(
          `select id from operations where kind = 'job' and json_extract(intent, '$.job.name') = ?1
           and result <> 'running' and sequence <> (select coalesce(max(sequence), 0) from operations
             where kind = 'job' and result = 'applied' and json_extract(intent, '$.job.name') = ?1)
           order by sequence desc limit -1 offset ${keptRuns}`,
        )
        .all(job)
      for (const row of old) {
        database.prepare('delete from steps where operation = ?').run(String(row['id']))
        database.prepare('delete from operations where id = ?').run(String(row['id']))
      }
    },
  }
}

const columns = `json_extract(intent, '$.job.name') as job, json_extract(intent, '$.job.byHand') as by_hand,
  id, service, result, reason, started_at, finished_at`

const runOf = (row: Record<string, unknown>): JobRun => ({
  job: String(row['job']),
  id: String(row['id']),
  service: String(row['service']),
  result: row['result'] as OperationResult,
  reason: String(row['reason']),
  byHand: row['by_hand'] === 1,
  startedAt: Number(row['started_at']),
  finishedAt: row['finished_at'] === null ? null : Number(row['finished_at']),
})
