import { dataProblems } from './data-problems.ts'
import { sentenceOf } from './errors.ts'
import { durationInWords } from './health/clock.ts'
import { jobProblem } from './job-log.ts'
import { type JobStatus, jobStatuses, type KnownJobs, knownJobs } from './job-status.ts'
import { lockOwner } from './journal/lock.ts'
import { isRollOut, type Operation } from './journal/operation.ts'
import { everyService } from './journal/standing.ts'
import type { Outlook } from './look.ts'
import type { Parts } from './parts.ts'
import type { PassReport } from './reconcile.ts'
import {
  type AtWork,
  type Problem,
  type ServiceStatus,
  type Status,
  type StatusStanding,
  serviceStatuses,
  summaryOf,
  withStanding,
} from './status.ts'
import { notificationProblems, notificationsOf } from './waiting-notifications.ts'

/** What a pass leaves behind for whoever asks later, also when the engine is away by then. */
type Remembered = {
  host: string
  commit: string
  services: ServiceStatus[]
  seenAt: string
  /** Missing in what an earlier release remembered. */
  jobs?: KnownJobs
}
type LastPass = {
  at: number
  findings: Status['findings']
  sourceProblem: string | null
  commit: string | null
}

type Known = Pick<Parts, 'journal' | 'now'> & { settings: { stateDir: string } }

/** What `status` shows of the last pass, also after the process ended. */
export function rememberPass(parts: Known, report: PassReport, outlook: Outlook | null): void {
  const { commit, findings, findingsCommit, sourceProblem, at } = report
  parts.journal.writeNote(
    'last-pass',
    JSON.stringify({ commit, findings, findingsCommit, sourceProblem, at }),
  )
  if (outlook !== null && outlook.commit === commit) rememberStatus(parts, outlook)
}

function rememberStatus(parts: Known, outlook: Outlook): void {
  const remembered: Remembered = {
    host: outlook.loaded.state.host.name,
    commit: outlook.commit,
    services: servicesOf(parts, outlook),
    jobs: knownJobs(outlook.loaded.state.host),
    seenAt: new Date(outlook.lookedAt).toISOString(),
  }
  parts.journal.writeNote('last-status', JSON.stringify(remembered))
}

export const rememberedStatus = (journal: Parts['journal']): Remembered | null =>
  JSON.parse(journal.note('last-status') ?? 'null') as Remembered | null

export const lastPass = (journal: Parts['journal']): LastPass | null =>
  JSON.parse(journal.note('last-pass') ?? 'null') as LastPass | null

/**
 * The state of all services: from a look that was just taken, or from what the last pass saw when there is none.
 *
 * @param seen.problems what stands in the way of knowing better: the engine, Git, a bad commit
 */
export function statusNow(
  parts: Known & { source: Pick<Parts['source'], 'lastGood'> | null },
  seen: { outlook: Outlook | null; problems: Problem[]; findings: Status['findings'] },
): Status {
  const remembered = rememberedStatus(parts.journal)
  const { outlook } = seen
  const commit = outlook?.commit ?? remembered?.commit ?? null
  const standing = standingNow(
    parts,
    outlook === null ? (remembered?.services ?? []).map((each) => each.name) : [],
  )
  const services =
    outlook === null
      ? (remembered?.services ?? []).map((each) => withStanding(each, standing))
      : servicesOf(parts, outlook)
  const fetchedAt = parts.source?.lastGood()?.fetchedAt
  const last = lastPass(parts.journal)
  const summary = summaryOf(services, commit)
  const known = outlook === null ? remembered?.jobs : knownJobs(outlook.loaded.state.host)
  const jobs = known === undefined ? [] : jobStatuses(known, parts.journal, parts.now())
  return {
    host: outlook?.loaded.state.host.name ?? remembered?.host ?? '',
    commit,
    lastPass: last === null ? null : new Date(last.at).toISOString(),
    services,
    jobs,
    summary: outlook === null && remembered !== null ? `As of ${remembered.seenAt}: ${summary}` : summary,
    problems: [
      ...seen.problems,
      ...backupProblems(parts, services),
      ...jobProblems(parts, jobs),
      ...waitingForGitea(parts),
      ...notificationProblems(parts.journal),
    ],
    outbox: outboxOf(parts),
    notifications: notificationsOf(parts.journal),
    findings: seen.findings,
    fetchedAt: fetchedAt === undefined ? null : new Date(fetchedAt).toISOString(),
    seenAt: outlook === null ? (remembered?.seenAt ?? null) : new Date(outlook.lookedAt).toISOString(),
    daemon: lockOwner(parts.settings.stateDir),
  }
}

