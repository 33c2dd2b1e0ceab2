import { tellDataOperation, tellDataProblems } from './data-log.ts'
import { findingLine } from './desired-state.ts'
import { codeOf } from './errors.ts'
import { durationInWords } from './health/clock.ts'
import { waitingWords } from './health/waiting-words.ts'
import { subjectOfJob, tellJob, tellJobProblems } from './job-log.ts'
import { isRollOut, type Operation } from './journal/operation.ts'
import type { Request } from './journal/requests.ts'
import type { Journal } from './journal.ts'
import { fingerprintOfError, type Log, whatAndNext } from './log.ts'
import { makeTeller, type Teller } from './notify/tell.ts'
import type { Change } from './plan/change.ts'
import { shortImage } from './plan/target.ts'
import type { PassReport } from './reconcile.ts'
import type { Progress } from './rollout/step.ts'
import { reasonInWords } from './status.ts'

/** A step that takes longer tells what it does, so that a log does not look like a hang. */
const goesOnEvery = 15_000
const quiet = 60 * 60_000

type Telling = { log: Log; journal: Journal; teller: Teller; now: () => number }

/** What the daemon says of its work, one line an event: what changed, what fails (once), and that it works again. */
export function daemonLog(about: { log: Log; journal: Journal; now: () => number }) {
  const { log, journal, now } = about
  const say = (level: 'error' | 'info') => (subject: string, sentence: string) =>
    log[level](subject.replace(/^(service|drift of) /, ''), sentence)
  const teller = makeTeller({ journal, now, say: { problem: say('error'), well: say('info') } })
  const telling: Telling = { ...about, teller }
  let commit: string | null = null
  const waits = new Map<string, string>()
  return {
    teller,
    progress: logProgress(telling),
    operationEnded(operation: Operation): void {
      if (isRollOut(operation)) return tellOperation(telling, operation)
      if (operation.kind === 'job') return tellJob(telling, operation)
      tellDataOperation(telling, operation)
      tellDataProblems(telling, (service) => service === operation.service)
    },
    passBegun: (why: string) => log.debug('pass', `begins: ${why}`),
    passEnded(report: PassReport): void {
      if (report.commit !== null && report.commit !== commit)
        log.info('git', `commit ${report.commit} is in force`)
      commit = report.commit
      teller.well('engine', 'it answers again')
      teller.well('pass', 'passes end well again')
      tellSource(teller, report)
      tellSecrets(teller, report)
      tellFindings(telling, report)
      const changes = report.plan?.changes ?? []
      for (const change of changes) tellHeld(telling, change, waits)
      const present = new Set(changes.map((change) => change.service))
      if (report.plan !== null) tellDataProblems(telling, (service) => present.has(service))
      tellJobProblems(telling)
      for (const setback of journal.setbacks())
        if (now() - setback.lastAt > quiet)
          teller.well(`drift of ${setback.service}`, 'it has not drifted for an hour')
      log.debug('pass', `ended, ${report.operations.length} operations`)
    },
    passFailed(error: unknown, nextTryMs: number): void {
      const sentence = `${whatAndNext(error)}; Samovar tries again in ${durationInWords(nextTryMs)}`
      teller.problem(subjectOf(error), fingerprintOfError(error), sentence)
      log.debug('pass', `failed: ${sentence}`)
    },
    requestFailed: (request: Request, error: unknown) =>
      log.warn(
        request.service ?? 'request',
        `${request.kind} was asked for and failed: ${whatAndNext(error)}`,
      ),
  }
}

function subjectOf(error: unknown): string {
  const code = codeOf(error)
  if (code === 'engine-unreachable' || code === 'engine-refused') return 'engine'
  return code === 'source-unreachable' ? 'git' : 'pass'
}

