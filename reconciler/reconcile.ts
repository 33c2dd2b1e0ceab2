import { isWaitedFor } from './compose/service-facts.ts'
import type { Finding } from './desired-state.ts'
import { codeOf } from './errors.ts'
import type { Intent, Operation } from './journal/operations.ts'
import { load, look, type Memory, type Outlook } from './look.ts'
import { newerCommit } from './newer-commit.ts'
import type { Parts } from './parts.ts'
import type { Change } from './plan/change.ts'
import type { Plan } from './plan/plan.ts'
import { orderOf } from './roll-out-order.ts'
import { startStopped, takeLeave } from './rollout/mend.ts'
import { settleRollback } from './rollout/settle.ts'
import type { Progress, Work } from './rollout/step.ts'
import { resume, rollOut } from './rollout.ts'
import { tidyUp } from './tidy-up.ts'

/** What one pass saw and did. */
export type PassReport = {
  /** Null when no commit was ever good. */
  commit: string | null
  findings: Finding[]
  findingsCommit: string | null
  sourceProblem: string | null
  plan: Plan | null
  operations: Operation[]
  /** Instances that were removed after their soak. */
  discarded: string[]
  /** When the host was last looked at; events from before it are covered. Milliseconds since 1970, as `at`. */
  lookedAt: number
  at: number
}

export type PassOptions = {
  /** Only these services; all when empty. */
  services: string[]
  /** Ignore windows and growing pauses. */
  now: boolean
  /** Fires when the process is told to end. */
  stopping: AbortSignal
  /** Fires when somebody says that Git may have moved: a webhook during the pass. */
  hint: EventTarget
  progress: Progress
  /** The services that are worked on from now on, so that our own doings are not taken for drift. */
  busy: (services: string[]) => void
  /** Called after each look, so that others know what was seen without looking themselves. */
  looked?: (outlook: Outlook) => void
  /** Called as soon as an operation has ended, or was cut. */
  ended?: (operation: Operation) => void
}

/**
 * One pass: finish what was cut short, look, then roll out each change that is not held, one after the other. The
 * host is looked at again after each roll-out, since it took minutes and the world may have moved.
 */
export async function pass(parts: Parts, memory: Memory, options: PassOptions): Promise<PassReport> {
  const recovered = await recover(parts, memory, options)
  const tried = new Set<string>()
  const operations = [...recovered]
  let outlook = await look(parts, memory, { fetch: true, ignoreWindows: options.now })
  while ('plan' in outlook) {
    options.looked?.(outlook)
    const change = nextChange(outlook, options.services, { tried, failed: failedIn(operations) })
    if (change === undefined || options.stopping.aborted) break
    tried.add(attemptOf(outlook, change))
    const operation = await carryOutChange(parts, memory, { outlook, change, options })
    operations.push(operation)
    options.ended?.(operation)
    memory.trusted.clear()
    if (operation.result === 'running') break
    const again = await look(parts, memory, { fetch: false, ignoreWindows: options.now })
    if ('plan' in again) outlook = { ...again, sourceProblem: outlook.sourceProblem }
    else break
  }
  if (!('plan' in outlook)) {
    return {
      commit: null,
      findings: outlook.findings,
      findingsCommit: outlook.commit,
      sourceProblem: null,
      plan: null,
      operations,
      discarded: [],
      lookedAt: parts.now(),
      at: parts.now(),
    }
  }
  const discarded = options.stopping.aborted ? [] : await tidyUp(parts, outlook)
  const { commit, findings, findingsCommit, sourceProblem, plan } = outlook
  return {
    commit,
    findings,
    findingsCommit,
    sourceProblem,
    plan,
    operations,
    discarded,
    lookedAt: outlook.lookedAt,
    at: parts.now(),
  }
}

/**
 * What a crash or a stop cut short comes before anything else. An engine that is away is found here, before an
 * attempt is counted.
 */
export async function recover(parts: Parts, memory: Memory, options: PassOptions): Promise<Operation[]> {
  const done: Operation[] = []
  for (const operation of parts.journal.unfinished()) {
    const project = parts.journal.note('project') ?? ''
    await parts.engine.observe(project)
    const { loaded } = await load(parts, memory, operation.commit).catch(() => ({ loaded: null }))
    const work = workOf(parts, options, {
      project,
      root: loaded?.root ?? '',
      endsByItself: (service) => loaded !== null && isWaitedFor(loaded.model, service),
      secrets: loaded?.secrets ?? null,
    })
    options.busy(servicesOf(operation.intent))
    const resumed = await resume(work, operation)
    if (resumed.kind === 'rollback') settleRollback(parts.journal, resumed)
    done.push(resumed)
    options.ended?.(resumed)
    options.busy([])
  }
  return done
}

