import { isWaitedFor } from './compose/service-facts.ts'
import { codeOf, SamovarError, sentenceOf } from './errors.ts'
import type { Operation } from './journal/operation.ts'
import type { Journal } from './journal.ts'
import { type Loaded, maskOf } from './load.ts'
import { load, newMemory, type Outlook, targetsOnce } from './look.ts'
import type { Parts } from './parts.ts'
import type { Change } from './plan/change.ts'
import { heldByOwnContainer } from './plan/own-container.ts'
import { containerOf } from './plan/plan.ts'
import { shortImage, type Target } from './plan/target.ts'
import { notFinished, recover } from './recover.ts'
import { orderOf } from './roll-out-order.ts'
import { settleRollback } from './rollout/settle.ts'
import { rollOut } from './rollout.ts'
import { missingFor } from './secrets/missing.ts'
import { rewriteMounted } from './secrets/rewrite.ts'
import { type PassOptions, workOf } from './work.ts'

/**
 * A person wants the version before the one that runs: the service is rolled out as the commit of that time had it,
 * with that commit's health checks. What ran is quarantined, so that the next pass does not roll it forward again;
 * `retry` lifts that.
 *
 * @throws SamovarError `no-rollback-target`, `data-not-covered`, and what a pass throws
 */
export async function rollBack(parts: Parts, options: PassOptions, service: string): Promise<Operation> {
  const open = (await recover(parts, newMemory(), options)).find((each) => each.result === 'running')
  if (open !== undefined) throw notFinished(open, options)
  refuseHalfRestored(parts.journal, service)
  const { ran, before } = rollbackTarget(parts.journal, service)
  const { loaded, target, outlook } = await asItWas(parts, before)
  const [missing] = missingFor(loaded, service)
  if (missing !== undefined) {
    const { name, why, next } = missing
    throw new SamovarError('secret-missing', `the secret ${name} is missing: ${why}`, { next })
  }
  if (target.problem !== null) throw new SamovarError('data-not-covered', target.problem)
  const change = changeBack(outlook, target, before)
  const own = heldByOwnContainer(change, parts.settings.ownService.container)
  if (own !== null) throw new SamovarError('update-refused', own)
  const { wanted, body } = orderOf(parts, outlook, change)
  wanted.kind = 'rollback'
  const work = workOf(parts, options, {
    project: loaded.state.host.project,
    root: loaded.root,
    endsByItself: (name) => isWaitedFor(loaded.model, name),
    secrets: maskOf(loaded),
  })
  parts.journal.writeNote('project', loaded.state.host.project)
  parts.journal.quarantine({
    service,
    digest: ran.to?.digest ?? '',
    configuration: ran.intent.configuration,
    operation: ran.id,
    reason: 'a person rolled it back',
    at: parts.now(),
  })
  options.busy(wanted.intent.members.map((member) => member.service))
  try {
    const operation = await rollOut(work, wanted, body)
    settleRollback(parts.journal, operation)
    options.ended?.(operation)
    return operation
  } finally {
    options.busy([])
  }
}

function refuseHalfRestored(journal: Journal, service: string): void {
  const half = journal.dirty().find((each) => each.service === service)
  if (half === undefined) return
  throw new SamovarError(
    'restore-incomplete',
    `the data of ${service} is only half put back from backup ${half.backup}, so nothing is started on it`,
    { next: `samovar restore ${half.backup}` },
  )
}

/**
 * Services of which nothing is left to run, while what the commit asks for is quarantined: somebody removed the
 * container that had been put back. What held last is wanted then, with growing pauses as for any drift.
 */
export function missingLastGood(parts: Parts, outlook: Outlook, options: PassOptions): Operation[] {
  const { journal, now } = parts
  const paused = new Set([...journal.paused(), ...journal.dirty().map((each) => each.service)])
  return outlook.plan.changes
    .filter(
      (change) =>
        change.action === 'create' &&
        change.held !== null &&
        !paused.has(change.service) &&
        (options.services.length === 0 || options.services.includes(change.service)),
    )
    .map((change) => journal.lastApplied(change.service))
    .filter((last) => last !== null)
    .filter((last) => {
      const quarantined = journal.quarantined().filter((each) => each.service === last.service)
      const bad = quarantined.some((each) => `${each.digest} ${each.configuration}` === versionOf(last))
      const setback = journal.setbacks().find((each) => each.service === last.service)
      const waits = setback?.target === versionOf(last) && setback.nextAt > now() && !options.now
      return quarantined.length > 0 && !bad && !waits
    })
}

