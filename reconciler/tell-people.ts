import { createHash } from 'node:crypto'
import { dataProblems, subjectOf } from './data-problems.ts'
import type { Tidings } from './desired-state.ts'
import { isAboutData } from './journal/data-records.ts'
import type { Tellings, ToldFailure } from './journal/notifications.ts'
import type { Operation } from './journal/operation.ts'
import type { Journal } from './journal.ts'
import { type Failure, failureOf, type News, newsOf, newsWithout, subjectOfJob } from './notify/news.ts'
import { type Audience, audience, rememberAudience } from './notify/recipients.ts'
import type { Parts } from './parts.ts'
import type { PassReport } from './reconcile.ts'
import type { UpdateRecord } from './self-update/record.ts'
import type { PassOptions } from './work.ts'

/** The parts that telling needs; nothing is sent here, only written down to be sent. */
type Known = Pick<Parts, 'journal' | 'now'>

/** Adds to the options of a pass that whoever host.yaml names is told how each operation ended. */
export function tellingPeople(parts: Known, options: PassOptions): PassOptions {
  return {
    ...options,
    looked(outlook) {
      rememberAudience(parts.journal, outlook.loaded.state.host, parts.now())
      options.looked?.(outlook)
    },
    ended(operation) {
      tellPeople(parts)
      options.ended?.(operation)
    },
  }
}

/** What ended longer ago nobody waits for any more. */
const lately = 24 * 60 * 60_000
/** A failure that lasts, or comes again each night, is told once a day. */
const reminder = 23 * 60 * 60_000

/**
 * Writes down who is to be told of what has ended since the last time. It goes by the journal and not by what the
 * caller knows: a process may have been killed between an end and its telling, and then this is made up.
 */
export function tellPeople({ journal, now }: Known): void {
  const whom = audience(journal)
  if (whom === null) return
  for (const id of journal.untoldOperations(Math.max(whom.since, now() - lately))) {
    const operation = journal.operation(id)
    if (operation === null) continue
    const tellings = nothing()
    tellings.operations.push(id)
    const about = { journal, now: now(), whom, tellings }
    if (isAboutData(operation)) tellOfData(about, operation)
    else tellOfRollOut(about, operation)
    journal.tell(tellings, now())
  }
}

/**
 * After a pass: what is over without an operation (Git went back to what runs), schedules that came to nothing, and
 * what still lasts.
 */
export function tellPeopleOfPass(parts: Known, report: PassReport): void {
  const { journal, now } = parts
  tellPeople(parts)
  const whom = audience(journal)
  if (whom === null || report.plan === null) return
  const { changes } = report.plan
  const about = { journal, now: now(), whom, tellings: nothing() }
  const present = new Set(changes.map((change) => change.service))
  const problems = dataProblems(journal, (service) => present.has(service))
  for (const problem of problems) if (problem.about.startsWith('scheduled ')) tellOfProblem(about, problem)
  for (const failure of journal.toldFailures()) {
    const [kind = '', name = ''] = failure.subject.split(/ (.*)/s)
    const change = changes.find((each) => each.service === name)
    if (kind === 'service') {
      if (change === undefined) tellEnd(about, failure, `${name} left the desired state.`)
      else if (change.action === 'none') tellEnd(about, failure, `${name} is as the desired state says.`)
      else remindOfStuck(about, failure, name)
    } else if (kind === 'job') {
      if (!whom.jobs.includes(name)) tellEnd(about, failure, `There is no job ${name} any more.`)
    } else if (problems.every((problem) => problem.about !== failure.subject)) {
      tellEnd(about, failure, 'A later one was good, or nobody needs it any more.')
    }
  }
  if (Object.values(about.tellings).some((each) => each.length > 0)) journal.tell(about.tellings, now())
  journal.forgetTold(now() - 2 * lately)
}

/**
 * Writes down, once for each update of Samovar itself, that it went back, for those who are told of that. The daemon
 * that runs then knows it from the record; should it turn out later that it is stuck, that is told too.
 *
 * @param record of the last update, or null when there was none
 */
