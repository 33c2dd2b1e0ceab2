import type { DatabaseSync } from 'node:sqlite'
import type { Kept } from '../engine/engine.ts'

/** `pause` without a name; no Compose service can be called so. */
export const everyService = '*'

export type Quarantine = {
  service: string
  digest: string
  configuration: string
  operation: string
  reason: string
  at: number
}

/**
 * A service that had to be corrected, or could not be: the next try waits until `nextAt`, longer each time.
 * `target` is what was wanted (digest and configuration): when that changes, the setback no longer counts.
 */
export type Setback = {
  service: string
  target: string
  count: number
  lastAt: number
  nextAt: number
  reason: string
}
export type KeptRow = { operation: string; service: string; kept: Kept; discardAt: number }
/** `pulled`: Samovar made it local, so Samovar may remove it. */
export type KnownImage = {
  digest: string
  id: string
  name: string
  tag: string
  at: number
  pulled: boolean
}

/** What stands until something changes it: quarantine, pauses, what is kept, resolved tags, what was told. */
export function openStanding(database: DatabaseSync) {
  return {
    quarantine(entry: Quarantine): void {
      database
        .prepare('insert or replace into quarantine values (?, ?, ?, ?, ?, ?)')
        .run(entry.service, entry.digest, entry.configuration, entry.operation, entry.reason, entry.at)
    },
    quarantined(): Quarantine[] {
      return database
        .prepare('select * from quarantine')
        .all()
        .map((row) => ({
          service: String(row['service']),
          digest: String(row['digest']),
          configuration: String(row['configuration']),
          operation: String(row['operation']),
          reason: String(row['reason']),
          at: Number(row['at']),
        }))
    },
    /** Takes back what one operation put into quarantine. */
    liftQuarantine(service: string, operation: string): void {
      database.prepare('delete from quarantine where service = ? and operation = ?').run(service, operation)
    },
    /** A person said `retry`: true when there was something to lift. */
    retry(service: string): boolean {
      const stuck = database
        .prepare(
          "select id from operations where service = ? and result = 'stuck' order by sequence desc limit 1",
        )
        .get(service)
      if (stuck !== undefined)
        database
          .prepare("insert or replace into notes values (?, 'yes')")
          .run(`retried ${String(stuck['id'])}`)
      const setback = database.prepare('delete from setbacks where service = ?').run(service).changes
      return (
        Number(database.prepare('delete from quarantine where service = ?').run(service).changes) +
          Number(setback) >
        0
      )
    },

    /** True when a person said `retry` after that operation got stuck. */
    isRetried(operation: string): boolean {
      return database.prepare('select 1 from notes where name = ?').get(`retried ${operation}`) !== undefined
    },

    pause(service: string, now: number): void {
      database.prepare('insert or ignore into paused values (?, ?)').run(service, now)
    },
    resumeAll(): boolean {
      return Number(database.prepare('delete from paused').run().changes) > 0
    },
    resume(service: string): boolean {
      return Number(database.prepare('delete from paused where service = ?').run(service).changes) > 0
    },
    /** Services that a person paused; `everyService` stands for all of them. */
    paused(): string[] {
      return database
        .prepare('select service from paused')
        .all()
        .map((row) => String(row['service']))
    },

    rememberSetback(setback: Setback): void {
      database
        .prepare('insert or replace into setbacks values (?, ?, ?, ?, ?, ?)')
        .run(setback.service, setback.target, setback.count, setback.lastAt, setback.nextAt, setback.reason)
    },
    setbacks(): Setback[] {
      return database
        .prepare('select * from setbacks')
        .all()
        .map((row) => ({
          service: String(row['service']),
          target: String(row['target']),
          count: Number(row['count']),
          lastAt: Number(row['last_at']),
          nextAt: Number(row['next_at']),
          reason: String(row['reason']),
        }))
    },
    forgetSetback(service: string): void {
      database.prepare('delete from setbacks where service = ?').run(service)
    },

    keep(row: KeptRow): void {
      database
        .prepare('insert or replace into kept values (?, ?, ?, ?)')
        .run(row.operation, row.service, JSON.stringify(row.kept), row.discardAt)
    },
    kept(): KeptRow[] {
      return database
        .prepare('select * from kept')
        .all()
        .map((row) => ({
          operation: String(row['operation']),
          service: String(row['service']),
          kept: JSON.parse(String(row['kept'])) as Kept,
          discardAt: Number(row['discard_at']),
        }))
    },
    /** The kept instance is gone for good. */
    discarded(operation: string, service: string): void {
      database.prepare('delete from kept where operation = ? and service = ?').run(operation, service)
    },

    rememberDigest(commit: string, reference: string, digest: string, now: number): void {
      database
        .prepare('insert or replace into resolved values (?, ?, ?, ?)')
        .run(commit, reference, digest, now)
    },
    /** The digest a tag was resolved to for this commit, or the newest one of any commit when `commit` is null. */
    digestOf(commit: string | null, reference: string): string | null {
      const row =
        commit === null
          ? database
              .prepare('select digest from resolved where reference = ? order by at desc limit 1')
              .get(reference)
          : database
              .prepare('select digest from resolved where commit_id = ? and reference = ?')
              .get(commit, reference)
      return row === undefined ? null : String(row['digest'])
    },

    /** What a digest is on this host. That Samovar pulled an image is never forgotten by finding it again. */
    rememberImage(image: KnownImage): void {
      database
        .prepare(
          `insert into images values (?, ?, ?, ?, ?, ?) on conflict (digest) do update
           set id = excluded.id, tag = excluded.tag, at = excluded.at, pulled = max(pulled, excluded.pulled)`,
        )
        .run(image.digest, image.id, image.name, image.tag, image.at, image.pulled ? 1 : 0)
    },
    images(): KnownImage[] {
      return database
        .prepare('select * from images order by at')
        .all()
        .map((row) => ({
          digest: String(row['digest']),
          id: String(row['id']),
          name: String(row['name']),
          tag: String(row['tag']),
          at: Number(row['at']),
          pulled: row['pulled'] === 1,
        }))
    },
    forgetImage(digest: string): void {
      database.prepare('delete from images where digest = ?').run(digest)
    },

    /** Fields an engine renders otherwise than they were asked for; compared no more for this instance. */
    rememberResidue(instance: string, fields: string[]): void {
      if (fields.length > 0)
        database
          .prepare('insert or replace into residues values (?, ?)')
          .run(instance, JSON.stringify(fields))
    },
    residue(instance: string): string[] {
      const row = database.prepare('select fields from residues where instance = ?').get(instance)
      return row === undefined ? [] : (JSON.parse(String(row['fields'])) as string[])
    },

    /** What no longer means anything: old answers, digests of tags nobody asked for in months, gone instances. */
    forgetOld(now: number, instances: ReadonlySet<string>): void {
      const day = 24 * 60 * 60_000
      database.prepare('delete from requests where finished_at < ?').run(now - 7 * day)
      database.prepare('delete from resolved where at < ?').run(now - 365 * day)
      for (const row of database.prepare('select instance from residues').all())
        if (!instances.has(String(row['instance'])))
          database.prepare('delete from residues where instance = ?').run(String(row['instance']))
    },

    notice(subject: string): { fingerprint: string; firstAt: number; toldAt: number } | null {
      const row = database.prepare('select * from notices where subject = ?').get(subject)
      return row === undefined
        ? null
        : {
            fingerprint: String(row['fingerprint']),
            firstAt: Number(row['first_at']),
            toldAt: Number(row['told_at']),
          }
    },
    rememberNotice(subject: string, fingerprint: string, firstAt: number, toldAt: number): void {
      database
        .prepare('insert or replace into notices values (?, ?, ?, ?)')
        .run(subject, fingerprint, firstAt, toldAt)
    },
    forgetNotice(subject: string): void {
      database.prepare('delete from notices where subject = ?').run(subject)
    },

    note(name: string): string | null {
      const row = database.prepare('select value from notes where name = ?').get(name)
      return row === undefined ? null : String(row['value'])
    },
    writeNote(name: string, value: string): void {
      database.prepare('insert or replace into notes values (?, ?)').run(name, value)
    },
  }
}
