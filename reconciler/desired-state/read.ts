import { readdir, realpath } from 'node:fs/promises'
import type { DesiredState, Finding, Host, ServicePolicy } from '../desired-state.ts'
import { isServiceName } from './formats.ts'
import {
  databaseServers,
  type HostFile,
  hostOf,
  type ServiceFile,
  serviceOf,
  withoutNotes,
} from './policies.ts'
import { judgeRepositoryFile, locate, readRepositoryFile, refusal } from './repository-file.ts'
import { type JudgedFile, judgeHost, judgeService } from './rules.ts'
import { checkSchema } from './schema-check.ts'
import { printable } from './wording.ts'
import { fileFinding, parseYamlFile } from './yaml-file.ts'

/** More wrong places than this in one file are not listed. */
const mostFindings = 100

/** What could be understood, also beside findings: enough to judge the rest, never to be rolled out. */
export type Draft = { host: Host | null; services: Record<string, ServicePolicy> }

/** Every file that was found; null: it could not be read at all. By Compose service name. */
export type DesiredStateFiles = { host: JudgedFile | null; services: Map<string, JudgedFile | null> }

export type DesiredStateReading = {
  /** Null when there is any finding. */
  state: DesiredState | null
  draft: Draft
  /** In the order of files and lines. */
  findings: Finding[]
  files: DesiredStateFiles
}

/**
 * Reads and judges the desired state of one checkout: everything that can be said without the Compose model (that
 * part is crossReferences). Whatever stands in the files, it comes back as findings; nothing is thrown.
 * @param options.root the checkout; nothing outside it is read
 * @param options.directory where host.yaml and services/ lie, relative to the root; default `desired-state`
 */
export async function readDesiredState(options: {
  root: string
  directory?: string
}): Promise<DesiredStateReading> {
  const directory = options.directory ?? 'desired-state'
  const reading: Reading = { root: '', directory, findings: [], files: { host: null, services: new Map() } }
  try {
    reading.root = await realpath(options.root)
    await readFiles(reading)
  } catch (error) {
    reading.findings.push(
      fileFinding(printable(directory), `${refusal(error)}, expected a folder with host.yaml`),
    )
  }
  const draft = draftOf(reading.files)
  reading.findings.push(...judge(reading.files, draft), ...(await missingFiles(reading, draft)))
  const findings = capped(sorted(reading.findings))
  const state =
    findings.length === 0 && draft.host !== null ? { host: draft.host, services: draft.services } : null
  return { state, draft, findings, files: reading.files }
}

type Reading = { root: string; directory: string; findings: Finding[]; files: DesiredStateFiles }

async function readFiles(reading: Reading): Promise<void> {
  const { directory, findings, files } = reading
  const names = await listFolder(reading, directory)
  if (names === null) return
  for (const name of names.filter((entry) => entry !== 'host.yaml' && isYaml(entry))) {
    findings.push(
      fileFinding(`${directory}/${printable(name)}`, 'is not read, expected host.yaml and services/*.yaml'),
    )
  }
  if (names.includes('host.yaml')) files.host = await readFile(reading, 'host', `${directory}/host.yaml`)
  else
    findings.push(
      fileFinding(`${directory}/host.yaml`, 'is missing, expected a file with name, project and compose'),
    )
  await readServices(reading, names.includes('services'))
  if (files.services.size === 0) {
    const message = 'holds no service, expected a file NAME.yaml with image and tag for each Compose service'
    findings.push(fileFinding(`${directory}/services`, message))
  }
}

async function readServices(reading: Reading, exists: boolean): Promise<void> {
  const folder = `${reading.directory}/services`
  const names = exists ? await listFolder(reading, folder) : []
  for (const name of names ?? []) {
    const path = `${folder}/${name}`
    const service = name.replace(/\.yaml$/, '')
    if (!isYaml(name)) continue
    if (name.endsWith('.yaml') && isServiceName(service)) {
      reading.files.services.set(service, await readFile(reading, 'service', path))
    } else {
      const message = name.endsWith('.yaml')
        ? 'is not named after a Compose service, expected letters, digits, dots, - and _ before .yaml'
        : 'is not read, expected a name that ends in .yaml'
      reading.findings.push(fileFinding(printable(path), message))
    }
  }
}

/** One spelling, so that a service has one file and everybody finds it; the other is refused rather than overlooked. */
function isYaml(name: string): boolean {
  return /\.ya?ml$/i.test(name) && !name.startsWith('.')
}

