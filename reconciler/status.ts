import type { Finding } from './desired-state.ts'
import type { Running } from './engine/engine.ts'
import type { JobStatus } from './job-status.ts'
import type { Dirty } from './journal/data-records.ts'
import type { OperationKind } from './journal/operation.ts'
import type { Quarantine } from './journal/standing.ts'
import type { Change } from './plan/change.ts'
import { containerOf, type Plan } from './plan/plan.ts'
import type { Target } from './plan/target.ts'
import { isSecretChange } from './secrets/changed.ts'

/** Times in these documents are ISO 8601 in UTC. Other programs read them: fields are added, never renamed. */
export type Status = {
  host: string
  /** The commit that is in force: the newest good one. */
  commit: string | null
  lastPass: string | null
  services: ServiceStatus[]
  jobs: JobStatus[]
  /** All of it in one sentence. */
  summary: string
  problems: Problem[]
  findings: Finding[]
  /** When Git last answered. */
  fetchedAt: string | null
  /** When the host was looked at; old when the engine does not answer. */
  seenAt: string | null
  daemon: { pid: number; what: string; since: string } | null
  /** What waits to be said to Gitea; `problem` is null as long as nothing failed. */
  outbox: { waiting: number; since: string | null; problem: string | null }
  /** What people are to be told; the counts are of the whole life of the journal. */
  notifications: {
    waiting: number
    since: string | null
    problem: string | null
    lastSent: string | null
    sent: number
    failed: number
    givenUp: number
  }
}

export type Problem = { about: string; message: string; next: string }

export type ServiceStatus = {
  name: string
  sync: 'synced' | 'out-of-sync'
  health: 'healthy' | 'starting' | 'unhealthy' | 'stopped' | 'none'
  state: 'idle' | 'rolling-out' | 'held' | 'quarantined' | 'stuck' | 'paused'
  /** Empty when there is nothing to say. */
  reason: string
  /** When what is held starts by itself; null when it is not held, or nobody knows. */
  startsAt: string | null
  /** The operation that works on it now, or was cut short while it did. */
  operation: { id: string; kind: OperationKind; step: string } | null
  desired: { image: string; tag: string; digest: string }
  running: { image: string; tag: string; digest: string; container: string; since: string } | null
}

/** What was seen of Git and of the host. */
export type Sight = {
  host: string
  commit: string
  targets: Target[]
  running: Running[]
  plan: Plan
}

/** What the journal knows at the moment of the question. */
export type StatusStanding = {
  paused: ReadonlySet<string>
  quarantined: Quarantine[]
  /** Services whose last roll-out got stuck and was not lifted by a person. */
  stuck: ReadonlySet<string>
  /** Services whose data is only half put back. */
  dirty: Pick<Dirty, 'service' | 'backup'>[]
  /** What is worked on: service -> what is done now. */
  atWork: ReadonlyMap<string, AtWork>
}

/** `words` as in `check health for 12 s`. */
export type AtWork = { id: string; kind: OperationKind; step: string; words: string }

/** Every service of the desired state, in the order of the plan. Pure. */
export function serviceStatuses(sight: Sight, standing: StatusStanding): ServiceStatus[] {
  const statuses: ServiceStatus[] = []
  for (const change of sight.plan.changes) {
    const target = sight.targets.find((each) => each.service === change.service)
    if (target !== undefined && change.action !== 'remove')
      statuses.push(statusOf(target, change, { sight, standing }))
  }
  return statuses
}

function statusOf(
  target: Target,
  change: Change,
  about: { sight: Sight; standing: StatusStanding },
): ServiceStatus {
  const current = containerOf(target.service, about.sight.running)
  const { name, tag, digest } = target.image
  return withStanding(
    {
      name: target.service,
      sync: change.action === 'none' && digest !== '' ? 'synced' : 'out-of-sync',
      health: healthOf(current),
      state: stateOf(target, change, about.standing),
      reason: reasonOf(target, change, current),
      startsAt: change.startsAt === null ? null : new Date(change.startsAt).toISOString(),
      operation: null,
      desired: { image: name, tag, digest },
      running:
        current === null
          ? null
          : {
              image: current.image.name,
              tag: current.image.tag,
              digest: current.image.digest,
              container: current.name,
              since: new Date(current.createdAt).toISOString(),
            },
    },
    about.standing,
  )
}

/**
 * What an operation does now is newer than any look, and so is half restored data. A backup or a verification is no
 * roll-out: the service stays what it is, also while it stands still for it.
 */
export function withStanding(status: ServiceStatus, standing: StatusStanding): ServiceStatus {
  const working = standing.atWork.get(status.name)
  if (working !== undefined) {
    const { words, ...operation } = working
    return { ...status, state: workingState(status, working), reason: words, startsAt: null, operation }
  }
  const half = standing.dirty.find((each) => each.service === status.name)
  const idle = { ...status, operation: null }
  return half === undefined ? idle : { ...idle, state: 'stuck', reason: halfRestored(half), startsAt: null }
}