function tellSource(teller: Teller, report: PassReport): void {
  const { sourceProblem } = report
  if (sourceProblem === null) return teller.well('git', 'it answers again')
  const next = 'next: check the network, the address and the token; the last good commit stays in force'
  // Seconds and byte counts change from try to try; the failure is the same.
  teller.problem('git', sourceProblem.replaceAll(/\d+/g, '#'), `${sourceProblem}; ${next}`)
}

function tellSecrets(teller: Teller, { secretOutages = [], plan }: PassReport): void {
  const [first] = secretOutages
  if (first !== undefined) teller.problem('secrets', first, first)
  else if (plan !== null) teller.well('secrets', 'they can be read again')
}

function tellFindings({ log, teller, journal }: Telling, report: PassReport): void {
  const { findings, findingsCommit } = report
  if (findingsCommit === null) return teller.well('desired state', 'the newest commit is good')
  const known = journal.notice('desired state')?.fingerprint === findingsCommit
  const inForce =
    report.commit === null ? 'nothing is rolled out' : `commit ${report.commit.slice(0, 8)} stays in force`
  const count = `${findings.length} finding${findings.length === 1 ? '' : 's'}`
  const sentence = `commit ${findingsCommit.slice(0, 8)} is not followed, it has ${count}; ${inForce}; next: correct them and push`
  teller.problem('desired state', findingsCommit, sentence)
  if (!known) for (const finding of findings) log.error('desired state', findingLine(finding))
}

/** What was reverted or is stuck is a problem; what waits for its time or for a person is told when it begins to wait. */
function tellHeld(telling: Telling, change: Change, waits: Map<string, string>): void {
  const { teller, log } = telling
  const { service, held } = change
  if (change.action === 'none') teller.well(`service ${service}`, 'it is as the desired state says')
  const fingerprint = held === null ? null : fingerprintOfHeld(telling.journal, service, held)
  if (held !== null && fingerprint !== null) teller.problem(`service ${service}`, fingerprint, held)
  const wait = held !== null && fingerprint === null ? held : ''
  const kind = wait.split(' ')[0] ?? ''
  if (wait !== '' && waits.get(service) !== kind) log.info(service, `held: ${wait}`)
  waits.set(service, kind)
}

/** The same as when the operation ended, so that what was told then is not told again; null for a mere wait. */
function fingerprintOfHeld(journal: Journal, service: string, held: string): string | null {
  if (/^(paused|waits|tried) /.test(held)) return null
  if (held.startsWith('quarantined: ')) {
    const entries = journal.quarantined().filter((each) => each.service === service)
    const [entry] = entries.sort((a, b) => b.at - a.at)
    return `reverted ${entry?.digest ?? ''} ${entry?.configuration ?? ''}`
  }
  const last = journal.lastRollOut(service)
  return held.startsWith('stuck: ') && last !== null ? fingerprintOf(last) : held
}

const fingerprintOf = (operation: Operation): string =>
  `${operation.result} ${operation.to?.digest ?? ''} ${operation.intent.configuration}`

function tellOperation(telling: Telling, operation: Operation): void {
  const { log, teller } = telling
  const { service, result, reason, id } = operation
  const took =
    operation.finishedAt === null
      ? ''
      : ` after ${durationInWords(operation.finishedAt - operation.startedAt)}`
  switch (result) {
    case 'running':
      log.info(service, `cut short; the next start goes on with it (${id})`)
      return
    case 'applied':
      if (operation.intent.drift) tellDrift(telling, operation)
      else
        log.info(
          service,
          `applied: ${whatHappened(operation)}${took}${downtime(operation)}${backupFirst(operation)} (${id})`,
        )
      return
    case 'untouched':
    case 'reverted':
    case 'stuck': {
      const look =
        result === 'stuck' ? `samovar show ${id}, then samovar retry ${service}` : `samovar show ${id}`
      // Half restored data knows its own way out; a retry would not help it.
      const next = reason.includes('; next: ') ? '' : `; next: ${look}`
      const sentence = `${result}: ${whatHappened(operation)}${took}: ${reason}${next}`
      teller.problem(`service ${service}`, fingerprintOf(operation), sentence)
      return
    }
    default:
      result satisfies never
  }
}

