import type { Finding } from './desired-state.ts'
import type { Running } from './engine/engine.ts'
import type { Quarantine } from './journal/standing.ts'
import type { Change } from './plan/change.ts'
import { containerOf, type Plan } from './plan/plan.ts'
import type { Target } from './plan/target.ts'

/** Times in these documents are ISO 8601 in UTC. Other programs read them: fields are added, never renamed. */
export type Status = {
  host: string
  /** The commit that is in force: the newest good one. */
  commit: string | null
  lastPass: string | null
  services: ServiceStatus[]
  /** All of it in one sentence. */
  summary: string
  problems: Problem[]
  findings: Finding[]
  /** When Git last answered. */
  fetchedAt: string | null
  /** When the host was looked at; old when the engine does not answer. */
  seenAt: string | null
  daemon: { pid: number; what: string; since: string } | null
}

export type Problem = { about: string; message: string; next: string }

export type ServiceStatus = {
  name: string
  sync: 'synced' | 'out-of-sync'
  health: 'healthy' | 'starting' | 'unhealthy' | 'stopped' | 'none'
  state: 'idle' | 'rolling-out' | 'held' | 'quarantined' | 'stuck' | 'paused'
  /** Empty when there is nothing to say. */
  reason: string
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
  /** Services whose last operation got stuck and was not lifted by a person. */
  stuck: ReadonlySet<string>
  /** What is being rolled out: service -> what it does now, as in `check health for 12 s`. */
  rollingOut: ReadonlyMap<string, string>
}

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

/** What a roll-out does now is newer than any look. */
export function withStanding(status: ServiceStatus, standing: StatusStanding): ServiceStatus {
  const step = standing.rollingOut.get(status.name)
  return step === undefined ? status : { ...status, state: 'rolling-out', reason: step }
}

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
  `${reason.field} ${reason.before || 'nothing'} -> ${reason.after || 'nothing'}`

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
  const behind = services.filter((each) => each.sync !== 'synced' || each.state === 'rolling-out')
  const ill = services.filter((each) => !behind.includes(each) && each.health === 'unhealthy')
  const paused = services.filter((each) => !behind.includes(each) && each.state === 'paused')
  const ends = [
    ill.length === 0 ? '' : `unhealthy: ${namesOf(ill)}`,
    paused.length === 0 ? '' : `paused: ${namesOf(paused)}`,
  ].filter((text) => text !== '')
  const end = ends.length === 0 ? '.' : `; ${ends.join('; ')}.`
  if (services.length === 0) return `Commit ${commit.slice(0, 8)} names no service.`
  if (behind.length === 0) return `${allOf(services)} ${says}${end}`
  const words = behind.map((each) => `${each.name} (${each.state === 'idle' ? 'changes next' : each.state})`)
  const [only] = behind
  if (behind.length === 1 && only !== undefined && only.state !== 'idle') {
    const others = services.length - 1
    const rest =
      others === 0
        ? ''
        : ` ${others === 1 ? 'The other service runs' : `The other ${others} services run`} ${says}`
    return `${only.name} is ${only.state === 'rolling-out' ? 'being rolled out' : only.state}.${rest}${rest === '' ? '' : end}`
  }
  return `${behind.length} of ${services.length} services do not run ${says}: ${words.join(', ')}${end}`
}

const namesOf = (services: ServiceStatus[]): string => services.map((each) => each.name).join(', ')

function allOf(services: ServiceStatus[]): string {
  if (services.length === 1) return `The service ${services[0]?.name} runs`
  return services.length === 2 ? 'Both services run' : `All ${services.length} services run`
}
