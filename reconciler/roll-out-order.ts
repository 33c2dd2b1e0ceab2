import type { Readable } from 'node:stream'
import { configurationTar } from './backup/configuration.ts'
import { projectNetworks, projectVolumes } from './compose/project-objects.ts'
import { dataBeforeUpdate } from './data-of.ts'
import type { Running } from './engine/engine.ts'
import type { HoldIntent, Member, NewOperation, Operation } from './journal/operation.ts'
import type { Loaded } from './load.ts'
import { compare, type Outlook } from './look.ts'
import type { Parts } from './parts.ts'
import type { Change } from './plan/change.ts'
import { restartedWith } from './plan/order.ts'
import { containerOf, membersOf } from './plan/plan.ts'
import { requestsToHold } from './plan/requests-to-hold.ts'
import type { Target } from './plan/target.ts'
import type { Body } from './rollout/step.ts'
import { lacksSecret } from './secrets/missing.ts'

const nothingToCheck = { within: 60_000, steady: 0, soak: 0, checks: [] }

/**
 * A change of the plan as an operation to begin: who is swapped, who is stopped meanwhile, by which checks it is
 * judged, and how the new containers are made.
 */
export function orderOf(
  parts: Parts,
  outlook: Outlook,
  change: Change,
): { wanted: NewOperation; body: Body } {
  const { targets } = outlook
  const { missing } = outlook.loaded.resolved
  const main = targets.list.find((target) => target.service === change.service)
  const policy = targets.policies[change.service]
  const before = parts.journal.lastApplied(change.service)
  // A stopped container may be of an earlier version than the one that waits: it is judged as what it is. Of one that
  // Samovar did not make nobody knows what it is.
  const asItIs = change.action === 'start' && change.current?.image.digest !== '' ? change.current : null
  const isBefore = asItIs !== null && asItIs.image.digest === before?.to?.digest
  const health = (isBefore ? before.intent.health : policy?.health) ?? nothingToCheck
  const members =
    main === undefined
      ? leavingMember(change)
      : membersOf(change, targets.list)
          .map((each) => memberOf(outlook, each))
          // Who is not there yet is created by itself, in its turn.
          .filter((member) => member.service === main.service || member.current !== null)
  const names = members.map((member) => member.service)
  const data =
    main === undefined || !meetsData(change, before, main) ? null : dataBeforeUpdate(outlook.loaded, names)
  const wanted: NewOperation = {
    service: change.service,
    kind: change.action === 'none' ? 'start' : change.action,
    commit: outlook.commit,
    from: change.current === null ? null : { ...change.current.image },
    to: asItIs?.image ?? main?.image ?? null,
    intent: {
      members,
      quiesced:
        main === undefined || change.action === 'start'
          ? []
          : quiescedBy(change.service, outlook, [...names, ...(data?.stop ?? [])]),
      health,
      oldHealth: before?.intent.health ?? null,
      configuration: (asItIs ?? main)?.configuration ?? '',
      reasons: change.reasons,
      drift: change.drift,
      ...(data === null ? {} : { data }),
      ...(main === undefined || change.current === null ? {} : held(outlook, names, data?.stop ?? [])),
    },
  }
  const body: Body = {
    networks: projectNetworks(targets.model).filter((network) => usedBy(outlook, members, network.name)),
    volumes: projectVolumes(targets.model).filter((each) => !lacksSecret(each, missing)),
    problem: main?.problem ?? followerProblem(outlook, members),
    configuration: () => configurationOf(parts, outlook.loaded),
    of: (service, imageId, containers) => targets.body(service, imageId, containers),
    compare: (made, seen) => compare(outlook.loaded, { body: made, seen, notKept: [] }),
  }
  return { wanted, body }
}

function memberOf(outlook: Outlook, target: Target): Member {
  const current = containerOf(target.service, outlook.running)
  const shares: Record<string, string> = {}
  for (const name of target.shares) {
    const provider = containerOf(name, outlook.running)
    if (provider !== null) shares[name] = provider.instance
  }
  return {
    service: target.service,
    name: target.containerName,
    image: target.image,
    shares,
    checks: outlook.targets.policies[target.service]?.health.checks ?? [],
    current: current === null ? null : revisioned(current),
    configuration: target.configuration,
    before: current === null ? null : imageOf(current),
    oldImageId: current?.image.id ?? null,
    candidate: null,
    kept: null,
  }
}

function leavingMember(change: Change): Member[] {
  if (change.current === null) return []
  return [
    {
      service: change.service,
      name: change.current.name,
      image: { ...change.current.image },
      shares: {},
      checks: [],
      current: revisioned(change.current),
      configuration: change.current.configuration,
      before: imageOf(change.current),
      oldImageId: change.current.image.id,
      candidate: null,
      kept: null,
    },
  ]
}

/** One that is swapped along must not get another version that it could not get by itself; its own version it may. */
function followerProblem(outlook: Outlook, [, ...followers]: Member[]): string | null {
  const changed = followers.filter((member) => member.before?.digest !== member.image.digest)
  const problems = outlook.targets.list
    .filter((target) => changed.some((member) => member.service === target.service))
    .map((target) => target.problem)
  return problems.find((problem) => problem !== null) ?? null
}

/** A container that was removed left its data: another version on it is an update like any other. */
const meetsData = (change: Change, before: Operation | null, main: Target): boolean =>
  change.action === 'replace' ||
  (change.action === 'create' && before !== null && before.to?.digest !== main.image.digest)

const withoutLogin = (address: string): string => address.replace(/^(https?:\/\/)[^/@]*@/, '$1')

/** The configuration part of a backup that is taken at this commit. */
export const configurationOf = (parts: Parts, loaded: Loaded): Promise<Readable> =>
  configurationTar({
    source: parts.source,
    commit: loaded.commit,
    branch: parts.settings.branch,
    directory: parts.settings.directory,
    repository: withoutLogin(parts.settings.repository),
    state: loaded.state,
    model: loaded.model,
    secrets: loaded.secrets,
    stateDir: parts.settings.stateDir,
  })

/** Dependents that run now and asked to be restarted with the service; who is swapped or stopped anyway is not. */
function quiescedBy(service: string, outlook: Outlook, others: string[]) {
  return restartedWith(service, outlook.targets.list)
    .filter((target) => !others.includes(target.service))
    .map((target) => containerOf(target.service, outlook.running))
    .filter((each): each is Running => each?.state === 'running')
    .map(revisioned)
}

function held({ targets }: Outlook, swapped: string[], stopped: string[]): { hold?: HoldIntent } {
  const hold = requestsToHold({ targets: targets.list, policies: targets.policies, swapped, stopped })
  return hold === null ? {} : { hold }
}

const imageOf = ({ image }: Running) => ({ name: image.name, tag: image.tag, digest: image.digest })

const revisioned = ({ instance, name, revision }: Running) => ({ instance, name, revision })

/** Networks nobody of the roll-out is connected to may be missing without harm to it. */
function usedBy(outlook: Outlook, members: Member[], network: string): boolean {
  return members.some((member) =>
    Object.keys(outlook.targets.model.services[member.service]?.networks ?? {}).some(
      (key) => outlook.targets.model.networks[key]?.name === network,
    ),
  )
}
