import type { DataPart, ServicePolicy } from '../desired-state.ts'

/** Data that is copied together and goes back together, and who must stand still for it. */
export type DataUnit = {
  /** Services whose data it is, dependents first, those that are database servers of it last. Empty: no data. */
  owners: string[]
  databases: { server: string; database: string; user: string }[]
  /** By their keys in the Compose files. */
  volumes: { volume: string; exclude: string[] }[]
  /** Who must not run while the data is copied or put back, in the order they stop: dependents first. */
  stop: string[]
  /** Database servers that must run for the dumps. */
  servers: string[]
  /** Those of them that mount a volume of the unit: they stop after the dumps and before the volumes are read. */
  stopAfterDumps: string[]
  /** The most careful wish of all owners. */
  while: ServicePolicy['backup']['while']
}

/** What the Compose model knows about the services. */
export type Surroundings = {
  /** Key of a volume -> services that mount it. */
  volumeUsers: Record<string, string[]>
  /** Service -> services it depends on. */
  dependsOn: Record<string, string[]>
}

type Policies = Record<string, ServicePolicy>

/**
 * The data that belongs to a roll-out, a backup or a restore of one service (or of several that are worked on at
 * once): its own, that of every service which has a database in it, and that of everybody who names one of those parts
 * too. Without any of that the unit is empty.
 */
export function unitOf(service: string | string[], policies: Policies, surroundings: Surroundings): DataUnit {
  const services = [service].flat()
  const concerned = Object.values(policies).filter(
    (policy) =>
      services.includes(policy.service) ||
      policy.data.some((part) => 'postgres' in part && services.includes(part.postgres)),
  )
  return unitWith(closure(concerned, policies), surroundings)
}

/** Every service with data in exactly one unit, for backups of everything; by the name of their first owner. */
export function unitsOf(policies: Policies, surroundings: Surroundings): DataUnit[] {
  const units: DataUnit[] = []
  for (const policy of Object.values(policies)) {
    if (policy.data.length === 0 || units.some((unit) => unit.owners.includes(policy.service))) continue
    units.push(unitWith(closure([policy], policies), surroundings))
  }
  return units.sort((a, b) => compare(a.owners[0] ?? '', b.owners[0] ?? ''))
}

/**
 * With everybody who shares a part with one of them, or with one of those. The files of a database server are shared
 * by all who have a database in it: they hold every one of those.
 */
function closure(first: ServicePolicy[], policies: Policies): ServicePolicy[] {
  const inFiles = new Set(
    Object.values(policies)
      .filter((policy) => policy.data.some((part) => 'volume' in part))
      .map((policy) => policy.service),
  )
  const namesOf = (policy: ServicePolicy): string[] => [
    ...policy.data.map(nameOf),
    ...[policy.service, ...policy.data.flatMap((part) => ('postgres' in part ? [part.postgres] : []))]
      .filter((service) => inFiles.has(service))
      .map((service) => JSON.stringify({ filesOf: service })),
  ]
  const members = new Set(first.filter((policy) => policy.data.length > 0))
  const parts = new Set([...members].flatMap(namesOf))
  for (let before = -1; before < members.size; ) {
    before = members.size
    for (const policy of Object.values(policies)) {
      if (members.has(policy) || policy.data.length === 0) continue
      const names = namesOf(policy)
      if (!names.some((name) => parts.has(name))) continue
      members.add(policy)
      for (const name of names) parts.add(name)
    }
  }
  return [...members]
}

const nameOf = (part: DataPart): string =>
  JSON.stringify('volume' in part ? [part.volume] : [part.postgres, part.database])

function unitWith(members: ServicePolicy[], surroundings: Surroundings): DataUnit {
  const { volumeUsers, dependsOn } = surroundings
  const parts = members.flatMap((policy) => policy.data)
  const databases = databasesOf(parts)
  const volumes = volumesOf(parts)
  const servers = sorted(databases.map((each) => each.server))
  const owners = members.map((policy) => policy.service)
  const users = volumes.flatMap(({ volume }) => volumeUsers[volume] ?? [])
  const isServer = (service: string) => servers.includes(service)
  const isNoServer = (service: string) => !isServer(service)
  const inOrder = (services: string[]) => dependentsFirst(sorted(services), dependsOn)
  return {
    owners: [...inOrder(owners.filter(isNoServer)), ...inOrder(owners.filter(isServer))],
    databases,
    volumes,
    stop: inOrder([...owners, ...users].filter(isNoServer)),
    servers,
    stopAfterDumps: inOrder(users.filter(isServer)),
    while: mostCareful(members.map((policy) => policy.backup.while)),
  }
}

function databasesOf(parts: DataPart[]): DataUnit['databases'] {
  const byName = new Map<string, DataUnit['databases'][number]>()
  for (const part of parts) {
    if (!('postgres' in part) || byName.has(nameOf(part))) continue
    byName.set(nameOf(part), { server: part.postgres, database: part.database, user: part.user })
  }
  return [...byName.values()].sort((a, b) => compare(a.server, b.server) || compare(a.database, b.database))
}

function volumesOf(parts: DataPart[]): DataUnit['volumes'] {
  const named = parts.filter((part) => 'volume' in part)
  return [...Map.groupBy(named, (part) => part.volume)]
    .map(([volume, all]) => ({ volume, exclude: excludedByAll(all.map((part) => part.exclude)) }))
    .sort((a, b) => compare(a.volume, b.volume))
}

/** What one service can rebuild another may need: only what all leave out is left out. */
function excludedByAll(lists: string[][]): string[] {
  const lies = (path: string, list: string[]) =>
    list.some((folder) => path === folder || path.startsWith(`${folder}/`))
  const left = sorted(lists.flat()).filter((path) => lists.every((list) => lies(path, list)))
  return left.filter((path) => !left.some((other) => other !== path && lies(path, [other])))
}

function mostCareful(wishes: DataUnit['while'][]): DataUnit['while'] {
  if (wishes.includes('stopped') || wishes.length === 0) return 'stopped'
  return wishes.includes('paused') ? 'paused' : 'running'
}

/** Whoever depends on another comes before it, also through services that are not asked for; else by name. */
function dependentsFirst(services: string[], dependsOn: Record<string, string[]>): string[] {
  const started: string[] = []
  const visited = new Set<string>()
  const visit = (service: string): void => {
    if (visited.has(service)) return
    visited.add(service)
    for (const needed of sorted(dependsOn[service] ?? [])) visit(needed)
    started.push(service)
  }
  for (const service of services.toReversed()) visit(service)
  return started.filter((service) => services.includes(service)).reverse()
}

const sorted = (names: string[]): string[] => [...new Set(names)].sort(compare)
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
