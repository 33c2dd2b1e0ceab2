import type { Tidings } from '../desired-state.ts'
import { backupOf } from '../documents.ts'
import { isAboutData } from '../journal/data-records.ts'
import type { Operation, OperationKind, OperationResult, Step } from '../journal/operation.ts'
import { lostInWords } from '../rollout/data.ts'
import { reasonInWords } from '../status.ts'
import { spent } from '../wording.ts'

/** What people are told of: what host.yaml can ask for, the end of it, and a try. */
export type Event = Tidings | 'recovered' | 'test'

export type Version = { image: string; tag: string; digest: string }

/** The facts of an operation that a reader may want. */
export type NewsOperation = {
  id: string
  kind: OperationKind
  result: OperationResult
  commit: string
  from: Version | null
  to: Version | null
  startedAt: number
  finishedAt: number | null
  downtimeMs: number | null
  backup: string | null
  /** What differed, a line for each. */
  differed: string[]
}

/** Something that happened, as facts; the words around them are report.ts. All of it may have been said by others. */
export type News = {
  event: Event
  host: string
  timezone: string
  /** `web`, `backup of gitea`, `job renew-certificates`. */
  about: string
  /** Milliseconds since 1970. */
  at: number
  /** It was told before and lasts since then; of a recovery: since when it was bad. */
  since: number | null
  happened: string
  operation: NewsOperation | null
  check: { name: string; said: string } | null
  /** The last lines that the failed version, or the job, wrote. */
  lastLines: string[]
  /** What Samovar did about it. */
  did: string[]
  /** What the reader should do. */
  next: string[]
}

export type Place = { host: string; timezone: string }

/** A failure in the life of one subject; `fingerprint` is the same for the same failure of another day. */
export type Failure = { subject: string; fingerprint: string; tidings: Tidings[] }

const mostLines = 30
const longestLine = 400
const longestText = 1_000

/**
 * Whom a failed roll-out or job concerns, and as what; null for what did not fail. Backups are judged by the
 * schedule they belong to (data-problems.ts), and not here.
 */
export function failureOf(operation: Operation, steps: Step[]): Failure | null {
  const { result, kind, intent } = operation
  if (isAboutData(operation) || result === 'applied' || result === 'running') return null
  // A newer commit or the end of the process stopped it: it comes again by itself.
  if (kind === 'job' && intent.job?.cutShort === true) return null
  if (kind === 'job')
    return {
      subject: subjectOfJob(operation),
      fingerprint: `${result} ${withoutNumbers(operation.reason)}`,
      tidings: ['job-failed'],
    }
  const isOfBackup = steps.some((step) => step.result === 'failed' && backupSteps.has(step.name))
  return {
    subject: `service ${operation.service}`,
    fingerprint: `${result} ${operation.to?.digest ?? ''} ${intent.configuration}`,
    tidings: result === 'untouched' && isOfBackup ? ['untouched', 'backup-failed'] : [result],
  }
}

const backupSteps = new Set(['back up', 'prove backup', 'safety backup'])

export const subjectOfJob = ({ intent, service }: Operation): string => `job ${intent.job?.name ?? service}`

const withoutNumbers = (text: string): string => text.replaceAll(/\d+/g, '#')

/** `web` for `service web`; the others are names already. */
export const aboutOf = (subject: string): string => subject.replace(/^service /, '')

/** An operation as news. @param steps of it, for the check that failed and the last lines that were written */
export function newsOf(
  event: Event,
  about: { place: Place; subject: string; since: number | null },
  { operation, steps }: { operation: Operation; steps: Step[] },
): News {
  const { place, subject, since } = about
  const [happened, ...rest] = cut(operation.reason, longestText).split('; next: ')
  const isWell = operation.result === 'applied'
  return {
    event,
    ...place,
    about: aboutOf(subject),
    at: operation.finishedAt ?? operation.startedAt,
    since,
    happened: happened ?? '',
    operation: factsOf(operation),
    check: isWell ? null : checkOf(operation, steps),
    lastLines: isWell ? [] : lastLinesOf(steps),
    did: didOf(operation),
    next: isWell ? [] : nextOf(operation, rest.join('; next: ')),
  }
}

/** News that no operation is behind of: a schedule that came to nothing, or its end. */
export function newsWithout(
  event: Event,
  about: { place: Place; subject: string; since: number | null; at: number },
  words: { happened: string; next: string[] },
): News {
  const { place, subject, since, at } = about
  const happened = cut(words.happened, longestText)
  const nothing = { operation: null, check: null, lastLines: [], did: [] }
  return { event, ...place, about: aboutOf(subject), at, since, ...nothing, ...words, happened }
}

function factsOf(operation: Operation): NewsOperation {
  const { id, kind, result, commit, startedAt, finishedAt, downtimeMs, intent } = operation
  return {
    id,
    kind,
    result,
    commit,
    from: versionOf(operation.from),
    to: versionOf(operation.to),
    startedAt,
    finishedAt,
    downtimeMs: operation.from === null && !isAboutData(operation) ? null : downtimeMs,
    backup: backupOf(operation),
    // The image has a place of its own.
    differed: intent.reasons
      .filter(({ field }) => field !== 'image')
      .slice(0, 8)
      .map((each) => cut(reasonInWords(each), 200)),
  }
}

