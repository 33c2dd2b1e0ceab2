import type { Finding } from '../desired-state.ts'
import { type HostFile, withoutNotes } from './policies.ts'
import type { DesiredStateFiles, Draft } from './read.ts'
import { nearest, quoted } from './wording.ts'
import { fileFinding, type YamlFile } from './yaml-file.ts'

/** What the desired state refers to in the Compose model: names as they stand in the Compose files. */
export type ComposeNames = {
  services: Record<string, { profiles: string[] }>
  /** Keys under the top-level `volumes`. */
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
    if ('postgres' in part) return missingService(compose, part.postgres, yaml, ['data', index, 'postgres'])
    if (compose.volumes.includes(part.volume)) return null
    const known = compose.volumes.length === 0 ? 'a volume there, which has none' : compose.volumes.join(', ')
    const message = `${quoted(part.volume)} is not a volume of the Compose files, expected ${known}${meant(part.volume, compose.volumes)}`
    return yaml.findingAt(['data', index, 'volume'], 'value', message)
  })
  const checks = policy.health.checks.map((check, index) =>
    check.kind === 'command' && check.service !== service
      ? missingService(compose, check.service, yaml, ['health', 'checks', index, 'in'])
      : null,
  )
  return [...data, ...checks].filter((finding) => finding !== null)
}

function judgeJobs(compose: ComposeNames, yaml: YamlFile, faulty: ReadonlySet<string>): Finding[] {
  if (faulty.has('') || faulty.has('jobs')) return []
  return withoutNotes((yaml.value as HostFile).jobs ?? {}).flatMap(([name, job]) => {
    const follows = (['reload', 'restart'] as const).map((verb) =>
      job.then?.[verb] === undefined
        ? null
        : missingService(compose, job.then[verb], yaml, ['jobs', name, 'then', verb]),
    )
    const runs = missingService(compose, job.run.service, yaml, ['jobs', name, 'run', 'service'])
    return [runs, ...follows].filter((finding) => finding !== null)
  })
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
