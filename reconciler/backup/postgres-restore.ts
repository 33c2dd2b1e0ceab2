import type { Readable } from 'node:stream'
import { SamovarError } from '../errors.ts'
import type { DatabasePart } from './manifest.ts'
import { feedProgram, type Programs } from './postgres-program.ts'
import { createDatabase, setProperties } from './postgres-properties.ts'
import { createMissingRoles } from './postgres-roles.ts'
import { countRows, rowDifferences } from './postgres-rows.ts'
import { connectionTo, type DatabaseServer, failed, openSession, query } from './postgres-session.ts'
import { databasesOf, dropDatabase, type RestoreNames, renameDatabase } from './postgres-switch.ts'

export type DatabaseToLoad = {
  part: DatabasePart
  names: RestoreNames
  /** The dump as pg_dump wrote it. */
  dump: () => Promise<Readable>
  /** What `dumpRoles` wrote, or null: no role is created. */
  roles: (() => Promise<Readable>) | null
}

/**
 * Level 1 of a proof: pg_restore reads a dump to its end. What it cannot find is a bit that flipped in the data; that
 * is what the hash of the part is for.
 *
 * @param where a running container that has pg_restore of the server's version, with or without a server in it
 * @throws SamovarError `backup-damaged`; what the stream fails with
 */
export async function readDump(where: Programs, plain: Readable): Promise<void> {
  const { exitCode, errors } = await feedProgram(where, ['pg_restore', '-f', '/dev/null'], plain)
  // Not there, or killed: that is no fault of the dump.
  if (exitCode >= 126) throw failed('pg_restore', exitCode, errors)
  if (exitCode === 0) return
  throw new SamovarError(
    'backup-damaged',
    failed('reading the dump with pg_restore', exitCode, errors).message,
  )
}

/**
 * Makes the database of a backup under the name `names.ready`, whole and counted; the one in use is not touched. Safe
 * to repeat: what an interrupted try left under `names.loading` is dropped, what is ready or switched in stays.
 *
 * @throws SamovarError `backup-damaged` when the rows are not those of the manifest, `restore-incomplete` when it could
 *   not be loaded; what the stream fails with. Nothing is left under `names.loading` then.
 */
export async function loadDatabase(server: DatabaseServer, wanted: DatabaseToLoad): Promise<void> {
  const { part, names } = wanted
  refuseOlderServer(server, part)
  refuseLongNames(names)
  const there = await databasesOf(server)
  if (there.has(names.ready) || (there.has(names.failed) && there.has(part.database))) return
  await dropDatabase(server, names.loading)
  try {
    if (wanted.roles !== null) await createMissingRoles(server, await wanted.roles())
    await fillDatabase(server, names.loading, { ...wanted, owners: true })
    const problems = rowDifferences(part.rows, await rowsOf(server, names.loading))
    if (problems.length > 0)
      throw new SamovarError('backup-damaged', `${untouched(part)}: ${problems.join('; ')}`)
    // A dump has no statistics.
    await query(server, names.loading, 'ANALYZE')
    await renameDatabase(server, names.loading, names.ready)
  } catch (error) {
    // What is left of it only takes disk, and the first error is the one to tell.
    await dropDatabase(server, names.loading).catch(() => {})
    throw notLoaded(part, error)
  }
}

/**
 * Creates a database and restores a dump into it. Not one transaction: that would hold a lock for each of thousands of
 * objects, and a half filled database of this name is never used.
 *
 * @param about.owners false: everything belongs to the administrator, and rights are left out
 */
export async function fillDatabase(
  server: DatabaseServer,
  name: string,
  about: Pick<DatabaseToLoad, 'part' | 'dump'> & { owners: boolean },
): Promise<void> {
  const { part } = about
  await createDatabase(server, name, about.owners ? part : { ...part, ...ownedBy(server.admin) })
  if (about.owners && part.properties !== undefined) await setProperties(server, name, part.properties)
  // The rename that follows makes it durable.
  const where = connectionTo(server, name, ['synchronous_commit=off'])
  const ownership = about.owners ? [] : ['--no-owner', '--no-acl']
  const command = ['pg_restore', '--exit-on-error', ...ownership, ...where]
  const { exitCode, errors } = await feedProgram(server, command, await about.dump())
  if (exitCode !== 0) throw failed('pg_restore', exitCode, errors)
}

const ownedBy = (user: string) => ({ user, properties: undefined })

/** Rows by table of a database as it is now. */
export async function rowsOf(server: DatabaseServer, database: string): Promise<Record<string, number>> {
  const session = await openSession(server, database)
  try {
    return await countRows(session)
  } finally {
    await session.close()
  }
}

const untouched = (part: DatabasePart): string =>
  `database ${part.database} could not be restored, and the one in use was not touched`

function notLoaded(part: DatabasePart, error: unknown): unknown {
  if (!(error instanceof SamovarError) || error.code !== 'backup-failed') return error
  return new SamovarError('restore-incomplete', `${untouched(part)}: ${error.message}`, {
    next: 'Mend what the message names (disk, a role, an extension), then `samovar restore` again.',
    cause: error,
  })
}

function refuseOlderServer(server: DatabaseServer, part: DatabasePart): void {
  if (server.major >= part.major) return
  throw new SamovarError(
    'restore-incomplete',
    `${untouched(part)}: it is of PostgreSQL ${part.major}, the server is ${server.version}`,
    { next: `Run a server of PostgreSQL ${part.major} or later: a dump does not go back to an older one.` },
  )
}

/** PostgreSQL cuts a longer name without a word, and then two of them may be one. */
function refuseLongNames(names: RestoreNames): void {
  for (const name of Object.values(names)) {
    if (Buffer.byteLength(name) <= 63) continue
    throw new SamovarError('restore-incomplete', `${name} is longer than the 63 bytes of a database's name`)
  }
}
