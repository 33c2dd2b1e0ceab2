import { randomBytes } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { BackupClass } from '../backup/manifest.ts'
import type { HealthCheck, HealthPolicy, StorePolicy } from '../desired-state.ts'
import type { Candidate, ImageReference, Kept, Revisioned } from '../engine/engine.ts'
import { together, togetherLater } from './together.ts'

export type OperationKind =
  | 'create'
  | 'replace'
  | 'start'
  | 'remove'
  | 'rollback'
  | 'backup'
  | 'verify'
  | 'restore'
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

/** Operations and their steps. */
export function openOperations(database: DatabaseSync) {
  const one = database.prepare('select * from operations where id = ?')
  const update = database.prepare(
    `update operations set result = ?, decision = ?, attempts = ?, finished_at = ?, downtime_ms = ?, backup = ?,
     reason = ?, intent = ? where id = ?`,
  )

  const save = (operation: Operation): void => {
    update.run(
      operation.result,
      operation.decision,
      operation.attempts,
      operation.finishedAt,
      operation.downtimeMs,
      operation.backup,
      operation.reason,
      JSON.stringify(operation.intent),
      operation.id,
    )
  }

  return {
    /** Writes down a new operation, before anything of it is done. */
    beginOperation(wanted: NewOperation, now: number): Operation {
      const operation: Operation = {
        ...wanted,
        id: operationId(now),
        result: 'running',
        decision: 'forward',
        attempts: 1,
        startedAt: now,
        finishedAt: null,
        downtimeMs: null,
        backup: null,
        reason: '',
      }
      database
        .prepare(
          `insert into operations (id, sequence, service, kind, commit_id, result, decision, attempts, from_image,
           to_image, started_at, intent)
           values (?, (select coalesce(max(sequence), 0) + 1 from operations), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(
          operation.id,
          operation.service,
          operation.kind,
          operation.commit,
          operation.result,
          operation.decision,
          operation.attempts,
          JSON.stringify(operation.from),
          JSON.stringify(operation.to),
          now,
          JSON.stringify(operation.intent),
        )
      return operation
    },

    saveOperation: save,

    operation(id: string): Operation | null {
      const row = one.get(id)
      return row === undefined ? null : operationOf(row)
    },

    /** Operations whose id begins or ends with that text, newest first: nobody types a whole one. */
    operationsNamed(text: string): Operation[] {
      return database
        .prepare(
          'select * from operations where substr(id, 1, length(?1)) = ?1 or substr(id, -length(?1)) = ?1 order by sequence desc limit 20',
        )
        .all(text)
        .map(operationOf)
    },

    /** Operations that a crash cut short, oldest first. */
    unfinished(): Operation[] {
      return database
        .prepare("select * from operations where result = 'running' order by sequence")
        .all()
        .map(operationOf)
    },

    /** Newest first. */
    history(limit: number, service?: string): Operation[] {
      return service === undefined
        ? database
            .prepare('select * from operations order by sequence desc limit ?')
            .all(limit)
            .map(operationOf)
        : database
            .prepare('select * from operations where service = ? order by sequence desc limit ?')
            .all(service, limit)
            .map(operationOf)
    },

    /** The newest operation that worked on the containers of a service; backups and the like do not count. */
    lastRollOut(service: string): Operation | null {
      const row = database
        .prepare(
          `select * from operations where service = ? and kind not in ('backup', 'verify', 'restore')
           order by sequence desc limit 1`,
        )
        .get(service)
      return row === undefined ? null : operationOf(row)
    },

    /** The newest roll-out of a service that held: what it was made of and checked with. */
    lastApplied(service: string): Operation | null {
      const row = database
        .prepare(
          `select * from operations where service = ? and result = 'applied' and kind in ('create', 'replace', 'rollback')
           order by sequence desc limit 1`,
        )
        .get(service)
      return row === undefined ? null : operationOf(row)
    },

    /** The digests a service could go back to: what ran before the newest roll-out that held, and that one's own. */
    rollbackTargets(service: string): string[] {
      return database
        .prepare(
          `select to_image, from_image from operations where service = ? and result = 'applied'
           and kind in ('create', 'replace', 'rollback') order by sequence desc limit 2`,
        )
        .all(service)
        .flatMap((row) => [row['to_image'], row['from_image']])
        .map((text) => (JSON.parse(String(text ?? 'null')) as ImageReference | null)?.digest ?? '')
        .filter((digest) => digest !== '')
    },

    /** The operation is saved and its next step begins: durable before the step acts, in one flush. */
    beginStep(operation: Operation, name: string, now: number): number {
      return together(database, () => {
        save(operation)
        const row = database
          .prepare('select coalesce(max(sequence), 0) + 1 as next from steps where operation = ?')
          .get(operation.id)
        const sequence = Number(row?.['next'])
        database
          .prepare(
            "insert into steps (operation, sequence, name, started_at, result) values (?, ?, ?, ?, 'running')",
          )
          .run(operation.id, sequence, name, now)
        return sequence
      })
    },

    /**
     * The step ended and what it changed in the operation is saved with it. Without a flush of its own, since the
     * service may be down at this moment: the next step's beginning, or the end, makes it durable before anything
     * else is done. After a power failure in between the step counts as cut, and is done again.
     */
    endStep(
      operation: Operation,
      sequence: number,
      end: { ms: number; result: 'done' | 'failed'; detail: string },
    ): void {
      togetherLater(database, () => {
        save(operation)
        database
          .prepare('update steps set ms = ?, result = ?, detail = ? where operation = ? and sequence = ?')
          .run(end.ms, end.result, end.detail, operation.id, sequence)
      })
    },

    /** Steps that were running when the process ended are marked `cut`. */
    markCut(operation: string): void {
      database
        .prepare("update steps set result = 'cut' where operation = ? and result = 'running'")
        .run(operation)
    },

    steps(operation: string): Step[] {
      return database
        .prepare('select * from steps where operation = ? order by sequence')
        .all(operation)
        .map((row) => ({
          name: String(row['name']),
          startedAt: Number(row['started_at']),
          ms: row['ms'] === null ? null : Number(row['ms']),
          result: row['result'] as Step['result'],
          detail: String(row['detail']),
        }))
    },

    /** True when a step of that name came to its end in the operation: it is not done again after a crash. */
    isDone(operation: string, step: string): boolean {
      return (
        database
          .prepare("select 1 from steps where operation = ? and name = ? and result = 'done'")
          .get(operation, step) !== undefined
      )
    },

    /** True when a step of that name was ever begun in the operation. */
    begun(operation: string, step: string): boolean {
      return (
        database.prepare('select 1 from steps where operation = ? and name = ?').get(operation, step) !==
        undefined
      )
    },
  }
}

function operationOf(row: Record<string, unknown>): Operation {
  return {
    id: String(row['id']),
    service: String(row['service']),
    kind: row['kind'] as OperationKind,
    commit: String(row['commit_id']),
    result: row['result'] as OperationResult,
    decision: row['decision'] as Decision,
    attempts: Number(row['attempts']),
    from: JSON.parse(String(row['from_image'] ?? 'null')) as ImageReference | null,
    to: JSON.parse(String(row['to_image'] ?? 'null')) as ImageReference | null,
    startedAt: Number(row['started_at']),
    finishedAt: row['finished_at'] === null ? null : Number(row['finished_at']),
    downtimeMs: row['downtime_ms'] === null ? null : Number(row['downtime_ms']),
    backup: row['backup'] === null ? null : String(row['backup']),
    reason: String(row['reason']),
    intent: JSON.parse(String(row['intent'])) as Intent,
  }
}

/** `20261122-031502-9f3c`: sorts by time, can be read aloud, and does not repeat when a journal is lost. */
function operationId(now: number): string {
  const [day = '', time = ''] = new Date(now).toISOString().replaceAll(/[-:]/g, '').split(/[T.]/)
  return `${day}-${time}-${randomBytes(2).toString('hex')}`
}
