import type { FieldDifference } from '../engine/container-body.ts'
import type { Running } from '../engine/engine.ts'
import type { Action, Change } from './change.ts'
import { heldBack, mindsWindows, type Standing } from './hold.ts'
import { inOrder, sharersOf } from './order.ts'
import { heldByOwnContainer } from './own-container.ts'
import { isParked, type Seen, shortImage, type Target } from './target.ts'
import { type Held, heldByWindows } from './window-hold.ts'

export type Plan = {
  commit: string
  changes: Change[]
  /** Containers of the project that Samovar did not create and no service file names: told, never touched. */
  foreign: Running[]
}

export type PlanInput = {
  commit: string
  targets: Target[]
  /** Every container of the project. */
  running: Running[]
  /** Exact looks that were taken, by instance. */
  looks: Map<string, FieldDifference[]>
  standing: Standing
  prune: boolean
}

/**
 * What a pass does and why. Pure: the same input gives the same plan, so what `plan` prints is what `apply` does.
 * Removals come first (what leaves may hold a port that something new needs), then the services in the order of
 * their dependencies.
 */
export function makePlan(input: PlanInput): Plan {
  const removals = leaving(input)
  const changes = inOrder(input.targets).map((target) => changeOf(target, input))
  return {
    commit: input.commit,
    changes: [...removals.changes, ...swappedTogether(changes, input)],
    foreign: removals.foreign,
  }
}

/** What lives in the network of another is swapped with it: all of them, or none. */
function swappedTogether(own: Change[], input: PlanInput): Change[] {
  const changes: Change[] = []
  for (const each of own) {
    const target = targetOf(each, input)
    const host = changes.find((one) => target.shares.includes(one.service) && swaps(one))
    if (host === undefined || each.current === null) {
      changes.push(each)
      continue
    }
    const owner = changes.find((one) => one.service === host.together) ?? host
    heldByFollower(owner, each, input)
    const reason = {
      field: 'network_mode',
      before: `the old container of ${host.service}`,
      after: 'its new one',
    }
    changes.push({
      ...each,
      action: 'replace',
      together: owner.service,
      reasons: [...each.reasons, reason],
    })
  }
  for (const owner of changes) startTogether(owner, changes, input)
  const final = changes.map((change) =>
    change.together === null ? startMeanwhile(targetOf(change, input), change, input.standing) : change,
  )
  return final.map((change, at) => {
    const owner = final.find((each) => each.service === change.together)
    const alone = own[at]
    if (owner === undefined || alone === undefined) return change
    // Until its turn comes, what stands stopped is started, and an owner that is only started swaps nobody.
    if (!swaps(owner) || (owner.held !== null && alone.action === 'start')) return alone
    return { ...change, held: owner.held, startsAt: owner.startsAt }
  })
}

const targetOf = (change: Change, input: PlanInput): Target =>
  input.targets.find((target) => target.service === change.service) as Target

/**
 * Also one that needs nothing by itself must be replaceable: it may be paused, or have data nobody can back up. Its
 * pause after a failed try is not asked: what it failed for may be the owner, whose fix must not wait.
 */
function heldByFollower(owner: Change, follower: Change, input: PlanInput): void {
  if (owner.action !== 'replace') return
  const about = { ...input, standing: { ...input.standing, setbacks: [] } }
  const why = holdOf(targetOf(follower, input), { ...follower, action: 'replace' }, about)
  if (why === null) return
  const isFree = owner.held === null
  owner.held ??= `${follower.service} is swapped with it and is held: ${why.reason}`
  const isByTime = why.startsAt !== null && (isFree || owner.startsAt !== null)
  owner.startsAt = isByTime ? Math.max(why.startsAt ?? 0, owner.startsAt ?? 0) : null
}

/** What is swapped together starts when the windows of all of them are open. */
function startTogether(owner: Change, changes: Change[], { targets, standing }: PlanInput): void {
  const group = [owner, ...changes.filter((each) => each.together === owner.service)]
  if (group.length === 1 || owner.startsAt === null) return
  const windows = group
    .filter(mindsWindows)
    .map(({ service }) => targets.find((target) => target.service === service)?.window ?? null)
  if (windows.length === 0) return
  const swap = { services: group.map((each) => each.service), windows }
  const held = heldByWindows(swap, standing, owner.startsAt)
  if (held !== null) owner.startsAt = held.startsAt
}

const swaps = (change: Change): boolean => change.action === 'replace' || change.action === 'create'

/** The container that stands for a service: never one that is parked, the running one before a stopped one. */
export function containerOf(service: string, running: Running[]): Running | null {
  const own = running.filter((each) => each.service === service && !each.oneOff && !isParked(each))
  return (
    own.find((each) => each.state === 'running') ??
    own.toSorted((a, b) => b.createdAt - a.createdAt)[0] ??
    null
  )
}

/**
 * The containers that need an exact look before anything can be said of them: made from another configuration than
 * wanted, not made by Samovar, or not looked at since something happened to them (`trusted` holds those that were).
 */
export function needLook(targets: Target[], running: Running[], trusted: ReadonlySet<string>): Running[] {
  return targets
    .map((target) => ({ target, current: containerOf(target.service, running) }))
    .filter(
      ({ target, current }) =>
        current !== null &&
        (current.configuration !== target.configuration || !trusted.has(current.instance)),
    )
    .map(({ current }) => current as Running)
}