const servicesOf = (intent: Intent): string[] => intent.members.map((member) => member.service)

/** A newer commit that was fetched meanwhile gets its own attempt in the same pass. */
const attemptOf = (outlook: Outlook, change: Change): string => `${change.service} ${outlook.commit}`

type Sofar = { tried: ReadonlySet<string>; failed: ReadonlySet<string> }

const failedIn = (operations: Operation[]): Set<string> =>
  new Set(operations.filter((each) => each.result !== 'applied').map((each) => each.service))

/**
 * Each service is tried once a pass; what is swapped together with another is not rolled out by itself, and what
 * depends on one that failed in this pass waits for the next.
 */
function nextChange(outlook: Outlook, only: string[], sofar: Sofar): Change | undefined {
  const waits = (service: string): boolean => {
    const target = outlook.targets.list.find((each) => each.service === service)
    const needs = [...(target?.dependsOn.map((each) => each.service) ?? []), ...(target?.shares ?? [])]
    return needs.some((need) => sofar.failed.has(need))
  }
  return outlook.plan.changes.find(
    (change) =>
      change.action !== 'none' &&
      change.held === null &&
      change.together === null &&
      !sofar.tried.has(attemptOf(outlook, change)) &&
      !waits(change.service) &&
      (only.length === 0 || only.includes(change.service)),
  )
}

type Task = { outlook: Outlook; change: Change; options: PassOptions }

async function carryOutChange(parts: Parts, memory: Memory, task: Task): Promise<Operation> {
  const { outlook, change, options } = task
  const { loaded } = outlook
  parts.journal.writeNote('project', loaded.state.host.project)
  const newer = newerCommit(parts, memory, { loaded, service: change.service, hint: options.hint })
  const work = workOf(parts, options, {
    project: loaded.state.host.project,
    root: loaded.root,
    endsByItself: (service) => isWaitedFor(loaded.model, service),
    secrets: loaded.secrets,
  })
  work.newer = newer.signal
  const { wanted, body } = orderOf(parts, outlook, change)
  options.busy([...servicesOf(wanted.intent), ...wanted.intent.quiesced.map((each) => each.name)])
  try {
    switch (change.action) {
      case 'start':
        return await startStopped(work, wanted)
      case 'remove':
        return await takeLeave(work, wanted, loaded.state.host.prune)
      case 'create':
      case 'replace':
        return await rollOut(work, wanted, body)
      case 'none':
        throw new Error('nothing to do is not a task')
      default:
        return change.action satisfies never
    }
  } finally {
    newer.end()
    options.busy([])
  }
}

/** `secrets` is null when they are not known: then nothing a container wrote is recorded. */
type About = Pick<Work, 'project' | 'root' | 'endsByItself'> & { secrets: ReadonlySet<string> | null }

/** The parts a roll-out works with, for the secrets and the checkout of one commit. */
export function workOf(parts: Parts, options: PassOptions, about: About): Work {
  const { secrets, ...rest } = about
  return {
    engine: parts.engine,
    journal: parts.journal,
    now: parts.now,
    clock: parts.clock,
    newer: new AbortController().signal,
    stopping: options.stopping,
    progress: maskedProgress(options.progress, secrets ?? new Set()),
    secretsKnown: secrets !== null,
    mask: (text) => masked(text, secrets ?? new Set()),
    ...rest,
  }
}

/** What a failing check said is shown while it is waited for; a program may say its password there. */
function maskedProgress(progress: Progress, secrets: ReadonlySet<string>): Progress {
  return {
    step: progress.step,
    pull: progress.pull,
    health: (operation, seen) => progress.health(operation, { ...seen, said: masked(seen.said, secrets) }),
  }
}

/** Short secrets are masked too: a false `***` in a log is better than a password. */
export function masked(text: string, secrets: ReadonlySet<string>): string {
  let result = text
  for (const secret of secrets) if (secret !== '') result = result.replaceAll(secret, '***')
  return result
}

/** A pass that could not even look; the loop tells it and tries again. */
export const isOutage = (error: unknown): boolean =>
  codeOf(error) === 'engine-unreachable' || codeOf(error) === 'source-unreachable'
