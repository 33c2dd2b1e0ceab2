import { dataProblems, subjectOf, subjectOfRound } from './data-problems.ts'
import { backupOf } from './documents.ts'
import { durationInWords } from './health/clock.ts'
import type { Operation } from './journal/operation.ts'
import type { Journal } from './journal.ts'
import type { Log } from './log.ts'
import type { Teller } from './notify/tell.ts'
import { sizeInWords } from './rollout/data.ts'

/** What ended well or changed nothing. What is wrong is told by `tellDataProblems`. */
export function tellDataOperation({ log }: { log: Log }, operation: Operation): void {
  const { kind, result, reason, id, intent, startedAt, finishedAt } = operation
  const subject = subjectOf(operation)
  const took = finishedAt === null ? '' : ` after ${durationInWords(finishedAt - startedAt)}`
  if (result === 'running') {
    log.info(subject, `cut short; the next start goes on with it (${id})`)
  } else if (result === 'applied') {
    const backup = backupOf(operation) ?? ''
    const said = {
      backup: `done${took}: ${backup}${takenInWords(operation)}`,
      verify: `${backup} is good at level ${intent.level ?? 1}${took}`,
      restore: `done${took}: ${reason}`,
    }
    log.info(subject, `${said[kind as keyof typeof said]} (${id})`)
  } else if (kind === 'restore' && result === 'untouched')
    log.warn(subject, `untouched${took}: ${reason} (${id})`)
  for (const { store, said } of intent.data?.without ?? [])
    log.warn(subject, `${store}, which is not required, does not have it: ${said}`)
}

function takenInWords({ intent }: Operation): string {
  const { bytes, stores } = intent.data?.backup ?? {}
  return `${bytes === undefined ? '' : `, ${sizeInWords(bytes)}`}${stores === undefined ? '' : ` in ${stores.join(' and ')}`}`
}

/** A backup that failed last night is still missing this morning: once, hourly, and when it is over. */
export function tellDataProblems(
  { journal, teller }: { journal: Journal; teller: Teller },
  has: (service: string) => boolean,
): void {
  const problems = dataProblems(journal, has)
  const subjects = [
    ...journal
      .lastDataOperations()
      .filter((each) => has(each.service))
      .map(subjectOf),
    ...journal
      .rounds()
      .filter((each) => !each.name.startsWith('job '))
      .map((each) => subjectOfRound(each.name)),
  ]
  for (const { about, fingerprint, message, next } of problems)
    teller.problem(about, fingerprint, `${message}; next: ${next}`)
  for (const subject of subjects)
    if (!problems.some((each) => each.about === subject)) teller.well(subject, 'it is well again')
}
