import { sentenceOf } from '../errors.ts'
import { durationInWords } from '../health/clock.ts'
import { openHold, readHold, removeHold, writeHold } from '../hold-requests.ts'
import type { DataIntent, Operation } from '../journal/operation.ts'
import type { UpdatePage } from '../update-page.ts'
import type { Work } from './step.ts'

/**
 * The proxy uses an address of a container for less than that after it was replaced (`resolver ... valid=1s` in
 * compose/nginx/nginx.conf, counted in whole seconds).
 */
const resolverMs = 2_000

/** What passed the proxy a moment ago reaches the old version before that is told to stop. */
const drainMs = 300

/** Beside what is expected, before a flag that nobody takes away means nothing any more. */
const spareMs = 60_000

/** Bytes a millisecond of a backup nobody has timed yet; slow on purpose, since a wrong "soon" makes people wait. */
const slowCopy = 20_000

/** True when somebody whom users reach stops already for the copy of the data, or for the service that is replaced. */
export const stopsForTheCopy = ({ intent }: Operation): boolean =>
  intent.quiesced.length > 0 || intent.data?.while === 'stopped'

/**
 * From here on the proxy holds the requests of what is swapped, for `hold` at most. When it will take longer than
 * that, by what it took before, nobody is made to wait: 503 with a page that says so. Safe to repeat: nobody waits
 * longer for that. A proxy that cannot be told does not stop a roll-out.
 *
 * @param back the old version comes back: what passed already is held anew
 */
export async function holdRequests(work: Work, operation: Operation, back = false): Promise<string> {
  const { hold } = operation.intent
  if (hold === undefined) return 'requests are not held'
  const isOpen = readHold(work.holdDir, operation.id)?.opensAt != null
  if (isOpen && !back) return 'requests pass already'
  if (isOpen) hold.since = null
  hold.since ??= work.now()
  work.journal.saveOperation(operation)
  const past = pastOf(work, operation)
  const expected = past.swapMs + copyMs(work, operation, back)
  const isShort = expected <= hold.ms
  try {
    writeHold(
      work.holdDir,
      {
        operation: operation.id,
        services: hold.services,
        holdUntil: isShort ? hold.since + hold.ms : hold.since,
        opensAt: null,
        endsAt: work.now() + hold.ms + operation.intent.health.within + finite(expected) + spareMs,
      },
      pageOf(operation, { since: hold.since, expected, last: past.last }),
    )
  } catch (error) {
    return `requests are not held: ${sentenceOf(error)}`
  }
  await work.clock.sleep(drainMs, work.stopping)
  if (isShort) return `requests wait for up to ${durationInWords(hold.ms)}`
  const long = Number.isFinite(expected) ? durationInWords(expected) : 'nobody knows how long'
  return `expected to take ${long}, more than ${durationInWords(hold.ms)}: requests are answered 503 meanwhile`
}

/**
 * What was swapped answers: requests pass, as soon as no worker of the proxy has the old address any more. When others
 * whose requests are held still stand still, they pass when those answer, too.
 *
 * @param all the others answer as well
 */
export function letThrough(work: Work, operation: Operation, all = false): void {
  const { hold } = operation.intent
  if (hold === undefined || (hold.others.length > 0 && !all)) return
  const flag = readHold(work.holdDir, operation.id)
  if (flag === null || flag.opensAt !== null) return
  const stopped = work.journal
    .steps(operation.id)
    .filter((step) => step.name === 'set aside' || step.name === 'stop new')
    .map((step) => step.startedAt + (step.ms ?? 0))
  try {
    openHold(work.holdDir, flag, Math.max(work.now(), ...stopped.map((at) => at + resolverMs)))
  } catch {
    // It ends by itself, and the end of the operation tries again.
  }
}

/** True while requests wait, also for services that this roll-out only stopped. */
export const isStillHeld = (work: Work, operation: Operation): boolean =>
  readHold(work.holdDir, operation.id)?.opensAt === null

/** The operation has ended, however it did: nothing is held for it, and the page is gone. */
export async function holdNoLonger(work: Work, operation: Operation): Promise<void> {
  if (operation.intent.hold === undefined || operation.result === 'running') return
  const opensAt = readHold(work.holdDir, operation.id)?.opensAt ?? 0
  if (opensAt > work.now()) await work.clock.sleep(opensAt - work.now(), work.stopping)
  forgetHold(work)
}

/** A flag that a crash left. One that cannot be removed ends by itself. */
export function forgetHold(work: Pick<Work, 'holdDir'>): void {
  try {
    removeHold(work.holdDir)
  } catch {
    // Nothing here depends on it.
  }
}

type Past = { swapMs: number; last: number[] }

/** How long the last three roll-outs of the service were noticed, and the longest of them without its backup. */
function pastOf(work: Work, operation: Operation): Past {
  const last = work.journal
    .history(50, operation.service)
    .filter(({ kind, result }) => result === 'applied' && (kind === 'replace' || kind === 'rollback'))
    .filter(({ downtimeMs, id }) => downtimeMs !== null && id !== operation.id)
    .slice(0, 3)
  const swaps = last.map(
    (each) => (each.downtimeMs ?? 0) - (isCold(each.intent.data) ? copied(work, each) : 0),
  )
  return { swapMs: Math.max(0, ...swaps), last: last.map((each) => each.downtimeMs ?? 0) }
}

const isCold = (data: DataIntent | undefined): boolean => data?.while === 'stopped'

/** How long the service stands still for its data: for the copy and its proof, or to put it back. */
function copyMs(work: Work, operation: Operation, back: boolean): number {
  const { data } = operation.intent
  if (data === undefined) return 0
  if (back ? !(data.restore && data.backup !== null) : !isCold(data)) return 0
  // Before the copy was made nobody needs to know; on the way back the one of this operation counts.
  const owners = data.owners.toSorted().join()
  for (const each of work.journal.history(50)) {
    if (each.intent.data?.owners.toSorted().join() !== owners) continue
    const ms = copied(work, each)
    if (ms > 0) return ms
  }
  return data.estimate == null ? Number.POSITIVE_INFINITY : data.estimate / slowCopy
}

function copied(work: Work, operation: Operation): number {
  const steps = work.journal
    .steps(operation.id)
    .filter((step) => step.result === 'done' && (step.name === 'back up' || step.name === 'prove backup'))
  return steps.reduce((sum, step) => sum + (step.ms ?? 0), 0)
}

const finite = (ms: number): number => (Number.isFinite(ms) ? ms : 300_000)

type Known = { since: number; expected: number; last: number[] }

function pageOf({ service, from, to }: Operation, { since, expected, last }: Known): UpdatePage {
  const isKnown = Number.isFinite(expected) && expected > 0
  const expectedSeconds = isKnown ? Math.ceil(expected / 1000) : null
  return {
    service,
    from: from?.tag ?? null,
    to: to?.tag ?? null,
    since: new Date(since).toISOString(),
    expectedSeconds,
    lastSeconds: last.map((ms) => Math.ceil(ms / 1000)),
    retryAfter: Math.min(120, Math.max(5, Math.ceil((expectedSeconds ?? 10) / 2))),
  }
}
