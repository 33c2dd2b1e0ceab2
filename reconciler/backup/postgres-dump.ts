import type { Readable } from 'node:stream'
import { SamovarError } from '../errors.ts'
import type { DatabaseFacts } from './manifest.ts'
import { readFacts } from './postgres-properties.ts'
import { countRows, lockTables } from './postgres-rows.ts'
import {
  connectionTo,
  type DatabaseServer,
  literal,
  lockTimeout,
  openSession,
  type Session,
} from './postgres-session.ts'
import { wholeOutput } from './whole-output.ts'

export type Dump = {
  /** For the manifest: what CREATE DATABASE needs to make the same one. */
  facts: DatabaseFacts
  /** As it lies on the server, indexes included: an estimate of the dump. */
  sizeBytes: number
  /** `pg_dump -Fc`, not compressed; ends well only when pg_dump did. Has to be read, or `close` called. */
  output: Readable
  /** Rows by table in the very moment of the dump; counted while it runs. */
  rows: Promise<Record<string, number>>
  /** Ends whatever still runs. Safe to repeat. */
  close(): Promise<void>
}

/**
 * Begins the dump of one database: one moment, told to pg_dump and to a second session that counts the rows as they are
 * in it. Writers go on; only DDL on its tables waits until `close`.
 *
 * @param wanted.user the role of the application, which must exist
 * @throws SamovarError `backup-failed` when the database or the role is not there, or a table is locked for a minute
 */
export async function openDump(
  server: DatabaseServer,
  wanted: { database: string; user: string },
): Promise<Dump> {
  const session = await openSession(server, wanted.database)
  try {
    await session.ask('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;')
    const { facts, sizeBytes } = await readFacts(session, server.major)
    await refuseMissingRole(session, wanted)
    await lockTables(session)
    const [snapshot = ''] = await session.ask('SELECT pg_export_snapshot();')
    const output = await dumpOf(server, wanted.database, snapshot)
    const rows = countRows(session)
    // Whoever gives up the output does not ask for the rows any more.
    rows.catch(() => {})
    const close = async () => {
      output.destroy()
      await session.close()
    }
    return { facts, sizeBytes, output, rows, close }
  } catch (error) {
    await session.close()
    throw error
  }
}

/** Not compressed: the part is, as a whole, by zstd. */
async function dumpOf(server: DatabaseServer, database: string, snapshot: string): Promise<Readable> {
  const command = [
    'pg_dump',
    '-Fc',
    '-Z',
    '0',
    `--lock-wait-timeout=${lockTimeout}`,
    `--snapshot=${snapshot}`,
  ]
  const { output, ended } = await server.engine.exec(server.instance, [
    ...command,
    ...connectionTo(server, database),
  ])
  return wholeOutput(output, ended, `pg_dump of ${database}`)
}

async function refuseMissingRole(
  session: Session,
  wanted: { database: string; user: string },
): Promise<void> {
  const found = await session.ask(
    `SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = ${literal(wanted.user)};`,
  )
  if (found.length > 0) return
  throw new SamovarError(
    'backup-failed',
    `the server of database ${wanted.database} has no role ${wanted.user}`,
    {
      next: 'Correct `user:` under `data:` of the service: it is the role that the application connects with.',
    },
  )
}