/** The first time is told as it is, the second time as a service that keeps drifting; then it is corrected in silence. */
function tellDrift({ log, journal, teller }: Telling, operation: Operation): void {
  const { service, intent } = operation
  const what = intent.reasons.map(reasonInWords).join(', ')
  const setback = journal.setbacks().find((each) => each.service === service)
  if (setback === undefined || setback.count < 2) log.info(service, `had drifted and was put right: ${what}`)
  else {
    const next =
      'next: find out who or what changes it, or samovar pause it; it is put right with growing pauses'
    teller.problem(`drift of ${service}`, 'keeps drifting', `it keeps drifting (${what}); ${next}`)
    log.debug(service, `drifted again and was put right: ${what}`)
  }
}

function whatHappened(operation: Operation): string {
  const { kind, from, to } = operation
  if (to === null) return kind
  const before = from === null || from.digest === to.digest ? '' : `${shortImage(from)} -> `
  return `${kind} ${before}${shortImage(to)}`
}

const downtime = (operation: Operation): string =>
  operation.downtimeMs === null || operation.from === null
    ? ''
    : `, ${durationInWords(operation.downtimeMs)} of downtime`

const backupFirst = ({ backup }: Operation): string => (backup === null ? '' : `, backup ${backup}`)

/** Steps as lines; a step that goes on for long tells now and then what it waits for. */
function logProgress({ log, journal }: Telling): Progress {
  let doing = ''
  let inWords = waitingWords()
  let ticking: NodeJS.Timeout | undefined
  const levelOf = (operation: Operation): 'debug' | 'info' =>
    operation.intent.drift && journal.setbacks().some((each) => each.service === operation.service)
      ? 'debug'
      : 'info'
  const goesOn = (operation: Operation, name: string) => {
    const began = performance.now()
    doing = ''
    inWords = waitingWords()
    ticking = setInterval(() => {
      const after = durationInWords(performance.now() - began)
      log.info(
        subjectOfOperation(operation),
        `step "${name}" goes on after ${after}${doing === '' ? '' : `, ${doing}`}`,
      )
    }, goesOnEvery)
    ticking.unref()
  }
  return {
    step(operation, name, phase, ms, detail) {
      clearInterval(ticking)
      const service = subjectOfOperation(operation)
      if (phase === 'begun') {
        log.debug(service, `step "${name}" begins (${operation.id})`)
        goesOn(operation, name)
        if (name === 'run') doing = whoWaits(operation)
      } else if (phase === 'done')
        log[levelOf(operation)](service, `step "${name}" done in ${durationInWords(ms)}`)
      else log.warn(service, `step "${name}" failed after ${durationInWords(ms)}: ${detail}`)
    },
    pull(_operation, seen) {
      const of = seen.total > seen.bytes ? ` of ${megabytes(seen.total)}` : ''
      doing = `pulling: ${megabytes(seen.bytes)}${of}`
    },
    data(_operation, seen) {
      const of = seen.total !== null && seen.total > seen.bytes ? ` of about ${megabytes(seen.total)}` : ''
      doing = `${seen.doing} ${seen.part}: ${megabytes(seen.bytes)}${of}`
    },
    health(operation, seen) {
      const before = doing
      doing = inWords(seen)
      if (doing !== before) log.debug(operation.service, doing)
    },
  }
}

/** A job stands in the line of the roll-outs: who wonders why nothing else happens reads it here. */
const whoWaits = ({ intent }: Operation): string =>
  `everything else waits for its end, at most ${durationInWords(intent.job?.timeout ?? 0)} from its begin`

const subjectOfOperation = ({ service, intent }: Operation): string =>
  intent.job === undefined ? service : subjectOfJob(intent.job.name)

const megabytes = (count: number): string => `${(count / 1e6).toFixed(1)} MB`
