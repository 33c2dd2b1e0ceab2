/**
 * The desired state of one commit: desired-state/host.yaml, desired-state/services/*.yaml. This file is the shape;
 * reconciler/desired-state/ reads, checks and judges the YAML. Durations are milliseconds, sizes are bytes here.
 */
export type DesiredState = {
  host: Host
  /** By Compose service name. */
  services: Record<string, ServicePolicy>
}

export type SecretReference = { secret: string }

export type Host = {
  name: string
  project: string
  compose: string[]
  timezone: string
  /** Milliseconds between two looks at Git. */
  poll: number
  variables: Record<string, string | SecretReference>
  windows: Record<string, Window>
  /** Containers of the project that left the desired state are removed instead of stopped and kept. */
  prune: boolean
  /** How many unused images of each repository stay beside the running one and the rollback target. */
  images: { keep: number }
  /** Null: no backups are taken. */
  backup: BackupPolicy | null
  bumps: BumpPolicy
  notify: Notification[]
  jobs: Record<string, Job>
}

/** What may be told: how a roll-out ended, that a backup or a job failed. */
export type Tidings = 'applied' | 'untouched' | 'reverted' | 'stuck' | 'backup-failed' | 'job-failed'

/**
 * Who is told what. The address of a webhook may hold a key of its own: it is not shown. It may be the reference of a
 * secret instead (`file:/path`), which is read when something is sent.
 */
export type Notification = { on: Tidings[] } & (
  | { kind: 'mail'; to: string[] }
  | { kind: 'webhook'; url: string }
)

/** A container that is run once, on a schedule or because a person says so. */
export type Job = {
  /** Five cron fields in the host's time zone. */
  schedule: string
  service: string
  /** Null: the one of the Compose file. */
  command: string[] | null
  /** Milliseconds; then it is stopped and has failed. */
  timeout: number
  /** What follows a success: `then` in the file, which must not be the name of a field here (it would be awaited). */
  afterwards: {
    /** Services that get SIGHUP. */
    reload: string[]
    restart: string[]
    /** Only when the files below `path` (empty: all) of the volume are others than before; null: always. */
    ifChanged: { volume: string; path: string } | null
  }
}

/** How new versions are found and proposed. */
export type BumpPolicy = {
  /** When the registries are asked, five cron fields in the host's time zone; null: never by itself. */
  sweep: string | null
  /** Logins who are asked to review the pull requests of services that name none. */
  reviewers: string[]
}

export type BackupPolicy = {
  /** Five cron fields in the host's time zone, or null: only before updates and when asked. */
  schedule: string | null
  /** When the newest backup is restored into scratch containers and compared, or null: never by itself. */
  verify: string | null
  /** At least one. */
  stores: StorePolicy[]
}

/** `required`: a backup counts only when this store has it. `keep` null: all backups stay. */
export type StorePolicy = { required: boolean; keep: Retention | null } & (
  | { kind: 'file'; folder: string }
  | { kind: 's3'; bucket: string; prefix: string; region: string | null }
)

/** How many of the newest backups stay, and the newest one of how many hours, days, weeks, months, years. */
export type Retention = {
  last?: number
  hourly?: number
  daily?: number
  weekly?: number
  monthly?: number
  yearly?: number
}

/**
 * Opens by a five-field cron expression in the host's time zone, for a duration in milliseconds. While one that denies
 * is open no automatic change starts, whatever else is open.
 */
export type Window = { opens: string; for: number; kind: 'allow' | 'deny' }

export type ServicePolicy = {
  service: string
  /** File that says so, relative to the repository. */
  file: string
  image: string
  tag: string
  /** `sha256:...`, or null when the tag is to be resolved. */
  digest: string | null
  update: UpdatePolicy
  /** What must go back together; empty for a service without data. */
  data: DataPart[]
  /** `while`: what the service does while its data is copied. */
  backup: { before: 'update' | 'none'; while: 'stopped' | 'paused' | 'running' }
  health: HealthPolicy
  revert: {
    data: 'keep' | 'restore'
    /** The database of the failed version is kept aside under another name until the next one, or dropped. */
    failed: 'keep' | 'drop'
    repository: 'pull-request' | 'none'
  }
  /** How long the proxy holds requests while the service is swapped, in milliseconds; null: it does not. */
  hold: number | null
}

export type UpdatePolicy = {
  policy: 'manual' | 'automatic'
  accept: 'patch' | 'minor' | 'major' | 'digest'
  /** Regular expression of what counts as a version of this image; null accepts any. */
  tags: string | null
  minimumAge: number
  /** Name of a window in host.yaml, or null: a change starts at once. */
  window: string | null
  /** Logins who are asked to review; null: those of host.yaml. */
  reviewers: string[] | null
  /** URL with `{tag}` or `{version}` (the tag without a leading v), or null: as the labels of the image say. */
  releaseNotes: string | null
}

export type DataPart =
  | { postgres: string; database: string; user: string }
  | { volume: string; exclude: string[] }

export type HealthPolicy = {
  /** All checks must have passed for `steady` within this many milliseconds. */
  within: number
  steady: number
  /** How long the set-aside container is kept after that; 0 discards at once. */
  soak: number
  checks: HealthCheck[]
}

/** `every` and `timeout` are milliseconds. */
export type HealthCheck = { every: number; timeout: number } & (
  | {
      kind: 'http'
      url: string
      /** Expected status, null for any 2xx or 3xx. */
      status: number | null
      header: Record<string, string>
      body: string | null
      /** Dotted path into the JSON answer -> expected value; `{tag}` stands for the tag that is rolled out. */
      json: Record<string, string | number | boolean | null>
      /** PEM file of an own certificate authority, absolute path on the host or relative to the repository. */
      ca: string | null
    }
  | { kind: 'tcp'; host: string; port: number }
  | { kind: 'command'; command: string[]; service: string }
  | { kind: 'container' }
)

/** What is wrong at one place of the desired state, for a person: `file:line:column: key: wrong, expected`. */
export type Finding = {
  file: string
  line: number
  column: number
  key: string
  /** What is wrong and what was expected. */
  message: string
}

export function findingLine(finding: Finding): string {
  return `${finding.file}:${finding.line}:${finding.column}: ${finding.key}: ${finding.message}`
}
