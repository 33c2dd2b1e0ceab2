import type { DatabaseSync } from 'node:sqlite'
import type { Schedule } from '../plan/rounds.ts'
import type { Operation, OperationKind, OperationResult } from './operation.ts'

/** Data of a service that is only half put back: nothing is started on it until a restore is complete. */
export type Dirty = { service: string; operation: string; backup: string; at: number }

/** A backup that was complete in every required store when it was recorded. The stores are the truth. */
export type BackupRecord = {
  id: string
  class: string
  services: string[]
  operation: string
  /** Milliseconds since 1970. */
  at: number
  /** As it lies in one store. */
  bytes: number
  plainBytes: number
  /** How long it took. */
  ms: number
}

/** When a schedule last ran: so that a run the machine slept through is made up once. */
export type Round = {
  name: string
  /** The moment of the schedule it stood for; milliseconds since 1970. */
  dueAt: number
  schedule: Schedule
  beganAt: number
  finishedAt: number | null
  result: string | null
}

/** The newest operation of one kind on the data of one service. */
export type LastDataOperation = {
  service: string
  kind: OperationKind
  id: string
  result: OperationResult
  reason: string
  startedAt: number
  finishedAt: number | null
}

/** All there ever was, for counters that go on counting after a restart. */
export type DataCounts = {
  /** Copies of data, by themselves or within a roll-out or a restore: proven, or not. */
  backups: { good: number; failed: number }
  verifications: { good: number; failed: number }
  restores: Record<'applied' | 'untouched' | 'stuck', number>
}

export type Verified = { level: number; at: number; good: boolean }

/** Backups, verifications and restores work on data; nothing of a service is replaced by them. */
export const isAboutData = ({ kind }: Pick<Operation, 'kind'>): boolean =>
  kind === 'backup' || kind === 'verify' || kind === 'restore'

