import { randomBytes } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { ImageReference } from '../engine/engine.ts'
import type {
  Decision,
  Intent,
  NewOperation,
  Operation,
  OperationKind,
  OperationResult,
  Step,
} from './operation.ts'
import { together, togetherLater } from './together.ts'

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

    /** The newest operation that worked on the containers of a service; backups, jobs and the like do not count. */
    lastRollOut(service: string): Operation | null {
      const row = database
        .prepare(
          `select * from operations where service = ? and kind not in ('backup', 'verify', 'restore', 'job')
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

    /** How long the newest roll-outs of a service took that came to an end at one go, in milliseconds. */
    rollOutTimes(service: string, limit: number): number[] {
      return database
        .prepare(
          `select finished_at - started_at as ms from operations where service = ? and attempts = 1
           and result in ('applied', 'reverted') and kind in ('create', 'replace', 'rollback')
           and finished_at is not null order by sequence desc limit ?`,
        )
        .all(service, limit)
        .map((row) => Number(row['ms']))
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
