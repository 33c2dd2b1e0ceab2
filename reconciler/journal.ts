import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openDataRecords } from './journal/data-records.ts'
import { openForgeRecords } from './journal/forge-records.ts'
import { openJobRecords } from './journal/job-records.ts'
import { openNotifications } from './journal/notifications.ts'
import { openOperations } from './journal/operations.ts'
import { openOutbox } from './journal/outbox.ts'
import { openRequests } from './journal/requests.ts'
import { openStanding } from './journal/standing.ts'

/**
 * The durable record of what was intended and done: STATE_DIR/journal.sqlite. WAL with synchronous=FULL, so what
 * a call here has written is on the disk when it returns, also when the power fails right after it
 * (`endStep` alone is on it with the next write).
 *
 * Tables are only ever added to (new columns with defaults, new tables): the release before must still be able to
 * read the journal when an update of Samovar itself goes back.
 */
const schema = `
create table if not exists operations (
  id text primary key, sequence integer not null, service text not null, kind text not null, commit_id text not null,
  result text not null, decision text not null, attempts integer not null default 0,
  from_image text, to_image text, started_at integer not null, finished_at integer,
  downtime_ms integer, backup text, reason text not null default '', intent text not null
) strict;
create index if not exists operations_by_service on operations (service, sequence);
create table if not exists steps (
  operation text not null, sequence integer not null, name text not null,
  started_at integer not null, ms integer, result text not null, detail text not null default '',
  primary key (operation, sequence)
) strict;
create table if not exists kept (
  operation text not null, service text not null, kept text not null, discard_at integer not null,
  primary key (operation, service)
) strict;
create table if not exists quarantine (
  service text not null, digest text not null, configuration text not null,
  operation text not null, reason text not null, at integer not null,
  primary key (service, digest, configuration)
) strict;
create table if not exists paused (service text primary key, at integer not null) strict;
create table if not exists setbacks (
  service text primary key, target text not null, count integer not null, last_at integer not null, next_at integer not null, reason text not null
) strict;
create table if not exists resolved (
  commit_id text not null, reference text not null, digest text not null, at integer not null,
  primary key (commit_id, reference)
) strict;
create table if not exists images (
  digest text primary key, id text not null, name text not null, tag text not null, at integer not null,
  pulled integer not null
) strict;
create table if not exists residues (instance text primary key, fields text not null) strict;
create table if not exists notices (
  subject text primary key, fingerprint text not null, first_at integer not null, told_at integer not null
) strict;
create table if not exists requests (
  id integer primary key autoincrement, kind text not null, service text, at integer not null,
  taken_at integer, finished_at integer, result text
) strict;
create table if not exists dirty (
  service text primary key, operation text not null, backup text not null, at integer not null
) strict;
create table if not exists rounds (
  name text primary key, due_at integer not null, began_at integer not null, finished_at integer, result text,
  expression text not null, timezone text not null
) strict;
create table if not exists backups (
  id text primary key, class text not null, services text not null, operation text not null, at integer not null,
  bytes integer not null, plain_bytes integer not null, ms integer not null
) strict;
create table if not exists outbox (
  id integer primary key autoincrement, kind text not null, subject text not null, slot text not null,
  content text not null, at integer not null, attempts integer not null default 0, next_at integer not null,
  problem text not null default '', taken integer not null default 0, refused_at integer
) strict;
create index if not exists outbox_by_subject on outbox (subject, id);
create table if not exists notifications (
  id text primary key, recipient text not null, content text not null, at integer not null,
  attempts integer not null default 0, next_at integer not null, problem text not null default ''
) strict;
create table if not exists told_operations (id text primary key, at integer not null) strict;
create table if not exists told_failures (
  subject text not null, recipient text not null, fingerprint text not null, first_at integer not null,
  told_at integer not null, notification text not null, primary key (subject, recipient)
) strict;
create table if not exists deliveries (id text primary key, at integer not null) strict;
create table if not exists hints (repository text primary key, at integer not null) strict;
create table if not exists seen (
  image text not null, tag text not null, digest text not null, at integer not null, primary key (image, tag, digest)
) strict;
create table if not exists refused (
  service text not null, image text not null, tag text not null, digest text not null, why text not null,
  at integer not null, primary key (service, image, tag, digest)
) strict;
create table if not exists told_plans (
  number integer primary key, head text not null, against text not null, plan text not null, state text not null,
  at integer not null, merged text, ended integer not null default 0
) strict;
create table if not exists proposals (
  number integer primary key, kind text not null, service text not null, tag text not null, digest text not null,
  operation text, branch text not null, head text not null, state text not null, at integer not null
) strict;
create table if not exists said (
  subject text not null, slot text not null, content text not null, at integer not null, primary key (subject, slot)
) strict;
create table if not exists notes (name text primary key, value text not null) strict;
`

export type Journal = ReturnType<typeof openJournal>

/**
 * Opens (and makes, when it is not there) the journal of a state directory. Several processes may have it open;
 * who may act on the host is decided by the lock (journal/lock.ts), not here.
 *
 * @param stateDir folder; made with mode 0700 when missing
 */
export function openJournal(stateDir: string) {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  const database = new DatabaseSync(join(stateDir, 'journal.sqlite'), { timeout: 10_000 })
  database.exec('pragma journal_mode = wal; pragma synchronous = full;')
  database.exec(schema)
  addColumn(database, 'requests', 'argument text')
  return {
    ...openOperations(database),
    ...openStanding(database),
    ...openRequests(database),
    ...openDataRecords(database),
    ...openJobRecords(database),
    ...openOutbox(database),
    ...openNotifications(database),
    ...openForgeRecords(database),
    close: () => database.close(),
  }
}

/** A journal that an earlier version made lacks it; that version does not mind it. */
function addColumn(database: DatabaseSync, table: string, column: string): void {
  const [name = ''] = column.split(' ')
  const there = database.prepare('select 1 from pragma_table_info(?) where name = ?').get(table, name)
  if (there === undefined) database.exec(`alter table ${table} add column ${column}`)
}