export function tellPeopleOfUpdate({ journal, now }: Known, record: UpdateRecord | null): void {
  const whom = audience(journal)
  if (record === null || whom === null) return
  const { phase, startedAt } = record
  if (phase !== 'going-back' && phase !== 'reverted' && phase !== 'stuck') return
  const at = record.endedAt ?? startedAt
  const event = phase === 'stuck' ? 'stuck' : 'reverted'
  const name = `update of samovar ${startedAt} ${event}`
  if (at < Math.max(whom.since, now() - lately) || journal.note(toldUpdate) === name) return
  const about = { journal, now: now(), whom, tellings: nothing() }
  const news = newsWithout(
    event,
    { place: placeOf(about), subject: 'samovar', since: null, at },
    updateInWords(record),
  )
  for (const { recipient, on } of whom.recipients)
    if (on.includes(event)) post(about, { recipient, name, news })
  journal.tell(about.tellings, now())
  journal.writeNote(toldUpdate, name)
}

const toldUpdate = 'told-update'

function updateInWords({ phase, from, to, reason }: UpdateRecord): { happened: string; next: string[] } {
  const happened = `The update of Samovar itself to ${to} went back to ${from}: ${reason}`
  const said = `\`journalctl -u samovar\` has what ${to} said; update to a release that has it right.`
  return phase === 'stuck'
    ? {
        happened,
        next: [
          'A person must look, now: nothing is rolled out meanwhile. The containers run on without Samovar.',
          '`systemctl status samovar` and `samovar doctor` tell what is missing.',
          said,
        ],
      }
    : { happened, next: [`Nothing is urgent: Samovar ${from} works as before.`, said] }
}

type About = { journal: Journal; now: number; whom: Audience; tellings: Tellings }

const nothing = (): Tellings => ({ operations: [], notifications: [], failures: [], over: [] })

function tellOfRollOut(about: About, operation: Operation): void {
  const { journal, whom } = about
  const failure = failureOf(operation, journal.steps(operation.id))
  if (failure !== null)
    return tellFailure(about, failure, (event, since) =>
      newsFrom(about, { event, since, operation, subject: failure.subject }),
    )
  // That something was put right by itself is nobody's news, and does not speak for what was reverted before.
  if (operation.result !== 'applied' || operation.intent.drift) return
  const subject = operation.kind === 'job' ? subjectOfJob(operation) : `service ${operation.service}`
  const told = new Set(tellEnds(about, subject, operation))
  if (operation.kind === 'job') return
  for (const { recipient, on } of whom.recipients)
    if (on.includes('applied') && !told.has(recipient))
      post(about, {
        recipient,
        name: `${operation.id} applied`,
        news: newsFrom(about, { event: 'applied', since: null, operation, subject }),
      })
}

/** A backup that failed is told; that one was taken is not, unless somebody knows of a failure. */
function tellOfData(about: About, operation: Operation): void {
  const subject = subjectOf(operation)
  if (operation.result === 'applied') {
    tellEnds(about, subject, operation)
    return
  }
  const problem = dataProblems(about.journal, () => true).find((each) => each.about === subject)
  if (problem === undefined) return
  const tidings: Tidings[] = operation.kind === 'restore' ? ['stuck'] : ['backup-failed']
  const failure = { subject, fingerprint: problem.fingerprint, tidings }
  tellFailure(about, failure, (event, since) => newsFrom(about, { event, since, operation, subject }))
}

type Problem = ReturnType<typeof dataProblems>[number]

function tellOfProblem(about: About, problem: Problem): void {
  const { about: subject, fingerprint, message, next } = problem
  const place = placeOf(about)
  tellFailure(about, { subject, fingerprint, tidings: ['backup-failed'] }, (event, since) =>
    newsWithout(event, { place, subject, since, at: about.now }, { happened: message, next: [`${next}.`] }),
  )
}

