import { Counter, Gauge, type Registry } from 'prom-client'
import type { JobRun } from '../journal/job-records.ts'
import type { Operation } from '../journal/operation.ts'

/**
 * The metrics of jobs. The last success comes from the journal, so that an alert on its age is right after a restart;
 * runs are counted from the start of this process.
 *
 * @returns called with each operation that has ended; those that are no jobs are left out
 */
export function addJobMetrics(
  registry: Registry,
  lastSuccesses: () => JobRun[],
): (operation: Operation) => void {
  new Gauge({
    name: 'samovar_job_last_success_timestamp_seconds',
    help: 'When each job last succeeded',
    labelNames: ['job'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { job, finishedAt } of lastSuccesses()) this.set({ job }, (finishedAt ?? 0) / 1000)
    },
  })
  const runs = new Counter({
    name: 'samovar_job_runs_total',
    help: 'Runs of jobs that ended',
    labelNames: ['job', 'result'],
    registers: [registry],
  })
  return ({ kind, result, intent }) => {
    if (kind !== 'job' || result === 'running') return
    runs.inc({ job: intent.job?.name ?? '', result: result === 'applied' ? 'succeeded' : 'failed' })
  }
}
