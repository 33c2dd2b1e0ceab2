import { setTimeout as pause } from 'node:timers/promises'
import type { Engine } from '../engine/engine.ts'
import { codeOf, SamovarError, sentenceOf } from '../errors.ts'
import { type DatabaseToLoad, fillDatabase, rowsOf } from './postgres-restore.ts'
import { createMissingRoles } from './postgres-roles.ts'
import { rowDifferences } from './postgres-rows.ts'
import { findServer, outputOf } from './postgres-server.ts'
import { connectionString, connectionTo, type DatabaseServer, failed, query } from './postgres-session.ts'

export type ScratchCheck = Pick<DatabaseToLoad, 'part' | 'dump' | 'roles'> & {
  operation: string
  /** Local id of an image of the server that the backup is of. */
  image: string
  /** For everything: start, restore, comparison. */
  timeoutMs: number
}

const admin = 'postgres'
const name = 'samovar_check'

/**
 * Level 2 of a proof: restores a database into a server of its own, without network, in a scratch container; compares
 * the rows, and has pg_amcheck read every table and index where the image has it. The files are in the container's
 * nameless volume. Removes the scratch containers of the operation at the end.
 *
 * @returns what is wrong with the backup, a sentence each; empty: nothing
 * @throws SamovarError what is not about the backup: `timed-out`, `store-failed`, `engine-refused`
 */
export async function checkInScratch(engine: Engine, wanted: ScratchCheck): Promise<string[]> {
  const timer = new AbortController()
  try {
    const instance = await engine.scratch(wanted.operation, {
      image: wanted.image,
      volumes: {},
      command: null,
      environment: {
        POSTGRES_HOST_AUTH_METHOD: 'trust',
        POSTGRES_USER: admin,
        POSTGRES_INITDB_ARGS: '--no-sync',
      },
    })
    const deadline = Date.now() + wanted.timeoutMs
    const late = pause(wanted.timeoutMs, undefined, { signal: timer.signal }).then(() => {
      throw new SamovarError('timed-out', `the check did not end within ${wanted.timeoutMs / 1000} s`)
    })
    late.catch(() => {})
    return await Promise.race([check(engine, { ...wanted, instance, deadline }), late])
  } catch (error) {
    if (!isAboutTheBackup(error)) throw error
    return [sentenceOf(error)]
  } finally {
    timer.abort()
    await engine.removeScratch(wanted.operation)
  }
}

/** A scratch server that ran out of disk or memory says nothing about the backup: that verdict would get it pruned. */
const aboutTheHost =
  /no space left|could not extend|out of memory|server closed the connection|terminat|exit code 137/i

const codesOfABackup: unknown[] = ['backup-damaged', 'backup-failed', 'restore-incomplete']

/** True for what speaks against the backup and not against this host. */
export const isAboutTheBackup = (error: unknown): boolean =>
  codesOfABackup.includes(codeOf(error)) && !aboutTheHost.test(sentenceOf(error))

type Running = ScratchCheck & { instance: string; deadline: number }

async function check(engine: Engine, wanted: Running): Promise<string[]> {
  await engine.startScratch(wanted.instance)
  const server = await whenServing(engine, wanted)
  // Nothing here needs to outlive a loss of power.
  for (const setting of ['fsync = off', 'full_page_writes = off', `max_wal_size = '4GB'`])
    await query(server, 'postgres', `ALTER SYSTEM SET ${setting}`)
  await query(server, 'postgres', 'SELECT pg_reload_conf()')
  if (wanted.roles !== null) await createMissingRoles(server, await wanted.roles())
  await fillDatabase(server, name, { ...wanted, owners: wanted.roles !== null })
  const problems = rowDifferences(wanted.part.rows, await rowsOf(server, name))
  return [...problems, ...(await amcheck(server))]
}

/** Over TCP: at its first start the image has a temporary server on its socket, which goes away again. */
async function whenServing(
  engine: Engine,
  { instance, deadline, timeoutMs }: Running,
): Promise<DatabaseServer> {
  const command = [
    'psql',
    '-X',
    '-w',
    '-d',
    connectionString({ host: '127.0.0.1', dbname: 'postgres', user: admin }),
  ]
  for (;;) {
    if ((await engine.inspect(instance)).state !== 'running') {
      const said = (await engine.logs(instance, 5)).join(' / ')
      throw new SamovarError('engine-refused', `the scratch server ended at its start: ${said}`)
    }
    const { exitCode } = await outputOf(engine, instance, [...command, '-c', 'SELECT 1']).catch(() => ({
      exitCode: 1,
    }))
    if (exitCode === 0) return findServer(engine, instance)
    if (Date.now() > deadline)
      throw new SamovarError('timed-out', `the scratch server did not start within ${timeoutMs / 1000} s`)
    await pause(100)
  }
}

/** An image without pg_amcheck (before 14, or without the contrib modules) is no fault of the backup. */
async function amcheck(server: DatabaseServer): Promise<string[]> {
  // Its -d is a pattern; the argument is the connection.
  const [, , connection = ''] = connectionTo(server, name)
  const command = ['pg_amcheck', '--install-missing', '-w', connection]
  const { exitCode, output, errors } = await outputOf(server.engine, server.instance, command)
  if (exitCode === 0 || exitCode === 126 || exitCode === 127) return []
  if (/extension "amcheck" is not available/.test(errors)) return []
  const said = output.trim().split('\n').slice(0, 5).join(' / ')
  return [`pg_amcheck: ${said === '' ? failed('it', exitCode, errors).message : said}`]
}
