import { normalize, resolve } from 'node:path/posix'
import type {
  BackupPolicy,
  DataPart,
  HealthCheck,
  HealthPolicy,
  Host,
  Job,
  Notification,
  Retention,
  SecretReference,
  ServicePolicy,
  StorePolicy,
  Tidings,
  UpdatePolicy,
} from '../desired-state.ts'
import { splitHostAndPort } from './formats.ts'
import { parseDuration } from './quantities.ts'

/** What applies where a file says nothing. schemas/*.json and docs/desired-state.md name the same values. */
const defaults = {
  timezone: 'UTC',
  poll: '3m',
  keep: 2,
  policy: 'manual',
  accept: 'minor',
  while: 'stopped',
  failed: 'drop',
  minimumAge: '0s',
  within: '2m',
  steady: '10s',
  soak: '10m',
  every: '2s',
  timeout: '5s',
  jobTimeout: '30m',
} as const

/** host.yaml as the schema let it pass. */
export type HostFile = {
  name: string
  project: string
  compose: string[]
  timezone?: string
  poll?: string
  variables?: Record<string, string | SecretReference>
  windows?: Record<string, { opens: string; for: string; kind?: 'allow' | 'deny' }>
  backup?: { schedule?: string; verify?: string; stores: StoreFile[] }
  bumps?: { sweep?: string; reviewers?: string[] }
  notify?: { mail?: string[]; webhook?: string | SecretReference; on: Tidings[] }[]
  jobs?: Record<string, JobFile>
  prune?: boolean
  images?: { keep?: number }
}

export type JobFile = {
  schedule: string
  run: { service: string; command?: string[] }
  timeout?: string
  then?: {
    reload?: string | string[]
    restart?: string | string[]
    ifChanged?: { volume: string; path?: string }
  }
}

export type StoreFile = {
  file?: string
  s3?: string
  region?: string
  required?: boolean
  keep?: Record<string, unknown>
}

/** A service file as the schema let it pass. */
export type ServiceFile = {
  image?: string
  tag?: string
  digest?: string
  update?: Partial<Pick<UpdatePolicy, 'policy' | 'accept'>> & {
    tags?: string
    minimumAge?: string
    window?: string
    reviewers?: string[]
    releaseNotes?: string
  }
  data?: { postgres?: string; database?: string; user?: string; volume?: string; exclude?: string[] }[]
  backup?: Partial<ServicePolicy['backup']>
  health?: { within?: string; steady?: string; soak?: string; checks?: CheckFile[] }
  revert?: Partial<ServicePolicy['revert']>
  hold?: string
}

export type CheckFile = {
  http?: string
  status?: number
  header?: Record<string, string>
  body?: string
  json?: Record<string, string | number | boolean | null>
  ca?: string
  tcp?: string
  command?: string[]
  in?: string
  container?: 'healthy'
  every?: string
  timeout?: string
}

/** host.yaml with every default filled in. */
export function hostOf(file: HostFile): Host {
  const windows = withoutNotes(file.windows ?? {})
  return {
    name: file.name,
    project: file.project,
    compose: file.compose,
    timezone: file.timezone ?? defaults.timezone,
    poll: milliseconds(file.poll ?? defaults.poll),
    variables: Object.fromEntries(withoutNotes(file.variables ?? {})),
    windows: Object.fromEntries(
      windows.map(([name, { opens, for: open, kind }]) => [
        name,
        { opens, for: milliseconds(open), kind: kind ?? 'allow' },
      ]),
    ),
    prune: file.prune ?? false,
    images: { keep: file.images?.keep ?? defaults.keep },
    backup: file.backup === undefined ? null : backupOf(file.backup),
    bumps: { sweep: file.bumps?.sweep ?? null, reviewers: file.bumps?.reviewers ?? [] },
    notify: (file.notify ?? []).map(notificationOf),
    jobs: Object.fromEntries(withoutNotes(file.jobs ?? {}).map(([name, job]) => [name, jobOf(job)])),
  }
}

function notificationOf({ mail, webhook, on }: NonNullable<HostFile['notify']>[number]): Notification {
  if (mail !== undefined) return { kind: 'mail', to: mail, on }
  return { kind: 'webhook', url: typeof webhook === 'object' ? webhook.secret : (webhook ?? ''), on }
}

function jobOf({ schedule, run, timeout, then }: JobFile): Job {
  const changed = then?.ifChanged
  return {
    schedule,
    service: run.service,
    command: run.command ?? null,
    timeout: milliseconds(timeout ?? defaults.jobTimeout),
    afterwards: {
      reload: [then?.reload ?? []].flat(),
      restart: [then?.restart ?? []].flat(),
      ifChanged: changed === undefined ? null : { volume: changed.volume, path: changed.path ?? '' },
    },
  }
}