/** Rolls out what held last, as its commit had it; null when that commit cannot be read any more. */
export async function runLastGood(
  parts: Parts,
  options: PassOptions,
  last: Operation,
): Promise<Operation | null> {
  const before = await asItWas(parts, last).catch((error: unknown) => {
    if (codeOf(error) === 'no-rollback-target') return null
    throw error
  })
  if (before === null) return null
  const { loaded, target, outlook } = before
  const change: Change = { ...changeBack(outlook, target, last), drift: true }
  const { wanted, body } = orderOf(parts, outlook, change)
  const work = workOf(parts, options, {
    project: loaded.state.host.project,
    root: loaded.root,
    endsByItself: (name) => isWaitedFor(loaded.model, name),
    secrets: maskOf(loaded),
  })
  options.busy(wanted.intent.members.map((member) => member.service))
  return rollOut(work, wanted, body).finally(() => options.busy([]))
}

/** The version that runs and the newest one before it that held and was not found bad. */
export function rollbackTarget(
  journal: Pick<Journal, 'lastApplied' | 'history' | 'quarantined'>,
  service: string,
): { ran: Operation; before: Operation } {
  const ran = journal.lastApplied(service)
  if (ran === null) {
    throw new SamovarError('no-rollback-target', `Samovar has not rolled out ${service} yet`, {
      next: '`samovar history` shows what it rolled out; `samovar status` lists the services.',
    })
  }
  const bad = new Set(
    journal
      .quarantined()
      .filter((each) => each.service === service)
      .map((each) => `${each.digest} ${each.configuration}`),
  )
  const before = journal
    .history(1_000, service)
    .find(
      (each) =>
        each.result === 'applied' &&
        (each.kind === 'create' || each.kind === 'replace' || each.kind === 'rollback') &&
        versionOf(each) !== versionOf(ran) &&
        !bad.has(versionOf(each)),
    )
  if (before === undefined) {
    throw new SamovarError(
      'no-rollback-target',
      `no version of ${service} held before ${shortImage(ran.to ?? { tag: '', digest: '' })}`,
    )
  }
  return { ran, before }
}

const versionOf = (operation: Operation): string =>
  `${operation.to?.digest ?? ''} ${operation.intent.configuration}`

type Before = { loaded: Loaded; target: Target; outlook: Outlook }

/** The commit of an operation, read again, on the host as it is now. */
async function asItWas(parts: Parts, before: Operation): Promise<Before> {
  const memory = newMemory()
  const { loaded, findings } = await load(parts, memory, before.commit).catch((error: unknown) => {
    throw gone(before, sentenceOf(error), error)
  })
  if (loaded === null) throw gone(before, findings[0]?.message ?? 'it cannot be read')
  if (before.to !== null) {
    const reference = `${before.to.name}:${before.to.tag}`
    // The tag may mean another image by now; what ran then is what is wanted.
    parts.journal.rememberDigest(before.commit, reference, before.to.digest, parts.now())
  }
  const targets = await targetsOnce(parts, memory, loaded)
  const target = targets.list.find((each) => each.service === before.service)
  if (target === undefined) throw gone(before, `it does not name ${before.service}`)
  const lookedAt = parts.now()
  const running = await parts.engine.observe(loaded.state.host.project)
  await rewriteMounted(parts, { loaded, running })
  const outlook: Outlook = {
    commit: before.commit,
    findings: [],
    findingsCommit: null,
    sourceProblem: null,
    loaded,
    targets,
    running,
    plan: { commit: before.commit, changes: [], foreign: [] },
    lookedAt,
  }
  return { loaded, target, outlook }
}

function gone(before: Operation, why: string, cause?: unknown): SamovarError {
  const commit = before.commit.slice(0, 8)
  return new SamovarError(
    'no-rollback-target',
    `${before.service} ran ${shortImage(before.to ?? { tag: '', digest: '' })} at commit ${commit}, which cannot be read any more: ${why}`,
    {
      next: `Put that version into desired-state/services/${before.service}.yaml and push.`,
      cause,
    },
  )
}

function changeBack(outlook: Outlook, target: Target, before: Operation): Change {
  const current = containerOf(target.service, outlook.running)
  return {
    service: target.service,
    action: current === null ? 'create' : 'replace',
    reasons: [
      {
        field: 'rollback',
        before: current === null ? 'none' : shortImage(current.image),
        after: `${shortImage(target.image)} of commit ${before.commit.slice(0, 8)}`,
      },
    ],
    held: null,
    startsAt: null,
    drift: false,
    current,
    together: null,
  }
}