const versionOf = (image: Operation['from']): Version | null =>
  image === null ? null : { image: image.name, tag: image.tag, digest: image.digest }

function checkOf({ intent }: Operation, steps: Step[]): News['check'] {
  if (intent.failedCheck !== undefined)
    return { name: intent.failedCheck.name, said: cut(intent.failedCheck.said, longestText) }
  const failed = steps.find((step) => step.result === 'failed')
  return failed === undefined ? null : { name: failed.name, said: cut(failed.detail, longestText) }
}

/** Of the version that was taken away again, or of a job. They were masked when they were written down. */
function lastLinesOf(steps: Step[]): string[] {
  const evidence = steps.findLast((step) => step.name === 'capture evidence')?.detail
  const ofJob = steps.findLast((step) => step.detail.startsWith(jobWrote))?.detail.slice(jobWrote.length)
  return (ofJob ?? evidence ?? '')
    .slice(-mostLines * longestLine)
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-mostLines)
    .map((line) => cut(line, longestLine))
}

/** As rollout/run-job.ts writes it down when the container is taken away. */
const jobWrote = 'it wrote:\n'

/** What Samovar did, in sentences. */
function didOf(operation: Operation): string[] {
  const { kind, result, intent } = operation
  const backup = backupOf(operation)
  const taken = backup === null || isAboutData(operation) ? [] : [`Took backup ${backup} and read it back.`]
  switch (result) {
    case 'applied':
      return [...taken, ...appliedInWords(operation)]
    case 'reverted':
      return [
        ...taken,
        'Brought the old container back. It has passed its own checks, and its image was inspected.',
        ...dataInWords(operation),
        intent.blameless === true
          ? 'The new version is not to blame: it is tried again.'
          : 'This version is not tried again until the desired state changes or somebody says `retry`.',
      ]
    case 'untouched':
      // After an exit code of 0 it was what followed that failed, and the reason says so.
      if (kind === 'job') return intent.job?.exitCode === 0 ? [] : ['No service was reloaded or restarted.']
      return [...taken, untouchedInWords(operation)]
    case 'stuck':
      return [...taken, 'Stopped there, so that you find it as it was left. Nothing more is tried on it.']
    case 'running':
      return []
    default:
      return result satisfies never
  }
}

function untouchedInWords({ kind, from }: Operation): string {
  if (kind === 'backup' || kind === 'verify') return 'Let go on what had stood still for it.'
  return from === null
    ? 'Took away again what had been prepared.'
    : 'Nothing was replaced: what ran before runs on.'
}

function appliedInWords({ kind, service, intent }: Operation): string[] {
  if (kind === 'remove') return [`Stopped ${service}: it left the desired state.`]
  if (kind === 'job') return []
  if (kind === 'verify') return ['Read the backup back and found it whole.']
  if (kind === 'backup') return ['Took the backup and read it back.']
  if (kind === 'restore') return ['Put the data back. Its services have passed their checks.']
  const kept = intent.health.soak > 0 && intent.members.some((member) => member.kept !== null)
  return [
    'The new container has passed its checks.',
    ...(kept ? [`The old one stays, stopped, for ${spent(intent.health.soak)}.`] : []),
  ]
}

function dataInWords({ intent: { data } }: Operation): string[] {
  if (data === undefined || data.lostMs === null || data.backup === null) return []
  const from = new Date(data.backup.dataFrom).toISOString().replace(/\.\d+Z$/, 'Z')
  return [
    `Put its data back from backup ${data.backup.id} of ${from}: ${lostInWords(data)} of writes were lost.`,
  ]
}

/** What the reader should do. @param known what the reason itself names */
function nextOf(operation: Operation, known: string): string[] {
  const { id, service, kind, result, intent } = operation
  const look = `\`samovar show ${id}\` tells every step.`
  const own = known === '' ? [] : [cut(known, longestText)]
  if (kind === 'job') return [...own, look, `\`samovar job ${intent.job?.name ?? service}\` runs it again.`]
  if (kind === 'backup') return [...own, look, `\`samovar backup ${service}\` tries it again.`]
  if (isAboutData(operation)) return [...own, look]
  switch (result) {
    case 'reverted':
      return [
        'Nothing is urgent: the old version serves.',
        ...own,
        look,
        `Then push a fix or the next version. Was the cause elsewhere: \`samovar retry ${service}\`.`,
      ]
    case 'stuck':
      return [
        `A person must look, now: ${service} may be down.`,
        ...(own.length > 0
          ? own
          : [`Put right what stood in the way, then \`samovar retry ${service}\` (docs/operations.md).`]),
        look,
      ]
    case 'untouched':
      return [...own, look, 'Samovar tries again, with growing pauses, or with the next commit.']
    case 'applied':
    case 'running':
      return own
    default:
      return result satisfies never
  }
}

const cut = (text: string, longest: number): string =>
  text.length <= longest ? text : `${text.slice(0, longest - 1)}…`
