import type { DatabaseSync } from 'node:sqlite'
import { together } from './together.ts'

/**
 * Something that is to be said to Gitea. `subject` is what it is about: of one subject the messages go out in their
 * order, one at a time. `slot` is what it says there: a newer message of the same subject and slot takes the place of
 * one that still waits.
 */
export type Message = {
  id: number
  kind: string
  subject: string
  slot: string
  /** JSON; what it holds follows from the kind. Never anything secret. */
  content: string
  /** Milliseconds since 1970, as all times here. */
  at: number
  attempts: number
  nextAt: number
  /** Why it was not delivered the last time; empty before the first try. */
  problem: string
  /** When it was first refused; null as long as Gitea was only away. */
  refusedAt: number | null
}

export type NewMessage = Pick<Message, 'kind' | 'subject' | 'slot'> & { content: unknown }

/** What waits to be said to Gitea, durable before anybody tries to say it. */
export function openOutbox(database: DatabaseSync) {
  const insert = database.prepare(
    'insert into outbox (kind, subject, slot, content, at, next_at) values (?, ?, ?, ?, ?, ?)',
  )
  const lastSaid = database.prepare('select content from said where subject = ? and slot = ?')
  return {
    /**
     * Replaces what waits in the same slot. What is just being delivered stays and is followed by this one.
     * @returns false when the same waits already, or was the last that was delivered there
     */
    post(message: NewMessage, now: number): boolean {
      const { kind, subject, slot } = message
      const content = JSON.stringify(message.content)
      return together(database, () => {
        const waiting = database
          .prepare('select content from outbox where subject = ? and slot = ? order by id desc limit 1')
          .get(subject, slot)
        const last = waiting ?? lastSaid.get(subject, slot)
        if (last !== undefined && last['content'] === content) return false
        database.prepare('delete from outbox where subject = ? and slot = ? and taken = 0').run(subject, slot)
        insert.run(kind, subject, slot, content, now, now)
        return true
      })
    },
    /** The oldest message of each subject that is due, oldest first. */
    dueMessages(now: number, atMost: number): Message[] {
      return database
        .prepare(
          `select * from outbox where id in (select min(id) from outbox group by subject) and next_at <= ?
           order by id limit ?`,
        )
        .all(now, atMost)
        .map(messageOf)
    },
    /** From now on a newer one does not take its place any more but follows it. False when it is gone already. */
    takeMessage(id: number): boolean {
      return Number(database.prepare('update outbox set taken = 1 where id = ?').run(id).changes) > 0
    },
    /** What stands in Gitea is remembered, so that the same is not said again. */
    delivered({ id, subject, slot, content }: Message, now: number): void {
      together(database, () => {
        database.prepare('insert or replace into said values (?, ?, ?, ?)').run(subject, slot, content, now)
        database.prepare('delete from outbox where id = ?').run(id)
      })
    },
    /** Somebody else changed what was said there: the same may be said once more. */
    unsay(subject: string, slot: string): void {
      database.prepare('delete from said where subject = ? and slot = ?').run(subject, slot)
    },
    /** It is given up: somebody reads why in the log. */
    dropMessage(id: number): void {
      database.prepare('delete from outbox where id = ?').run(id)
    },
    /** Of what was said only the newest is remembered; what is older is compared with Gitea once more. */
    forgetSaid(keep: number): void {
      database
        .prepare('delete from said where rowid not in (select rowid from said order by at desc limit ?)')
        .run(keep)
    },
    /** @param about.refusedAt when it was first refused for itself; null: Gitea was away, which is not its fault */
    notDelivered(id: number, about: { problem: string; nextAt: number; refusedAt: number | null }): void {
      database
        .prepare(
          `update outbox set taken = 0, attempts = attempts + 1, problem = ?, next_at = ?,
           refused_at = coalesce(refused_at, ?) where id = ?`,
        )
        .run(about.problem, about.nextAt, about.refusedAt, id)
    },
    /** Everything that waits, oldest first. */
    waitingMessages(): Message[] {
      return database.prepare('select * from outbox order by id').all().map(messageOf)
    },
    /** When the next message is due; null when nothing waits. */
    nextMessageAt(): number | null {
      const row = database
        .prepare(
          'select min(next_at) as at from outbox where id in (select min(id) from outbox group by subject)',
        )
        .get()
      return row === undefined || row['at'] === null ? null : Number(row['at'])
    },
    /** Gitea answers again: nobody waits for the end of a pause. */
    tryMessagesNow(now: number): void {
      database.prepare('update outbox set next_at = ? where next_at > ?').run(now, now)
    },
    /** What a process that was killed had begun to deliver counts as waiting again. */
    releaseMessages(): void {
      database.exec('update outbox set taken = 0 where taken = 1')
    },
  }
}

function messageOf(row: Record<string, unknown>): Message {
  return {
    id: Number(row['id']),
    kind: String(row['kind']),
    subject: String(row['subject']),
    slot: String(row['slot']),
    content: String(row['content']),
    at: Number(row['at']),
    attempts: Number(row['attempts']),
    nextAt: Number(row['next_at']),
    problem: String(row['problem']),
    refusedAt: row['refused_at'] === null ? null : Number(row['refused_at']),
  }
}
