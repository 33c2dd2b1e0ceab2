import type { DatabaseSync } from 'node:sqlite'
import { together } from './together.ts'

/** Something that one recipient is to be told. */
export type Notification = {
  /** Its Message-ID, made of what happened and of who is told. */
  id: string
  /** `mail ops@example.com`, or `webhook` with a hash of its address, which is a secret. */
  recipient: string
  /** JSON; never anything secret. */
  content: string
  /** Milliseconds since 1970, as all times here. */
  at: number
  attempts: number
  nextAt: number
  /** Why it was not delivered the last time; empty before the first try. */
  problem: string
}

/** A failure that somebody was told of and whose end nobody was told yet. */
export type ToldFailure = {
  /** `service web`, `backup of gitea`. */
  subject: string
  recipient: string
  /** Two failures with the same one are the same failure. */
  fingerprint: string
  firstAt: number
  toldAt: number
  /** Id of the message that told it first. */
  notification: string
}

export type NotificationCounts = { sent: number; failed: number; givenUp: number }

/** What is written down in one moment: all of it or nothing. */
export type Tellings = {
  /** Operations that were looked at, whether anybody is told of them or not. */
  operations: string[]
  notifications: Pick<Notification, 'id' | 'recipient' | 'content'>[]
  failures: ToldFailure[]
  /** Failures that are over. */
  over: Pick<ToldFailure, 'subject' | 'recipient'>[]
}

/** What people are to be told, durable before anybody tries to tell them, and what they were told. */
export function openNotifications(database: DatabaseSync) {
  const count = database.prepare(
    `insert into notes values (?, '1') on conflict (name) do update
     set value = cast(cast(value as integer) + 1 as text)`,
  )
  return {
    /** Operations that ended since then and were not looked at yet, oldest first. */
    untoldOperations(since: number): string[] {
      return database
        .prepare(
          `select id from operations where result <> 'running' and finished_at >= ?
           and id not in (select id from told_operations) order by sequence`,
        )
        .all(since)
        .map((row) => String(row['id']))
    },

    tell({ operations, notifications, failures, over }: Tellings, now: number): void {
      const told = database.prepare('insert or ignore into told_operations values (?, ?)')
      const post = database.prepare(
        'insert or ignore into notifications (id, recipient, content, at, next_at) values (?, ?, ?, ?, ?)',
      )
      const failed = database.prepare('insert or replace into told_failures values (?, ?, ?, ?, ?, ?)')
      const well = database.prepare('delete from told_failures where subject = ? and recipient = ?')
      together(database, () => {
        for (const id of operations) told.run(id, now)
        for (const { id, recipient, content } of notifications) post.run(id, recipient, content, now, now)
        for (const { subject, recipient } of over) well.run(subject, recipient)
        for (const each of failures)
          failed.run(
            each.subject,
            each.recipient,
            each.fingerprint,
            each.firstAt,
            each.toldAt,
            each.notification,
          )
      })
    },

    toldFailures(): ToldFailure[] {
      return database
        .prepare('select * from told_failures order by first_at, subject, recipient')
        .all()
        .map((row) => ({
          subject: String(row['subject']),
          recipient: String(row['recipient']),
          fingerprint: String(row['fingerprint']),
          firstAt: Number(row['first_at']),
          toldAt: Number(row['told_at']),
          notification: String(row['notification']),
        }))
    },

    /** Oldest first. */
    waitingNotifications(): Notification[] {
      return database.prepare('select * from notifications order by rowid').all().map(notificationOf)
    },
    /** When the next one is due; null when nothing waits. */
    nextNotificationAt(): number | null {
      const row = database.prepare('select min(next_at) as at from notifications').get()
      return row === undefined || row['at'] === null ? null : Number(row['at'])
    },
    /** It arrived. What else waits for the same recipient need not wait for the end of a pause any more. */
    notificationSent({ id, recipient }: Pick<Notification, 'id' | 'recipient'>, now: number): void {
      together(database, () => {
        database.prepare('delete from notifications where id = ?').run(id)
        database
          .prepare('update notifications set next_at = ? where recipient = ? and next_at > ?')
          .run(now, recipient, now)
        count.run('notifications-sent')
        database.prepare("insert or replace into notes values ('notification-sent-at', ?)").run(String(now))
      })
    },
    /** @param about.all the recipient as a whole could not be reached, so the others need not try before that */
    notificationFailed(
      { id, recipient }: Pick<Notification, 'id' | 'recipient'>,
      about: { problem: string; nextAt: number; all: boolean },
    ): void {
      together(database, () => {
        database
          .prepare('update notifications set attempts = attempts + 1, problem = ?, next_at = ? where id = ?')
          .run(about.problem, about.nextAt, id)
        if (about.all)
          database
            .prepare('update notifications set next_at = max(next_at, ?) where recipient = ?')
            .run(about.nextAt, recipient)
        count.run('notifications-failed')
      })
    },
    /** It is given up: somebody reads why in the log. */
    dropNotification(id: string): void {
      together(database, () => {
        database.prepare('delete from notifications where id = ?').run(id)
        count.run('notifications-given-up')
      })
    },
    /** Since the journal began, so that counters go on counting after a restart. */
    notificationCounts(): NotificationCounts {
      const value = (name: string): number =>
        Number(
          database.prepare('select value from notes where name = ?').get(`notifications-${name}`)?.[
            'value'
          ] ?? 0,
        )
      return { sent: value('sent'), failed: value('failed'), givenUp: value('given-up') }
    },
    /** Nobody looks for operations that ended before that. */
    forgetTold(before: number): void {
      database.prepare('delete from told_operations where at < ?').run(before)
    },
  }
}

const notificationOf = (row: Record<string, unknown>): Notification => ({
  id: String(row['id']),
  recipient: String(row['recipient']),
  content: String(row['content']),
  at: Number(row['at']),
  attempts: Number(row['attempts']),
  nextAt: Number(row['next_at']),
  problem: String(row['problem']),
})
