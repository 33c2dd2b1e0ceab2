import type { DataPart, Finding, ServicePolicy } from '../desired-state.ts'
import { databaseServers, type HostFile, type JobFile, withoutNotes } from './policies.ts'
import type { DesiredStateFiles, Draft } from './read.ts'
import { nearest, quoted } from './wording.ts'
import { fileFinding, type YamlFile } from './yaml-file.ts'

/** What the desired state refers to in the Compose model: names as they stand in the Compose files. */
export type ComposeNames = {
  services: Record<string, { profiles: string[]; volumes: string[] }>
  /** Keys under the top-level `volumes`; those of a service are the ones it mounts. */
  volumes: string[]
}

/**
 * Judges one desired state against its Compose model, both of one commit. Pure.
 * @param draft a whole desired state, or as much of it as could be understood (readDesiredState's `draft`)
 * @param files readDesiredState's `files`, for the positions
 * @returns findings in the order of the files; empty when everything that is named exists
 */
export function crossReferences(draft: Draft, compose: ComposeNames, files: DesiredStateFiles): Finding[] {
  const findings = servicesWithoutFile(compose, files)
  const host = files.host
  if (host !== null) findings.push(...judgeJobs(compose, host.yaml, host.faulty))
  for (const [service, file] of files.services) {
    if (!Object.hasOwn(compose.services, service)) {
      const place = file?.yaml.file ?? `services/${service}.yaml`
      const message = `${quoted(service)} is not a service of the Compose files, expected ${names(compose, service)}`
      findings.push(fileFinding(place, message))
    }
    if (file !== null) findings.push(...judgeService(draft, compose, service, file.yaml))
  }
  return findings
}

/** A Compose service with a profile runs only when it is asked to, so it needs no file. */
function servicesWithoutFile(compose: ComposeNames, files: DesiredStateFiles): Finding[] {
  return Object.entries(compose.services)
    .filter(([service, { profiles }]) => profiles.length === 0 && !files.services.has(service))
    .map(([service]) => {
      const folder = files.host?.yaml.file.replace(/host\.yaml$/, 'services') ?? 'services'
      const message = `the Compose service ${quoted(service)} has no version, expected ${folder}/${service}.yaml with image and tag`
      return files.host?.yaml.findingAt(['compose'], 'key', message) ?? fileFinding('host.yaml', message)
    })
}

function judgeService(draft: Draft, compose: ComposeNames, service: string, yaml: YamlFile): Finding[] {
  const policy = draft.services[service]
  if (policy === undefined) return []
  const data = policy.data.map((part, index) => {
    if ('postgres' in part) {
      const path = ['data', index, 'postgres']
      return missingService(compose, part.postgres, yaml, path) ?? otherUser(draft, part, index, yaml)
    }
    const message = judgeVolume(part.volume, policy, draft, compose)
    return message === null ? null : yaml.findingAt(['data', index, 'volume'], 'value', message)
  })
  const checks = policy.health.checks.map((check, index) =>
    check.kind === 'command' && check.service !== service
      ? missingService(compose, check.service, yaml, ['health', 'checks', index, 'in'])
      : null,
  )
  return [...data, ...checks].filter((finding) => finding !== null)
}

/**
 * A volume that the service does not mount is a slip more often than a wish. The file of a database server names the
 * volumes of those who have their databases in it, so that all of it goes back together.
 */
function judgeVolume(
  volume: string,
  { service }: ServicePolicy,
  draft: Draft,
  compose: ComposeNames,
): string | null {
  if (!compose.volumes.includes(volume)) {
    const known = compose.volumes.length === 0 ? 'a volume there, which has none' : compose.volumes.join(', ')
    return `${quoted(volume)} is not a volume of the Compose files, expected ${known}${meant(volume, compose.volumes)}`
  }
  if (!Object.hasOwn(compose.services, service)) return null
  const users = Object.keys(compose.services).filter((each) =>
    compose.services[each]?.volumes.includes(volume),
  )
  const isServer = databaseServers(Object.values(draft.services)).has(service)
  if (users.includes(service) || (isServer && users.length > 0)) return null
  const own = compose.services[service]?.volumes ?? []
  const expected = own.length === 0 ? `, which mounts none` : `: ${own.join(', ')}`
  const mounted = users.length === 0 ? 'by no service' : `by ${users.join(', ')}`
  return `${quoted(volume)} is mounted ${mounted}, expected a volume of ${service}${expected}`
}

