import { configurationDifferences } from './compose/configuration-differences.ts'
import type { Finding } from './desired-state.ts'
import type { ContainerBody, FieldDifference } from './engine/container-body.ts'
import { type Inspected, type Running, samovarLabels } from './engine/engine.ts'
import { sentenceOf } from './errors.ts'
import { expectedTimes } from './expected-times.ts'
import { everyService } from './journal/standing.ts'
import { type Loaded, loadCommit } from './load.ts'
import type { Parts } from './parts.ts'
import type { Standing } from './plan/hold.ts'
import { containerOf, makePlan, needLook, type Plan, type PlanInput } from './plan/plan.ts'
import { secretChanges } from './secrets/changed.ts'
import { rewriteMounted } from './secrets/rewrite.ts'
import { type Targets, targetsOf } from './targets.ts'

/** What one look at Git and at the host saw: nothing on the host was changed for it. */
export type Outlook = {
  commit: string
  /** Findings of a newer commit that is not followed; empty when the newest is good. */
  findings: Finding[]
  findingsCommit: string | null
  /** Why Git could not be asked, or null. */
  sourceProblem: string | null
  loaded: Loaded
  targets: Targets
  running: Running[]
  plan: Plan
  /** What the plan was made of; missing where none was made. */
  considered?: PlanInput
  /** Milliseconds since 1970. */
  lookedAt: number
}

/** What is remembered between two looks of one process, so that a quiet pass costs one Engine call. */
export type Memory = {
  loaded: Map<string, Loaded>
  targets: Map<string, Targets>
  /** Instances that were looked at exactly and to which nothing happened since. */
  trusted: Set<string>
}

export const newMemory = (): Memory => ({ loaded: new Map(), targets: new Map(), trusted: new Set() })

export type LookOptions = {
  /** False: the last commit that was fetched, without asking the remote. */
  fetch: boolean
  ignoreWindows: boolean
}

/**
 * Fetch, load, observe, plan. A newest commit that is not good, or a Git that is away, leaves the last good commit
 * in force.
 *
 * @returns the outlook, or only findings when no commit was ever good
 * @throws SamovarError `source-unreachable` when nothing was ever fetched, `engine-unreachable`
 */
export async function look(
  parts: Parts,
  memory: Memory,
  options: LookOptions,
): Promise<Outlook | { findings: Finding[]; commit: string }> {
  const { commit: head, problem } = await newestCommit(parts, options.fetch)
  const attempt = await load(parts, memory, head)
  let { loaded } = attempt
  if (loaded === null) {
    const lastGood = parts.journal.note('last-good-commit')
    if (lastGood === null || lastGood === head) return { findings: attempt.findings, commit: head }
    loaded = (await load(parts, memory, lastGood)).loaded
    if (loaded === null) return { findings: attempt.findings, commit: head }
  } else parts.journal.writeNote('last-good-commit', head)
  const targets = await targetsOnce(parts, memory, loaded)
  const lookedAt = parts.now()
  const running = await parts.engine.observe(loaded.state.host.project)
  await rewriteMounted(parts, { loaded, running })
  const looks = await exactLooks(parts, memory, { loaded, targets, running })
  const considered: PlanInput = {
    commit: loaded.commit,
    targets: targets.list,
    running,
    looks,
    standing: standingOf(parts, loaded, { targets, running, ignoreWindows: options.ignoreWindows }),
    prune: loaded.state.host.prune,
  }
  return {
    commit: loaded.commit,
    findings: attempt.findings,
    findingsCommit: attempt.loaded === null ? head : null,
    sourceProblem: problem,
    loaded,
    targets,
    running,
    plan: makePlan(considered),
    considered,
    lookedAt,
  }
}

async function newestCommit(
  parts: Parts,
  fetch: boolean,
): Promise<{ commit: string; problem: string | null }> {
  const last = parts.source.lastGood()
  if (!fetch && last !== null) return { commit: last.commit, problem: null }
  try {
    return { commit: (await parts.source.fetch()).commit, problem: null }
  } catch (error) {
    if (last === null) throw error
    return { commit: last.commit, problem: sentenceOf(error) }
  }
}

/** Reads a commit, once per process: what a commit says does not change, but for the values of its secrets. */
export async function load(
  parts: Parts,
  memory: Memory,
  commit: string,
): Promise<{ loaded: Loaded | null; findings: Finding[] }> {
  const { lookup } = parts.settings
  const known = memory.loaded.get(commit)
  if (known !== undefined) {
    if (!hasSecrets(known)) return { loaded: known, findings: [] }
    const { variables: _, masked, ...resolved } = await parts.secrets.resolve(known.state.host, lookup)
    if (resolved.fingerprint === known.resolved.fingerprint)
      return { loaded: { ...known, secrets: masked, resolved }, findings: [] }
  }
  const { directory } = await parts.source.checkout(commit)
  const loading = await loadCommit({
    compose: parts.compose,
    commit,
    root: directory,
    directory: parts.settings.directory,
    values: (host) => parts.secrets.resolve(host, lookup),
  })
  if (loading.loaded !== null) {
    // The newest and the one before: the rest would only grow.
    if (memory.loaded.size > 1) memory.loaded.clear()
    memory.loaded.set(commit, loading.loaded)
  }
  return loading
}

const hasSecrets = ({ state }: Loaded): boolean =>
  Object.values(state.host.variables).some((value) => typeof value !== 'string')