function changeOf(target: Target, input: PlanInput): Change {
  const current = containerOf(target.service, input.running)
  const seen: Seen | null =
    current === null ? null : { running: current, differences: input.looks.get(current.instance) ?? null }
  const { action, reasons } = difference(target, seen)
  const drift =
    input.standing.lastApplied.get(target.service) === `${target.image.digest} ${target.configuration}`
  const change: Change = {
    service: target.service,
    action,
    reasons,
    held: null,
    startsAt: null,
    drift,
    current,
    together: null,
  }
  const held = action === 'none' ? null : holdOf(target, change, input)
  return startMeanwhile(target, withHold(change, held), input.standing)
}

const withHold = (change: Change, held: Held | null): Change => ({
  ...change,
  held: held?.reason ?? null,
  startsAt: held?.startsAt ?? null,
})

const holdOf = (target: Target, change: Change, input: PlanInput): Held | null =>
  heldBack(target, change, input.standing) ?? severalRun(target, input.running)

/** Which of two is the service nobody can tell; nothing is stopped before a person says so. */
function severalRun(target: Target, running: Running[]): Held | null {
  const own = running.filter(
    (each) => each.service === target.service && !each.oneOff && !isParked(each) && each.state === 'running',
  )
  if (own.length < 2) return null
  const names = own.map((each) => each.name).join(', ')
  const reason = `${own.length} containers of it run (${names}); next: remove the one that is not wanted`
  return { reason, startsAt: null }
}

/** What waits for a replacement runs meanwhile: a stopped container is started although its successor is held. */
function startMeanwhile(target: Target, change: Change, standing: Standing): Change {
  if (change.held === null || change.action !== 'replace' || change.current === null || target.onDemand)
    return change
  const { action, reasons } = stateDifference(target, change.current)
  if (action !== 'start') return change
  const meanwhile: Change = { ...change, action, reasons, drift: true }
  // A setback of the version that waits says nothing about the one that is started.
  const { image, configuration } = change.current
  const asItIs = image.digest === '' ? target : { ...target, image, configuration }
  return withHold(meanwhile, heldBack(asItIs, meanwhile, standing))
}

function difference(target: Target, seen: Seen | null): { action: Action; reasons: FieldDifference[] } {
  if (seen === null) {
    if (target.onDemand) return { action: 'none', reasons: [] }
    return {
      action: 'create',
      reasons: [{ field: 'container', before: 'none', after: target.containerName }],
    }
  }
  const { running } = seen
  const reasons = [...imageDifference(target, running), ...(seen.differences ?? [])]
  if (running.name !== target.containerName)
    reasons.push({ field: 'container_name', before: running.name, after: target.containerName })
  if (running.state === 'dead') reasons.push({ field: 'state', before: 'dead', after: 'running' })
  if (reasons.length > 0) return { action: target.onDemand ? 'none' : 'replace', reasons }
  return stateDifference(target, running)
}

/** By the image's local id, which is that of the platform: an index that moved for another platform is no change. */
function imageDifference(target: Target, running: Running): FieldDifference[] {
  const same =
    target.imageId === null
      ? running.image.digest === target.image.digest
      : running.image.id === target.imageId
  if (same || target.image.digest === '') return []
  const before =
    running.image.digest === '' ? `${running.image.id.slice(0, 19)} (by hand)` : shortImage(running.image)
  return [{ field: 'image', before, after: shortImage(target.image) }]
}

function stateDifference(target: Target, running: Running): { action: Action; reasons: FieldDifference[] } {
  const nothing = { action: 'none' as const, reasons: [] }
  switch (running.state) {
    case 'running':
    case 'restarting':
    case 'removing':
    case 'unreachable':
      return nothing
    case 'exited':
      if (target.onDemand || (target.endsByItself && running.exitCode === 0)) return nothing
      return started(running.exitCode === null ? 'exited' : `exited (${running.exitCode})`)
    case 'created':
    case 'paused':
      return target.onDemand ? nothing : started(running.state)
    case 'dead':
      return nothing
    default:
      return running.state satisfies never
  }
}

const started = (before: string): { action: Action; reasons: FieldDifference[] } => ({
  action: 'start',
  reasons: [{ field: 'state', before, after: 'running' }],
})

/** What left the desired state. An empty desired state is a mistake rather than a wish: nothing leaves then. */
function leaving(input: PlanInput): { changes: Change[]; foreign: Running[] } {
  const wanted = new Set(input.targets.map((target) => target.service))
  const gone = input.running.filter((each) => !wanted.has(each.service) && !each.oneOff && !isParked(each))
  const foreign = gone.filter((each) => each.operation === '')
  if (wanted.size === 0) return { changes: [], foreign }
  const changes = gone
    .filter(
      (each) => each.operation !== '' && (input.prune || !['exited', 'created', 'dead'].includes(each.state)),
    )
    .map(
      (each): Change => ({
        service: each.service,
        action: 'remove',
        reasons: [
          { field: 'service', before: each.state, after: input.prune ? 'removed' : 'stopped and kept' },
        ],
        held: input.standing.paused.has(each.service)
          ? pausedSentence(each.service)
          : heldByOwnContainer(
              { service: each.service, action: 'remove', current: each },
              input.standing.ownContainer,
            ),
        startsAt: null,
        drift: false,
        current: each,
        together: null,
      }),
    )
  return { changes, foreign }
}

const pausedSentence = (service: string): string => `paused by a person; next: samovar resume ${service}`

/** The targets that are swapped with a change: the service itself and all that share its network. */
export function membersOf(change: Change, targets: Target[]): Target[] {
  const main = targets.find((target) => target.service === change.service)
  return main === undefined ? [] : [main, ...sharersOf(change.service, targets)]
}