/** What the journal knows about data: what is half restored, which backups were taken, when schedules ran. */
export function openDataRecords(database: DatabaseSync) {
  return {
    /** Durable before the first byte is changed. */
    markDirty(services: string[], about: Omit<Dirty, 'service'>): void {
      const insert = database.prepare('insert or replace into dirty values (?, ?, ?, ?)')
      for (const service of services) insert.run(service, about.operation, about.backup, about.at)
    },
    dirty(): Dirty[] {
      return database
        .prepare('select * from dirty')
        .all()
        .map((row) => ({
          service: String(row['service']),
          operation: String(row['operation']),
          backup: String(row['backup']),
          at: Number(row['at']),
        }))
    },
    clearDirty(services: string[]): void {
      const remove = database.prepare('delete from dirty where service = ?')
      for (const service of services) remove.run(service)
    },

    recordBackup(record: BackupRecord): void {
      database
        .prepare('insert or replace into backups values (?, ?, ?, ?, ?, ?, ?, ?)')
        .run(
          record.id,
          record.class,
          JSON.stringify(record.services),
          record.operation,
          record.at,
          record.bytes,
          record.plainBytes,
          record.ms,
        )
    },
    /** Newest first. */
    recordedBackups(): BackupRecord[] {
      return database.prepare('select * from backups order by at desc, id desc').all().map(recordOf)
    },
    /** Those of them that were read back whole after they were taken, and not found damaged since; newest first. */
    provenBackups(): BackupRecord[] {
      // With max() SQLite takes the other columns from the row of the maximum.
      const damaged = new Set(
        database
          .prepare(
            `select backup, result, reason, max(sequence) from operations
             where kind = 'verify' and result <> 'running' group by backup`,
          )
          .all()
          .filter((row) => row['result'] !== 'applied' && String(row['reason']).includes(' is damaged: '))
          .map((row) => row['backup']),
      )
      return database
        .prepare(
          `select * from backups where operation in (${copies("'done'", 'proven')}) order by at desc, id desc`,
        )
        .all()
        .map(recordOf)
        .filter((each) => !damaged.has(each.id))
    },
    forgetBackup(id: string): void {
      database.prepare('delete from backups where id = ?').run(id)
    },

    /** Numbers backups within this host, so that two of one second have an order. */
    nextBackupNumber(): number {
      const row = database
        .prepare(
          `insert into notes values ('backup-number', '1') on conflict (name) do update
           set value = cast(cast(value as integer) + 1 as text) returning value`,
        )
        .get()
      return Number(row?.['value'])
    },

    /** @param again true when it was cut short before: it is not tried a third time for the same moment */
    beginRound(
      { name, dueAt, schedule }: Pick<Round, 'name' | 'dueAt' | 'schedule'>,
      { now, again }: { now: number; again: boolean },
    ): void {
      database
        .prepare(
          `insert or replace into rounds (name, due_at, began_at, finished_at, result, expression, timezone)
           values (?, ?, ?, null, ?, ?, ?)`,
        )
        .run(name, dueAt, now, again ? 'again' : null, schedule.expression, schedule.timezone)
    },
    endRound(name: string, result: string, now: number): void {
      database.prepare('update rounds set finished_at = ?, result = ? where name = ?').run(now, result, name)
    },
    rounds(): Round[] {
      return database
        .prepare('select * from rounds')
        .all()
        .map((row) => ({
          name: String(row['name']),
          dueAt: Number(row['due_at']),
          schedule: { expression: String(row['expression']), timezone: String(row['timezone']) },
          beganAt: Number(row['began_at']),
          finishedAt: row['finished_at'] === null ? null : Number(row['finished_at']),
          result: row['result'] === null ? null : String(row['result']),
        }))
    },

    /** A schedule that is gone has no past: when it comes back it begins anew. */
    forgetRound(name: string): void {
      database.prepare('delete from rounds where name = ?').run(name)
    },

    /** The newest operation of each kind on the data of each service. */
    lastDataOperations(): LastDataOperation[] {
      return database
        .prepare(
          `select service, kind, id, result, reason, started_at, finished_at, max(sequence) from operations
           where kind in ('backup', 'verify', 'restore') group by service, kind`,
        )
        .all()
        .map((row) => ({
          service: String(row['service']),
          kind: row['kind'] as OperationKind,
          id: String(row['id']),
          result: row['result'] as OperationResult,
          reason: String(row['reason']),
          startedAt: Number(row['started_at']),
          finishedAt: row['finished_at'] === null ? null : Number(row['finished_at']),
        }))
    },

    /** Verifications that ended, oldest first. */
    verifications(): Verified[] {
      return database
        .prepare(
          `select json_extract(intent, '$.level') as level, finished_at, result from operations
           where kind = 'verify' and result <> 'running' order by sequence`,
        )
        .all()
        .map((row) => ({
          level: Number(row['level']),
          at: Number(row['finished_at']),
          good: row['result'] === 'applied',
        }))
    },

    dataCounts(): DataCounts {
      const count = (sql: string): number =>
        Number(database.prepare(`select count(distinct id) as n from (${sql})`).get()?.['n'])
      const ended = (kind: OperationKind, results: string): number =>
        count(`select id from operations where kind = '${kind}' and result in (${results})`)
      const good = copies("'done'", 'proven')
      const broken = copies("'failed', 'cut'", 'any')
      const fruitless = "select id from operations where kind = 'backup' and result in ('untouched', 'stuck')"
      return {
        backups: { good: count(good), failed: count(`${broken} union ${fruitless} except ${good}`) },
        verifications: {
          good: ended('verify', "'applied'"),
          failed: ended('verify', "'untouched', 'stuck'"),
        },
        restores: {
          applied: ended('restore', "'applied'"),
          untouched: ended('restore', "'untouched'"),
          stuck: ended('restore', "'stuck'"),
        },
      }
    },
  }
}

/**
 * The operations that copied data and how that ended. A restore has a step of its own for the copy of what is there;
 * its `prove backup` is about the backup that is put back.
 */
const copies = (results: string, which: 'proven' | 'any'): string =>
  `select o.id as id from steps s join operations o on o.id = s.operation
   where s.result in (${results}) and (case o.kind when 'restore' then s.name = 'safety backup'
   else s.name in ('prove backup'${which === 'any' ? ", 'back up'" : ''}) end)`

const recordOf = (row: Record<string, unknown>): BackupRecord => ({
  id: String(row['id']),
  class: String(row['class']),
  services: JSON.parse(String(row['services'])) as string[],
  operation: String(row['operation']),
  at: Number(row['at']),
  bytes: Number(row['bytes']),
  plainBytes: Number(row['plain_bytes']),
  ms: Number(row['ms']),
})
