import { isWaitedFor } from './compose/service-facts.ts'
import type { Finding } from './desired-state.ts'
import { keepDiunImages } from './diun-images.ts'
import type { Operation } from './journal/operation.ts'
import { maskOf } from './load.ts'
import { look, type Memory, type Outlook } from './look.ts'
import { newerCommit } from './newer-commit.ts'
import type { Parts } from './parts.ts'
import type { Change } from './plan/change.ts'
import type { Plan } from './plan/plan.ts'
import { notFinished, recover } from './recover.ts'
import { missingLastGood, runLastGood } from './roll-back.ts'
import { orderOf } from './roll-out-order.ts'
import { startStopped, takeLeave } from './rollout/mend.ts'
import { rollOut } from './rollout.ts'
import { stopParked } from './stop-parked.ts'
import { tidyUp } from './tidy-up.ts'
import { type PassOptions, workOf } from './work.ts'

/** What one pass saw and did. */
export type PassReport = {
  /** Null when no commit was ever good. */
  commit: string | null
  findings: Finding[]
  findingsCommit: string | null
  sourceProblem: string | null
  /** Why values of secrets are earlier ones; missing when all are as they are now. */
  secretOutages?: string[]
  plan: Plan | null
  operations: Operation[]
  /** Instances that were removed after their soak. */
  discarded: string[]
  /** When the host was last looked at; events from before it are covered. Milliseconds since 1970, as `at`. */
  lookedAt: number
  at: number
}

/**
 * One pass: finish what was cut short, look, then roll out each change that is not held, one after the other. The
 * host is looked at again after each roll-out, since it took minutes and the world may have moved.
 */
export async function pass(parts: Parts, memory: Memory, options: PassOptions): Promise<PassReport> {
  const recovered = await recover(parts, memory, options)
  const open = recovered.find((operation) => operation.result === 'running')
  if (open !== undefined) throw notFinished(open, options)
  const tried = new Set<string>()
  const operations = [...recovered]
  let outlook = await look(parts, memory, { fetch: true, ignoreWindows: options.now })
  if ('plan' in outlook && (await stopParked(parts, outlook)))
    outlook = await look(parts, memory, { fetch: false, ignoreWindows: options.now })
  // Before the roll-outs: Diun does not start without it.
  if ('plan' in outlook) keepDiunImages(parts.settings.stateDir, outlook.loaded.state)
  while ('plan' in outlook) {
    options.looked?.(outlook)
    const change = nextChange(outlook, options.services, { tried, failed: failedIn(operations) })
    if (options.stopping.aborted) break
    let operation: Operation | null
    if (change !== undefined) {
      tried.add(attemptOf(outlook, change))
      operation = await carryOutChange(parts, memory, { outlook, change, options })
    } else {
      const missing = missingLastGood(parts, outlook, options).find((each) => !tried.has(each.id))
      if (missing === undefined) break
      tried.add(missing.id)
      operation = await runLastGood(parts, options, missing)
    }
    if (operation === null) continue
    operations.push(operation)
    options.ended?.(operation)
    for (const { current, kept } of operation.intent.members) {
      if (current !== null) memory.trusted.delete(current.instance)
      if (kept !== null) memory.trusted.delete(kept.instance)
    }
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
    secretOutages: outlook.loaded.resolved.outages,
    plan,
    operations,
    discarded,
    lookedAt: outlook.lookedAt,
    at: parts.now(),
  }
}

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
  const work = workOf(parts, options, {
    project: loaded.state.host.project,
    root: loaded.root,
    endsByItself: (service) => isWaitedFor(loaded.model, service),
    secrets: maskOf(loaded),
  })
  const { wanted, body } = orderOf(parts, outlook, change)
  const services = wanted.intent.members.map((member) => member.service)
  const newer = newerCommit(parts, memory, { loaded, services, hint: options.hint })
  work.newer = newer.signal
  options.busy(services)
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