async function listFolder(reading: Reading, path: string): Promise<string[] | null> {
  const place = await locate(reading.root, path)
  if ('refused' in place) {
    reading.findings.push(
      fileFinding(printable(path), `${place.refused}, expected a folder of the repository`),
    )
    return null
  }
  return (await readdir(place.real)).sort()
}

async function readFile(
  reading: Reading,
  kind: 'host' | 'service',
  path: string,
): Promise<JudgedFile | null> {
  const content = await readRepositoryFile(reading.root, path)
  if ('refused' in content) {
    reading.findings.push(fileFinding(path, content.refused))
    return null
  }
  const { yaml, findings } = parseYamlFile(path, content.text)
  reading.findings.push(...findings)
  if (yaml === null) return null
  const checked = checkSchema(kind, yaml)
  reading.findings.push(...checked.findings)
  return { yaml, faulty: checked.faulty }
}

function draftOf(files: DesiredStateFiles): Draft {
  const readable = [...files.services].flatMap(([service, file]) =>
    file === null ? [] : [{ service, path: file.yaml.file, sound: soundPart<ServiceFile>(file) }],
  )
  const servers = databaseServers(readable.map(({ sound }) => sound))
  const services = readable.map(
    ({ service, path, sound }) => [service, serviceOf(service, path, sound, servers)] as const,
  )
  const unusable = ['', 'name', 'project', 'compose', 'variables']
  const host = files.host === null || unusable.some((key) => files.host?.faulty.has(key)) ? null : files.host
  return {
    host: host === null ? null : hostOf(soundPart<HostFile>(host)),
    services: Object.fromEntries(services),
  }
}

/** The file without the top-level keys that have findings. */
function soundPart<T>(file: JudgedFile): T {
  const entries = file.faulty.has('') ? [] : Object.entries(file.yaml.value as object)
  return Object.fromEntries(entries.filter(([key]) => !file.faulty.has(key))) as T
}

function judge(files: DesiredStateFiles, draft: Draft): Finding[] {
  const host = files.host
  const known = host !== null && !host.faulty.has('') && !host.faulty.has('windows')
  const windows = known
    ? new Map(
        withoutNotes((host.yaml.value as HostFile).windows ?? {}).map(([name, { kind }]) => [
          name,
          kind ?? 'allow',
        ]),
      )
    : null
  const servers = databaseServers(Object.values(draft.services))
  const ofServices = [...files.services].flatMap(([service, file]) => {
    const policy = draft.services[service]
    return file === null || policy === undefined ? [] : judgeService(policy, file, { windows, servers })
  })
  return host === null || draft.host === null ? ofServices : [...judgeHost(draft.host, host), ...ofServices]
}

/** Compose files and certificate authorities that the checkout should hold but does not. */
async function missingFiles({ root, files }: Reading, draft: Draft): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [index, path] of (draft.host?.compose ?? []).entries()) {
    const wrong = await judgeRepositoryFile(root, path)
    const message = `${printable(path)} ${wrong}, expected a Compose file`
    if (wrong !== null && files.host)
      findings.push(files.host.yaml.findingAt(['compose', index], 'value', message))
  }
  for (const policy of Object.values(draft.services)) {
    for (const [index, check] of policy.health.checks.entries()) {
      if (check.kind !== 'http' || check.ca === null || check.ca.startsWith('/')) continue
      const wrong = await judgeRepositoryFile(root, check.ca)
      const yaml = files.services.get(policy.service)?.yaml
      if (wrong === null || yaml === undefined) continue
      const message = `${printable(check.ca)} ${wrong}, expected a PEM file`
      findings.push(yaml.findingAt(['health', 'checks', index, 'ca'], 'value', message))
    }
  }
  return findings
}

/** A file that is wrong in a thousand places says so a hundred times. */
function capped(findings: Finding[]): Finding[] {
  const counts = new Map<string, number>()
  return findings.flatMap((finding) => {
    const count = (counts.get(finding.file) ?? 0) + 1
    counts.set(finding.file, count)
    if (count <= mostFindings) return [finding]
    const message = `has more findings than the ${mostFindings} that are listed`
    return count === mostFindings + 1 ? [{ ...finding, key: 'file', message }] : []
  })
}

function sorted(findings: Finding[]): Finding[] {
  const rank = (finding: Finding) => (finding.file.endsWith('/host.yaml') ? 0 : 1)
  return findings.sort(
    (one, other) =>
      rank(one) - rank(other) ||
      one.file.localeCompare(other.file, 'en') ||
      one.line - other.line ||
      one.column - other.column,
  )
}
