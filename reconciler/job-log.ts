import { durationInWords } from './health/clock.ts'
import type { JobRun } from './journal/job-records.ts'
import type { Operation } from './journal/operation.ts'
import type { Journal } from './journal.ts'
import type { Log } from './log.ts'
import type { Teller } from './notify/tell.ts'
import { roundOfJob } from './plan/rounds.ts'

type Telling = { log: Log; journal: Journal; teller: Teller }

/** What a person calls it: `job renew-certificates`. */
export const subjectOfJob = (job: string): string => `job ${job}`

/** How a run ended. A failure is told once, reminded hourly, and its recovery told: `tellJobProblems`. */
export function tellJob(telling: Telling, operation: Operation): void {
  const { result, startedAt, finishedAt, reason, id, intent } = operation
  const subject = subjectOfJob(intent.job?.name ?? operation.service)
  const took = finishedAt === null ? '' : ` after ${durationInWords(finishedAt - startedAt)}`
  if (result === 'running') telling.log.info(subject, `cut short; the next start goes on with it (${id})`)
  if (result === 'applied')
    telling.log.info(subject, `succeeded${took}${reason === '' ? '' : `: ${reason}`} (${id})`)
  tellJobProblems(telling)
}

/** A job that failed last night has still failed this morning. */
export function tellJobProblems({ journal, teller }: Omit<Telling, 'log'>): void {
  for (const run of journal.lastJobRuns()) {
    const subject = subjectOfJob(run.job)
    const problem = jobProblem(run)
    if (!isScheduled(journal, run.job)) teller.well(subject, 'it is no longer in the desired state')
    else if (problem === null) teller.well(subject, 'it is well again')
    else teller.problem(subject, problem.fingerprint, `${problem.message}; next: ${problem.next}`)
  }
}

/** Jobs of the desired state have a round in the journal, as soon as a daemon has seen them. */
const isScheduled = (journal: Journal, job: string): boolean =>
  journal.rounds().some((each) => each.name === roundOfJob(job))

export type JobProblem = { about: string; message: string; next: string; fingerprint: string }

/** What is wrong about a job, from its newest run; null when it succeeded, or runs. */
export function jobProblem(run: JobRun): JobProblem | null {
  if (run.result === 'applied' || run.result === 'running') return null
  const [said = '', next] = run.reason.split('; next: ')
  const otherwise = `samovar show ${run.id}, then samovar job ${run.job}`
  // How long it took and when is another thing each time; the failure is the same.
  const fingerprint = said.replaceAll(/\d+/g, '#')
  return { about: subjectOfJob(run.job), message: `failed: ${said}`, next: next ?? otherwise, fingerprint }
}
