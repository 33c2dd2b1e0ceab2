import { setTimeout as pause } from 'node:timers/promises'
import { SamovarError, sentenceOf } from '../errors.ts'
import { besides, type DatabaseServer, identifier, literal, query } from './postgres-session.ts'

/** Names of a database on its way, at most 63 bytes each; `failed` is what the replaced one is called afterwards. */
export type RestoreNames = { loading: string; ready: string; failed: string }

/** PostgreSQL itself waits 5 s for others to leave a database before it gives up a rename. */
const tries = 6

/** On a database that was kept aside, as its comment: what it was, and since when. */
const mark = 'samovar kept aside: '

/** Databases of the server -> their comments. */
export async function databasesOf(server: DatabaseServer): Promise<Map<string, string>> {
  const lines = await query(
    server,
    'postgres',
    `SELECT json_build_array(datname, coalesce(shobj_description(oid, 'pg_database'), '')) FROM pg_catalog.pg_database`,
  )
  return new Map(lines.map((line) => JSON.parse(line) as [string, string]))
}

/**
 * Puts a loaded database in the place of the one in use: both renames are one transaction, so there is no moment without
 * a database and none with half of it. Whoever is connected is cut off. Safe to repeat: what is switched stays.
 *
 * @throws SamovarError `restore-incomplete` when nothing is ready or others do not leave the database
 */
export async function switchInDatabase(
  server: DatabaseServer,
  wanted: { database: string; names: RestoreNames },
): Promise<void> {
  const { database, names } = wanted
  const there = new Set((await databasesOf(server)).keys())
  if (!there.has(names.ready)) {
    if (there.has(database)) return
    throw new SamovarError(
      'restore-incomplete',
      `database ${database} is gone, and none is ready to take its place`,
    )
  }
  if (!there.has(database)) return renameDatabase(server, names.ready, database)
  try {
    // Those who were cut off come back at once. A connection that is let in between two renames would stop them.
    await allowConnections(server, database, false)
    await retried(database, async () => {
      await disconnect(server, [database, names.ready])
      await exchange(server, wanted)
    })
  } catch (error) {
    await allowConnections(server, database, true).catch(() => {})
    throw error
  }
}

async function exchange(
  server: DatabaseServer,
  { database, names }: { database: string; names: RestoreNames },
): Promise<void> {
  const failed = identifier(names.failed)
  const comment = mark + JSON.stringify({ database, since: new Date().toISOString() })
  const statements = [
    'BEGIN',
    `ALTER DATABASE ${identifier(database)} RENAME TO ${failed}`,
    `ALTER DATABASE ${identifier(names.ready)} RENAME TO ${identifier(database)}`,
    `ALTER DATABASE ${failed} ALLOW_CONNECTIONS true`,
    `COMMENT ON DATABASE ${failed} IS ${literal(comment)}`,
    'COMMIT',
  ]
  await query(server, besides(database), statements.join('; '))
}

async function retried(database: string, act: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act()
    } catch (error) {
      if (attempt < tries) await pause(200)
      else {
        throw new SamovarError(
          'restore-incomplete',
          `database ${database} could not be switched: ${sentenceOf(error)}`,
          {
            next: `Look who holds it (select * from pg_stat_activity, pg_prepared_xacts), then \`samovar restore\` again.`,
            cause: error,
          },
        )
      }
    }
  }
}

const allowConnections = (server: DatabaseServer, database: string, allowed: boolean): Promise<unknown> =>
  query(server, besides(database), `ALTER DATABASE ${identifier(database)} ALLOW_CONNECTIONS ${allowed}`)

const disconnect = (server: DatabaseServer, databases: string[]): Promise<unknown> =>
  query(
    server,
    besides(databases[0] ?? ''),
    `SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
      WHERE datname IN (${databases.map(literal).join(', ')}) AND pid <> pg_backend_pid()`,
  )

/** Cuts off whoever is connected. */
export async function renameDatabase(server: DatabaseServer, from: string, to: string): Promise<void> {
  await retried(from, async () => {
    await disconnect(server, [from])
    await query(server, besides(from), `ALTER DATABASE ${identifier(from)} RENAME TO ${identifier(to)}`)
  })
}

/** Removes a database, whoever is connected; one that does not exist is as good. */
export async function dropDatabase(server: DatabaseServer, name: string): Promise<void> {
  if (server.major < 13) await disconnect(server, [name])
  const force = server.major < 13 ? '' : ' WITH (FORCE)'
  await query(server, besides(name), `DROP DATABASE IF EXISTS ${identifier(name)}${force}`)
}

/** Databases that were replaced by a restored one and are still there, newest first. Only those that `switchInDatabase` marked. */
export async function keptAside(server: DatabaseServer, database: string): Promise<string[]> {
  const found: { name: string; since: string }[] = []
  for (const [name, comment] of await databasesOf(server)) {
    if (!comment.startsWith(mark)) continue
    const seen = JSON.parse(comment.slice(mark.length)) as { database: string; since: string }
    if (seen.database === database) found.push({ name, since: seen.since })
  }
  return found.toSorted((a, b) => (a.since < b.since ? 1 : -1)).map(({ name }) => name)
}
