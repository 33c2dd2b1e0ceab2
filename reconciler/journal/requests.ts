import type { DatabaseSync } from 'node:sqlite'

export type RequestKind = 'pass' | 'pass-now' | 'rollback' | 'backup' | 'verify' | 'restore' | 'job'
/** `argument`: more about it as JSON, or null; what it holds follows from the kind. */
export type Request = {
  id: number
  kind: RequestKind
  service: string | null
  argument: string | null
  at: number
}

/** What the command line asks of the daemon that holds the lock: it takes each request once. */
export function openRequests(database: DatabaseSync) {
  return {
    ask(kind: RequestKind, service: string | null, now: number, argument: string | null = null): number {
      const done = database
        .prepare('insert into requests (kind, service, at, argument) values (?, ?, ?, ?)')
        .run(kind, service, now, argument)
      return Number(done.lastInsertRowid)
    },
    /** Requests nobody has taken, oldest first; they count as taken from now on. */
    takeRequests(now: number): Request[] {
      return database
        .prepare(
          'update requests set taken_at = ? where taken_at is null returning id, kind, service, argument, at',
        )
        .all(now)
        .map((row) => ({
          id: Number(row['id']),
          kind: row['kind'] as RequestKind,
          service: row['service'] === null ? null : String(row['service']),
          argument: row['argument'] === null ? null : String(row['argument']),
          at: Number(row['at']),
        }))
        .sort((a, b) => a.id - b.id)
    },
    /** @param result a JSON document for the one who asked */
    answerRequest(id: number, result: string, now: number): void {
      database.prepare('update requests set finished_at = ?, result = ? where id = ?').run(now, result, id)
    },
    requestResult(id: number): string | null {
      const row = database.prepare('select result from requests where id = ?').get(id)
      return row === undefined || row['result'] === null ? null : String(row['result'])
    },
    /** What was asked of a daemon that is gone: nobody waits for it, and it must not be done out of the blue. */
    dropRequests(answer: string, now: number): void {
      database
        .prepare(
          'update requests set taken_at = coalesce(taken_at, ?), finished_at = ?, result = ? where finished_at is null',
        )
        .run(now, now, answer)
    },
    /** The one who asked no longer waits: true when nobody has taken it, and now nobody will. */
    withdrawRequest(id: number): boolean {
      return (
        Number(database.prepare('delete from requests where id = ? and taken_at is null').run(id).changes) > 0
      )
    },
    /** True when a request waits: a cheap look for the loop. */
    requestsWaiting(): boolean {
      return database.prepare('select 1 from requests where taken_at is null limit 1').get() !== undefined
    },
  }
}