/** Targets are made once per commit and values of its secrets, but again as long as a tag is not resolved. */
export async function targetsOnce(parts: Parts, memory: Memory, loaded: Loaded): Promise<Targets> {
  const name = `${loaded.commit} ${loaded.resolved.fingerprint}`
  const known = memory.targets.get(name)
  const isResolved = known?.list.every((target) => target.image.digest !== '') === true
  const targets =
    known !== undefined && isResolved ? known : await targetsOf({ ...parts, ...parts.settings }, loaded)
  // A tmpfs loses what somebody unmounts.
  if (targets === known) await targets.writeSecrets()
  await learnLocalImages(parts, targets)
  if (targets !== known) {
    memory.targets.clear()
    memory.targets.set(name, targets)
  }
  return targets
}

/** Which image id a digest has on this host: as the journal notes it, else one call for all that nobody noted. */
async function learnLocalImages(parts: Parts, targets: Targets): Promise<void> {
  const unknown = () =>
    targets.list.filter((target) => target.imageId === null && target.image.digest !== '' && !target.onDemand)
  if (unknown().length === 0) return
  const noted = new Map(parts.journal.images().map((image) => [image.digest, image.id]))
  for (const target of unknown()) target.imageId = noted.get(target.image.digest) ?? null
  if (unknown().length === 0) return
  const local = await parts.engine.images()
  for (const target of unknown())
    target.imageId = local.find((image) => image.digests.includes(target.image.digest))?.id ?? null
}

type Sight = { loaded: Loaded; targets: Targets; running: Running[] }

async function exactLooks(
  parts: Parts,
  memory: Memory,
  sight: Sight,
): Promise<Map<string, FieldDifference[]>> {
  const { targets, running } = sight
  const suspects = needLook(targets.list, running, memory.trusted)
  const looks = new Map<string, FieldDifference[]>()
  for (const batch of inBatches(suspects, 10)) {
    await Promise.all(
      batch.map(async (current) => {
        const differences = await differencesOf(parts, sight, current)
        looks.set(current.instance, differences)
        if (differences.length === 0) memory.trusted.add(current.instance)
      }),
    )
  }
  const present = new Set(running.map((each) => each.instance))
  for (const instance of memory.trusted) if (!present.has(instance)) memory.trusted.delete(instance)
  return looks
}

/** Field by field, against the container that would be made now. What only this engine renders so is left out. */
async function differencesOf(parts: Parts, sight: Sight, current: Running): Promise<FieldDifference[]> {
  const seen = await parts.engine.inspect(current.instance)
  const containers: Record<string, string> = {}
  for (const each of sight.targets.list.find((target) => target.service === current.service)?.shares ?? []) {
    const provider = containerOf(each, sight.running)
    // A container that is not there cannot be named; the difference then says so by itself.
    containers[each] = provider?.instance ?? 'missing'
  }
  const body = await sight.targets.body(current.service, seen.image.id, containers)
  const differences = compare(sight.loaded, { body, seen, notKept: parts.journal.residue(current.instance) })
  if (differences.length === 0) return differences
  return [...secretChanges(seen.configuration.Labels[samovarLabels.secrets], body), ...differences]
}

/**
 * The differences between a body and a container, with secret values masked on both sides.
 *
 * @param about.notKept fields the engine did not keep when it made this very container
 */
export function compare(
  loaded: Loaded,
  about: { body: ContainerBody; seen: Inspected; notKept: string[] },
): FieldDifference[] {
  const { body, seen, notKept } = about
  const recorded = seen.configuration.Labels[samovarLabels.secretFields]
  return configurationDifferences(body, seen, {
    secrets: loaded.secrets,
    secretFields: recorded === undefined ? [] : recorded.split(','),
    notKept: new Set(notKept),
  })
}

function standingOf(
  parts: Parts,
  loaded: Loaded,
  about: { targets: Targets; running: Running[]; ignoreWindows: boolean },
): Standing {
  const { journal } = parts
  const { host } = loaded.state
  const lastApplied = new Map<string, string>()
  const stuck: Standing['stuck'] = []
  for (const target of about.targets.list) {
    const last = journal.lastRollOut(target.service)
    const applied = journal.lastApplied(target.service)
    if (applied !== null)
      lastApplied.set(target.service, `${applied.to?.digest ?? ''} ${applied.intent.configuration}`)
    const fingerprint = `${last?.to?.digest ?? ''} ${last?.intent.configuration ?? ''}`
    const sameTarget =
      last?.kind === 'rollback' || fingerprint === `${target.image.digest} ${target.configuration}`
    if (last?.result === 'stuck' && sameTarget)
      stuck.push({ service: target.service, operation: last.id, reason: last.reason })
  }
  return {
    now: parts.now(),
    timezone: host.timezone,
    windows: host.windows,
    takes: expectedTimes(parts.journal, loaded),
    ignoreWindows: about.ignoreWindows,
    ownContainer: parts.settings.ownService.container,
    paused: pausedServices(journal.paused(), about),
    quarantined: journal.quarantined(),
    dirty: journal.dirty(),
    setbacks: journal.setbacks(),
    stuck: stuck.filter((each) => !journal.isRetried(each.operation)),
    lastApplied,
  }
}

/** Everything may be paused at once, also what a later commit adds. */
function pausedServices(paused: string[], about: { targets: Targets; running: Running[] }): Set<string> {
  const services = new Set(paused)
  if (!services.has(everyService)) return services
  for (const each of [...about.targets.list, ...about.running]) services.add(each.service)
  return services
}

function* inBatches<T>(all: T[], size: number): Generator<T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size)
}