/** What is to be said to Gitea and was not delivered yet. */
function outboxOf({ journal }: Known): Status['outbox'] {
  const waiting = journal.waitingMessages()
  const [first] = waiting
  return {
    waiting: waiting.length,
    since: first === undefined ? null : new Date(first.at).toISOString(),
    problem: waiting.find((each) => each.problem !== '')?.problem ?? null,
  }
}

function waitingForGitea(parts: Known): Problem[] {
  const { waiting, since, problem } = outboxOf(parts)
  if (problem === null) return []
  const messages = waiting === 1 ? '1 message waits' : `${waiting} messages wait`
  const [sentence = '', next] = problem.split('; next: ')
  return [
    {
      about: 'gitea',
      message: `${messages} since ${since ?? ''}: ${sentence}`,
      next: next ?? 'they are delivered when Gitea takes them; `samovar doctor` looks at it',
    },
  ]
}

function backupProblems({ journal }: Known, services: ServiceStatus[]): Problem[] {
  const present = new Set(services.map((each) => each.name))
  return dataProblems(journal, (service) => present.has(service)).map(({ about, message, next }) => ({
    about,
    message,
    next,
  }))
}

/** Only of those that are still in the desired state. */
function jobProblems({ journal }: Known, jobs: JobStatus[]): Problem[] {
  return journal
    .lastJobRuns()
    .filter((run) => jobs.some((job) => job.name === run.job))
    .map(jobProblem)
    .filter((problem) => problem !== null)
    .map(({ about, message, next }) => ({ about, message, next }))
}

function servicesOf(parts: Known, outlook: Outlook): ServiceStatus[] {
  const sight = {
    host: outlook.loaded.state.host.name,
    commit: outlook.commit,
    targets: outlook.targets.list,
    running: outlook.running,
    plan: outlook.plan,
  }
  return serviceStatuses(
    sight,
    standingNow(
      parts,
      sight.targets.map((target) => target.service),
    ),
  )
}

function standingNow({ journal, now, settings }: Known, services: string[]): StatusStanding {
  const paused = new Set(journal.paused())
  if (paused.has(everyService)) for (const service of services) paused.add(service)
  const stuck = new Set<string>()
  for (const service of services) {
    const last = journal.lastRollOut(service)
    if (last?.result === 'stuck' && !journal.isRetried(last.id)) stuck.add(service)
  }
  const atWork = new Map<string, AtWork>()
  const isHeld = lockOwner(settings.stateDir) !== null
  for (const operation of journal.unfinished()) {
    const step = journal.steps(operation.id).at(-1)
    const name = step?.name ?? 'its begin'
    const since = step === undefined ? 'begins' : `${name} for ${durationInWords(now() - step.startedAt)}`
    const { id, kind } = operation
    const what = isRollOut(operation) ? '' : `${kind}: `
    const words = isHeld
      ? `${what}${since} (${id})`
      : `${what}cut short at ${name} (${id}); next: samovar run, or samovar apply, goes on with it`
    for (const service of servicesAtWork(operation)) atWork.set(service, { id, kind, step: name, words })
  }
  return { paused, quarantined: journal.quarantined(), stuck, dirty: journal.dirty(), atWork }
}

/** Those whose containers an operation works on, or that stand still for it. */
function servicesAtWork({ kind, intent: { members, data } }: Operation): string[] {
  const swapped = members.map((member) => member.service)
  if (data === undefined || kind === 'verify') return [...swapped, ...(data?.owners ?? [])]
  return [...swapped, ...data.owners, ...data.stop, ...data.stopAfterDumps]
}

/** The problems an outlook carries with it: Git away, a newest commit that is not good. */
export function problemsOf(outlook: Outlook): Problem[] {
  const problems: Problem[] = []
  if (outlook.sourceProblem !== null)
    problems.push({
      about: 'git',
      message: outlook.sourceProblem,
      next: `commit ${outlook.commit.slice(0, 8)}, the last good one, stays in force; check the network, the address and the token`,
    })
  for (const outage of outlook.loaded.resolved.outages) {
    const [message = '', next = ''] = outage.split('; next: ')
    problems.push({ about: 'secrets', message, next })
  }
  if (outlook.findingsCommit !== null)
    problems.push({
      about: 'desired state',
      message: `commit ${outlook.findingsCommit.slice(0, 8)} is not followed: it has ${outlook.findings.length} finding${outlook.findings.length === 1 ? '' : 's'}`,
      next: `correct what is listed below and push; until then commit ${outlook.commit.slice(0, 8)} stays in force`,
    })
  return problems
}

/** An error that kept from looking, as a problem for `status`. */
export function problemOf(about: string, error: unknown): Problem {
  const next = error instanceof Error && 'next' in error ? String(error.next) : ''
  return { about, message: sentenceOf(error), next }
}