/** Each recipient by what it was told itself: it may be named since yesterday, or want another half of it. */
function tellFailure(
  about: About,
  failure: Failure,
  news: (event: Tidings, since: number | null) => News,
): void {
  const { now, whom, journal } = about
  const known = journal.toldFailures()
  const { subject, fingerprint } = failure
  for (const { recipient, on } of whom.recipients) {
    const event = failure.tidings.find((each) => on.includes(each))
    if (event === undefined) continue
    const before = known.find((each) => each.subject === subject && each.recipient === recipient)
    const isSame = before?.fingerprint === fingerprint
    if (isSame && now - before.toldAt < reminder) continue
    const since = isSame ? before.firstAt : null
    const name = `${subject} ${fingerprint} ${now}`
    const id = post(about, {
      recipient,
      name,
      news: news(event, since),
      after: isSame ? before.notification : null,
    })
    const first = isSame
      ? { firstAt: before.firstAt, notification: before.notification }
      : { firstAt: before?.firstAt ?? now, notification: id }
    about.tellings.failures.push({ subject, recipient, fingerprint, toldAt: now, ...first })
  }
}

/** A service that is stuck stays so until somebody comes: whoever was told is reminded. */
function remindOfStuck(about: About, failure: ToldFailure, service: string): void {
  const { journal, now } = about
  const operation = journal.lastRollOut(service)
  if (operation === null || operation.result !== 'stuck' || journal.isRetried(operation.id)) return
  if (now - failure.toldAt < reminder) return
  const found = failureOf(operation, journal.steps(operation.id))
  if (found === null || found.fingerprint !== failure.fingerprint) return
  tellFailure(about, found, (event, since) =>
    newsFrom(about, { event, since, operation, subject: found.subject }),
  )
}

/** @returns whom the end was told */
function tellEnds(about: About, subject: string, operation: Operation): string[] {
  const ended = about.journal.toldFailures().filter((each) => each.subject === subject)
  for (const failure of ended)
    end(about, failure, newsFrom(about, { event: 'recovered', since: failure.firstAt, operation, subject }))
  return ended.map((each) => each.recipient)
}

function tellEnd(about: About, failure: ToldFailure, happened: string): void {
  const { subject, firstAt } = failure
  const place = placeOf(about)
  const moment = { place, subject, since: firstAt, at: about.now }
  end(about, failure, newsWithout('recovered', moment, { happened, next: [] }))
}

/** Once, to whoever was told of the failure and is still named. */
function end(about: About, failure: ToldFailure, news: News): void {
  const { recipient, subject, notification } = failure
  about.tellings.over.push({ subject, recipient })
  const isNamed = about.whom.recipients.some((each) => each.recipient === recipient)
  if (isNamed) post(about, { recipient, name: `end of ${notification}`, news, after: notification })
}

const placeOf = ({ whom: { host, timezone } }: About): { host: string; timezone: string } => ({
  host,
  timezone,
})

function newsFrom(
  about: About,
  what: { event: News['event']; since: number | null; operation: Operation; subject: string },
): News {
  const { event, since, operation, subject } = what
  const steps = about.journal.steps(operation.id)
  return newsOf(event, { place: placeOf(about), subject, since }, { operation, steps })
}

/** What is kept of a message until it is sent. */
export type Kept = { news: News; after: string | null }

/** @returns the id, which is the same whenever the same is told to the same recipient */
function post(
  { tellings, whom }: About,
  what: { recipient: string; name: string; news: News; after?: string | null },
): string {
  const { recipient, name, news, after = null } = what
  const id = notificationId(`${name}\n${recipient}`, whom.host)
  const kept: Kept = { news, after }
  tellings.notifications.push({ id, recipient, content: JSON.stringify(kept) })
  return id
}

/** A Message-ID without its brackets (RFC 5322). */
export function notificationId(name: string, host: string): string {
  const hash = createHash('sha256').update(`${host}\n${name}`).digest('hex').slice(0, 32)
  return `${hash}@${host.replaceAll(/[^A-Za-z0-9.-]/g, '-')}`
}