function backupOf(backup: NonNullable<HostFile['backup']>): BackupPolicy {
  return {
    schedule: backup.schedule ?? null,
    verify: backup.verify ?? null,
    stores: backup.stores.map(storeOf),
  }
}

/** A folder in one spelling, and the prefix without slashes at its ends: two stores alike must look alike. */
function storeOf(store: StoreFile): StorePolicy {
  const common = { required: store.required ?? true, keep: retentionOf(store.keep) }
  if (store.s3 === undefined) return { ...common, kind: 'file', folder: resolve(store.file ?? '/') }
  const [bucket = '', ...prefix] = store.s3.split('/')
  return { ...common, kind: 's3', bucket, prefix: prefix.join('/'), region: store.region ?? null }
}

function retentionOf(keep: StoreFile['keep']): Retention | null {
  const rules = withoutNotes(keep ?? {})
  return rules.length === 0 ? null : Object.fromEntries(rules)
}

/** The services that data names as its database servers. */
export function databaseServers(files: { data?: object[] }[]): Set<string> {
  const parts = files.flatMap((file) => file.data ?? [])
  return new Set(parts.flatMap((part) => ('postgres' in part ? [String(part.postgres)] : [])))
}

/**
 * A service file with every default filled in.
 * @param servers services that hold the databases of others: their update is one of that data too
 */
export function serviceOf(
  service: string,
  path: string,
  file: ServiceFile,
  servers: ReadonlySet<string>,
): ServicePolicy {
  const data = (file.data ?? []).map(dataPartOf)
  const before = file.backup?.before ?? (data.length > 0 || servers.has(service) ? 'update' : 'none')
  return {
    service,
    file: path,
    image: file.image ?? '',
    tag: file.tag ?? '',
    digest: file.digest ?? null,
    update: {
      policy: file.update?.policy ?? defaults.policy,
      accept: file.update?.accept ?? defaults.accept,
      tags: file.update?.tags ?? null,
      minimumAge: milliseconds(file.update?.minimumAge ?? defaults.minimumAge),
      window: file.update?.window ?? null,
      reviewers: file.update?.reviewers ?? null,
      releaseNotes: file.update?.releaseNotes ?? null,
    },
    data,
    backup: { before, while: file.backup?.while ?? defaults.while },
    health: healthOf(service, file.health ?? {}),
    revert: {
      data: file.revert?.data ?? (before === 'update' ? 'restore' : 'keep'),
      failed: file.revert?.failed ?? defaults.failed,
      repository: file.revert?.repository ?? 'pull-request',
    },
    hold: file.hold === undefined ? null : milliseconds(file.hold),
  }
}

/** Entries of a mapping whose keys are names; `x-` keys are notes and anchors. */
export function withoutNotes<T>(mapping: Record<string, T>): [string, T][] {
  return Object.entries(mapping).filter(([name]) => !name.startsWith('x-'))
}

function dataPartOf(part: NonNullable<ServiceFile['data']>[number]): DataPart {
  if (part.volume !== undefined)
    return { volume: part.volume, exclude: (part.exclude ?? []).map(withoutDetours) }
  return { postgres: part.postgres ?? '', database: part.database ?? '', user: part.user ?? '' }
}

/** `./gitea//log/` is `gitea/log`. */
const withoutDetours = (path: string): string => normalize(path).replace(/\/$/, '')

function healthOf(service: string, health: NonNullable<ServiceFile['health']>): HealthPolicy {
  return {
    within: milliseconds(health.within ?? defaults.within),
    steady: milliseconds(health.steady ?? defaults.steady),
    soak: milliseconds(health.soak ?? defaults.soak),
    checks: (health.checks ?? []).map((check) => checkOf(service, check)),
  }
}

function checkOf(service: string, check: CheckFile): HealthCheck {
  const pace = {
    every: milliseconds(check.every ?? defaults.every),
    timeout: milliseconds(check.timeout ?? defaults.timeout),
  }
  if (check.tcp !== undefined)
    return { ...pace, kind: 'tcp', ...(splitHostAndPort(check.tcp) ?? { host: '', port: 0 }) }
  if (check.command !== undefined) {
    return { ...pace, kind: 'command', command: check.command, service: check.in ?? service }
  }
  if (check.http === undefined) return { ...pace, kind: 'container' }
  return {
    ...pace,
    kind: 'http',
    url: check.http,
    status: check.status ?? null,
    header: check.header ?? {},
    body: check.body ?? null,
    json: check.json ?? {},
    ca: check.ca ?? null,
  }
}

/** The schema has refused what is no duration. */
function milliseconds(text: string): number {
  return parseDuration(text) ?? 0
}
