import type { BackupClass } from '../backup/manifest.ts'
import type { HealthCheck, HealthPolicy, StorePolicy } from '../desired-state.ts'
import type { Candidate, ImageReference, Kept, Revisioned } from '../engine/engine.ts'

export type OperationKind =
  | 'create'
  | 'replace'
  | 'start'
  | 'remove'
  | 'rollback'
  | 'backup'
  | 'verify'
  | 'restore'
  | 'job'
export type OperationResult = 'running' | 'applied' | 'untouched' | 'reverted' | 'stuck'

/**
 * Which way an operation goes; written before the first act that follows from it.
 *
 *   forward  prepare and swap; a failure before `set aside` leads to `leave`, from there on to `revert`
 *   leave    nothing was replaced: take away what was prepared, start what was stopped -> untouched
 *   keep     the new version is proven: only forward from here -> applied
 *   revert   the old version comes back; never left again for `forward` -> reverted, or stuck
 */
export type Decision = 'forward' | 'leave' | 'keep' | 'revert'

/** One container of the service (or of one that lives in its network) that is swapped in this operation. */
export type Member = {
  service: string
  /** The name the container ends up with. */
  name: string
  image: ImageReference
  /** Services whose network it shares -> their container, for those that are not swapped too. */
  shares: Record<string, string>
  /** Its own checks; the first member is judged by those of the operation. */
  checks: HealthCheck[]
  current: Revisioned | null
  /** Keyed hash of the configuration it is given. */
  configuration: string
  /** What ran before, as far as it is known; null when nothing ran. */
  before: ImageReference | null
  /** Local id of the image that ran before; null when nothing ran. */
  oldImageId: string | null
  candidate: Candidate | null
  kept: Kept | null
}

/** The data of one unit: what is copied, who stands still meanwhile, where it goes. */
export type DataIntent = {
  /** Name of the host, as it stands in the keys of its backups. */
  host: string
  class: BackupClass
  /** Services whose data it is. */
  owners: string[]
  databases: { server: string; database: string; user: string }[]
  /** `volume` is the key in the Compose file, `volumeName` its name on the engine. */
  volumes: { volume: string; volumeName: string; exclude: string[] }[]
  while: 'stopped' | 'paused' | 'running'
  /** Services that stand still while data is copied, and in any case while it is put back. */
  stop: string[]
  /** Database servers whose own volume is copied: they stop when the dumps are done. */
  stopAfterDumps: string[]
  stores: StorePolicy[]
  /** The data goes back when the roll-out is reverted. */
  restore: boolean
  /** What becomes of the database that is replaced when data goes back. */
  failed: 'keep' | 'drop'
  /** What was stopped for the sake of the data, and how it comes back. */
  stopped: Kept[]
  paused: Revisioned[]
  /** Local id of an image in which a volume can be emptied; null when there is no volume. */
  eraser: string | null
  /**
   * The backup that was taken, once its manifest is written; or the one to restore. Of one that was taken also its
   * bytes in one store, and the stores that have it.
   */
  backup: { id: string; key: string; dataFrom: number; bytes?: number; stores?: string[] } | null
  /** Bytes that the backup before had, or what the volumes take on the disk; null when nobody knows. */
  estimate?: number | null
  /** Milliseconds of writes that were lost with the data; null as long as nothing was put back. */
  lostMs: number | null
  /** Stores that do not have the backup of this operation, and why; none of them is required. */
  without?: { store: string; said: string }[]
  /** When the last one that writes to the data had stopped for the swap; milliseconds since 1970. */
  stoppedAt?: number
  /** How long the service was frozen for the copy; it went on after that. */
  frozenMs?: number
  /** Of a restore: the store whose copy was read to its end. */
  proven?: string
}

/** A container that is run once. Its command is not here: nobody promises that there is nothing secret in it. */
export type JobIntent = {
  name: string
  /** A person asked for it; false when its schedule did. */
  byHand: boolean
  /** Milliseconds. */
  timeout: number
  /** What follows a success. */
  reload: string[]
  restart: string[]
  /** `before` is the fingerprint of the files that a change is judged against, null as long as nobody has looked. */
  watched: { volume: string; volumeName: string; path: string; before: string | null } | null
  /** Local id of its image, once that is here. */
  imageId: string | null
  /** Null until it has ended by itself. */
  exitCode: number | null
  /** True when it was not over: the end of the process, or a newer commit that changes it. */
  cutShort: boolean
}

/** Whose requests the proxy holds meanwhile. */
export type HoldIntent = {
  /** Milliseconds that a request may wait. */
  ms: number
  /** Services that wish it, swapped or only stopped for a while. */
  services: string[]
  /** Those of them that are only stopped: what they are and how one sees that they answer again. */
  others: { service: string; tag: string; health: HealthPolicy }[]
  /** Milliseconds since 1970 when the waiting began; null: not yet. */
  since: number | null
}

/** All that is needed to go on after a crash, and nothing secret: no body, no environment. */
export type Intent = {
  members: Member[]
  /** Dependents that are stopped meanwhile and started again. */
  quiesced: Revisioned[]
  health: HealthPolicy
  /** Health policy the old version was proven with; null when there is none. */
  oldHealth: HealthPolicy | null
  /** Keyed hash of the configuration that is rolled out. */
  configuration: string
  reasons: { field: string; before: string; after: string }[]
  /** True when it mends what moved away by itself, false when a commit asked for it. */
  drift: boolean
  /** Milliseconds since 1970 when the old version was told to stop; null when it did not run. */
  downSince?: number | null
  /** The check that failed, for the report. */
  failedCheck?: { name: string; said: string }
  /** True when the failure does not speak against the image. */
  blameless?: boolean
  /** The data that belongs to it; missing when there is none. */
  data?: DataIntent
  /** Missing when no service that is noticed wishes it. */
  hold?: HoldIntent
  /** Of a `job`. */
  job?: JobIntent
  /** Of a `verify`: how deep. Of a `restore`: whether what is there is backed up first. */
  level?: 0 | 1 | 2
  safety?: boolean
  /** How the services whose data is put back are judged, by name. */
  ownerHealth?: Record<string, HealthPolicy>
  /** Roll-outs that got stuck on the data which this restore puts back. */
  tookOver?: string[]
  /** The backup of what a restore replaced. */
  safetyBackup?: string
}

export type Operation = {
  id: string
  service: string
  kind: OperationKind
  commit: string
  result: OperationResult
  decision: Decision
  attempts: number
  from: ImageReference | null
  to: ImageReference | null
  startedAt: number
  finishedAt: number | null
  downtimeMs: number | null
  backup: string | null
  reason: string
  intent: Intent
}

export type Step = {
  name: string
  startedAt: number
  ms: number | null
  /** `running` until it ended; `cut` when the process ended in it. */
  result: 'running' | 'done' | 'failed' | 'cut'
  detail: string
}

export type NewOperation = Pick<Operation, 'service' | 'kind' | 'commit' | 'from' | 'to' | 'intent'>

const rollOuts: readonly OperationKind[] = ['create', 'replace', 'start', 'remove', 'rollback']

/** What works on the containers of a service; backups and jobs leave them what they are. */
export const isRollOut = ({ kind }: Pick<Operation, 'kind'>): boolean => rollOuts.includes(kind)
