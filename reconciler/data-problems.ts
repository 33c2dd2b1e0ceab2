import type { LastDataOperation } from './journal/data-records.ts'
import type { Journal } from './journal.ts'
import type { Problem } from './status.ts'

/** `fingerprint` is the same for the same failure of another night. */
export type DataProblem = Problem & { fingerprint: string }

/** What a person calls it: `backup of gitea`. */
export const subjectOf = ({ kind, service }: Pick<LastDataOperation, 'kind' | 'service'>): string =>
  `${kind === 'verify' ? 'verification' : kind} of ${service}`

export const subjectOfRound = (name: string): string =>
  `scheduled ${name === 'verify' ? 'verification' : name}`

/**
 * What is wrong about backups, as the journal has it: the last backup, verification or restore of a service that did
 * not end well, as long as no later one did, and schedules that came to nothing.
 *
 * @param has which services are still there: what left the desired state is nobody's problem
 */
export function dataProblems(journal: Journal, has: (service: string) => boolean): DataProblem[] {
  const operations = journal
    .lastDataOperations()
    .filter((last) => has(last.service) && isBad(journal, last))
    .map((last) => {
      const next =
        last.kind === 'backup' ? `samovar backup ${last.service} tries it again` : `samovar show ${last.id}`
      return problemOf(subjectOf(last), last.reason, next)
    })
  const rounds = journal.rounds().flatMap(({ name, result }) => {
    // What is wrong about a job is told as that of the job.
    if (name.startsWith('job ')) return []
    const said = /^(?:failed: |done, but )(.*)$/s.exec(result ?? '')?.[1]
    return said === undefined
      ? []
      : [problemOf(subjectOfRound(name), said, 'samovar doctor tries every store')]
  })
  return [...operations, ...rounds]
}

function isBad(journal: Journal, last: LastDataOperation): boolean {
  const { service, kind, id, result, startedAt } = last
  if (result === 'applied' || result === 'running' || journal.isRetried(id)) return false
  // A restore that replaced nothing is over with that.
  if (kind === 'restore') return result === 'stuck'
  // What a roll-out has copied since then is as good.
  const isGood = (backup: { at: number; services: string[] }): boolean =>
    backup.at > startedAt && backup.services.includes(service)
  return kind !== 'backup' || !journal.provenBackups().some(isGood)
}

function problemOf(about: string, reason: string, otherwise: string): DataProblem {
  const at = reason.indexOf('; next: ')
  const [message, next] =
    at === -1 ? [reason, otherwise] : [reason.slice(0, at), reason.slice(at + '; next: '.length)]
  // Times, sizes and the names of backups change from night to night; the failure is the same.
  const fingerprint = message.replaceAll(/\d{8}T\d{6}Z-\d+-[0-9a-f]+/g, 'backup').replaceAll(/\d+/g, '#')
  return { about, message, next, fingerprint }
}