/** One database is dumped once, by one user. */
function otherUser(
  draft: Draft,
  part: Extract<DataPart, { postgres: string }>,
  index: number,
  yaml: YamlFile,
): Finding | null {
  for (const policy of Object.values(draft.services)) {
    const same = policy.data.find(
      (each) => 'postgres' in each && each.postgres === part.postgres && each.database === part.database,
    )
    if (same === undefined || !('postgres' in same)) continue
    if (same.user === part.user) return null
    const message = `${quoted(part.user)} is not the user that ${policy.file} names for this database, expected ${same.user} in both`
    return yaml.findingAt(['data', index, 'user'], 'value', message)
  }
  return null
}

function judgeJobs(compose: ComposeNames, yaml: YamlFile, faulty: ReadonlySet<string>): Finding[] {
  if (faulty.has('') || faulty.has('jobs')) return []
  return withoutNotes((yaml.value as HostFile).jobs ?? {}).flatMap(([name, job]) => {
    const follows = (['reload', 'restart'] as const).flatMap((verb) => {
      const wish = job.then?.[verb] ?? []
      const path = ['jobs', name, 'then', verb]
      return typeof wish === 'string'
        ? [missingService(compose, wish, yaml, path)]
        : wish.map((service, index) => missingService(compose, service, yaml, [...path, index]))
    })
    const place = ['jobs', name, 'run', 'service']
    const runs =
      missingService(compose, job.run.service, yaml, place) ??
      runsAllTheTime(compose, job.run.service, yaml, place)
    return [runs, ...follows, judgeWatched(compose, name, job, yaml)].filter((finding) => finding !== null)
  })
}

/** Two of its containers would work on the same files: the one that runs for long and that of the job. */
function runsAllTheTime(compose: ComposeNames, service: string, yaml: YamlFile, path: (string | number)[]) {
  if ((compose.services[service]?.profiles ?? []).length > 0) return null
  const message = `${quoted(service)} runs all the time, expected a service with a profile, as in \`profiles: [jobs]\``
  return yaml.findingAt(path, 'value', message)
}

/** What the job cannot reach it cannot change. */
function judgeWatched(compose: ComposeNames, name: string, job: JobFile, yaml: YamlFile): Finding | null {
  const volume = job.then?.ifChanged?.volume
  if (volume === undefined) return null
  const own = compose.services[job.run.service]?.volumes
  if (own === undefined || own.includes(volume)) return null
  const known = compose.volumes.includes(volume)
  const what = known ? `is not mounted by ${job.run.service}` : 'is not a volume of the Compose files'
  const expected =
    own.length === 0 ? 'a volume of it, which mounts none' : `${own.join(', ')}${meant(volume, own)}`
  const message = `${quoted(volume)} ${what}, expected ${expected}`
  return yaml.findingAt(['jobs', name, 'then', 'ifChanged', 'volume'], 'value', message)
}

function missingService(compose: ComposeNames, service: string, yaml: YamlFile, path: (string | number)[]) {
  if (Object.hasOwn(compose.services, service)) return null
  const message = `${quoted(service)} is not a service of the Compose files, expected ${names(compose, service)}`
  return yaml.findingAt(path, 'value', message)
}

function names(compose: ComposeNames, service: string): string {
  const known = Object.keys(compose.services)
  return known.length === 0
    ? 'a service there, which has none'
    : `${known.join(', ')}${meant(service, known)}`
}

function meant(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near === null ? '' : ` (did you mean ${near}?)`
}