const workingState = (status: ServiceStatus, { kind }: AtWork): ServiceStatus['state'] =>
  kind === 'backup' || kind === 'verify' ? status.state : 'rolling-out'

const halfRestored = ({ backup }: Pick<Dirty, 'backup'>): string =>
  `its data is only half put back from backup ${backup}, so nothing is started on it; next: samovar restore ${backup}`

function stateOf(target: Target, change: Change, standing: StatusStanding): ServiceStatus['state'] {
  if (standing.paused.has(target.service)) return 'paused'
  if (change.action === 'none') return target.image.digest === '' ? 'held' : 'idle'
  if (standing.stuck.has(target.service)) return 'stuck'
  const isQuarantined = standing.quarantined.some(
    (each) =>
      each.service === target.service &&
      each.digest === target.image.digest &&
      each.configuration === target.configuration,
  )
  if (isQuarantined) return 'quarantined'
  return change.held === null ? 'idle' : 'held'
}

function reasonOf(target: Target, change: Change, current: Running | null): string {
  if (change.held !== null) return change.held
  if (target.image.digest === '' && target.problem !== null) return target.problem
  if (change.action !== 'none') return `${change.action}: ${change.reasons.map(reasonInWords).join(', ')}`
  if (current?.health === 'unhealthy')
    return `the engine's own health check fails; next: docker logs ${current.name}`
  if (current?.state === 'restarting') return `it ends again and again; next: docker logs ${current.name}`
  return ''
}

export const reasonInWords = (reason: { field: string; before: string; after: string }): string =>
  isSecretChange(reason)
    ? `${reason.field} changed`
    : `${reason.field} ${reason.before || 'nothing'} -> ${reason.after || 'nothing'}`

function healthOf(current: Running | null): ServiceStatus['health'] {
  if (current === null) return 'stopped'
  switch (current.state) {
    case 'running':
      return current.health
    case 'restarting':
      return 'unhealthy'
    case 'created':
    case 'paused':
    case 'exited':
    case 'dead':
    case 'removing':
    case 'unreachable':
      return 'stopped'
    default:
      return current.state satisfies never
  }
}

/** The first line of `status`: what a tired person wants to know. */
export function summaryOf(services: ServiceStatus[], commit: string | null): string {
  if (commit === null) return 'No commit of the host repository was ever good, so nothing is rolled out.'
  const says = `what commit ${commit.slice(0, 8)} says`
  // Data that is only half put back is worse than any difference from Git.
  const behind = services.filter(
    (each) => each.sync !== 'synced' || each.state === 'rolling-out' || each.state === 'stuck',
  )
  const others = services.filter((each) => !behind.includes(each))
  const ill = others.filter((each) => each.health === 'unhealthy')
  const paused = others.filter((each) => each.state === 'paused')
  const busy = others.filter((each) => each.operation !== null)
  const ends = [
    ill.length === 0 ? '' : `unhealthy: ${namesOf(ill)}`,
    paused.length === 0 ? '' : `paused: ${namesOf(paused)}`,
    ...busy.map((each) =>
      each.operation?.kind === 'verify'
        ? `the backup of ${each.name} is being verified`
        : `${each.name} is ${standsInWords(each)}`,
    ),
  ].filter((text) => text !== '')
  const end = ends.length === 0 ? '.' : `; ${ends.join('; ')}.`
  if (services.length === 0) return `Commit ${commit.slice(0, 8)} names no service.`
  if (behind.length === 0) return `${allOf(services)} ${says}${end}`
  const words = behind.map((each) => `${each.name} (${standsInWords(each)})`)
  const [only] = behind
  if (behind.length === 1 && only !== undefined && standsInWords(only) !== changesNext) {
    const rest =
      others.length === 0
        ? ''
        : ` ${others.length === 1 ? 'The other service runs' : `The other ${others.length} services run`} ${says}`
    return `${only.name} is ${standsInWords(only)}.${rest}${rest === '' ? '' : end}`
  }
  return `${behind.length} of ${services.length} services do not run ${says}: ${words.join(', ')}${end}`
}

const changesNext = 'changes next'

/** `being rolled out`, `being backed up`, `stuck`: how it stands, said of a service. */
function standsInWords({ operation, state }: ServiceStatus): string {
  if (operation?.kind === 'backup') return 'being backed up'
  if (operation?.kind === 'restore') return 'being restored'
  if (state === 'rolling-out') return 'being rolled out'
  return state === 'idle' ? changesNext : state
}

const namesOf = (services: ServiceStatus[]): string => services.map((each) => each.name).join(', ')

function allOf(services: ServiceStatus[]): string {
  if (services.length === 1) return `The service ${services[0]?.name} runs`
  return services.length === 2 ? 'Both services run' : `All ${services.length} services run`
}
