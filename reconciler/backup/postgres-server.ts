import type { Engine } from '../engine/engine.ts'
import { SamovarError } from '../errors.ts'
import { connectionString, type DatabaseServer, failed, psqlFlags, textOf } from './postgres-session.ts'

/**
 * The server in a container: who administers it (POSTGRES_USER of the official image, else `postgres`) and its
 * version, asked of itself.
 *
 * @throws SamovarError `backup-failed` when the container does not run, has no psql or the server does not take
 *   connections (yet)
 */
export async function findServer(engine: Engine, instance: string): Promise<DatabaseServer> {
  const seen = await engine.inspect(instance)
  if (seen.state !== 'running') {
    throw new SamovarError(
      'backup-failed',
      `the database server ${seen.name} does not run, it is ${seen.state}`,
      {
        next: `Start it (docker start ${seen.name}), and look why it had stopped.`,
      },
    )
  }
  const admin = await adminOf(engine, instance, seen.configuration.Env ?? [])
  const command = [
    'psql',
    ...psqlFlags,
    '-w',
    '-d',
    connectionString({ dbname: 'postgres', user: admin }),
    '-c',
    about,
  ]
  const { exitCode, output, errors } = await outputOf(engine, instance, command)
  if (exitCode === 126 || exitCode === 127) {
    throw new SamovarError('backup-failed', `${seen.name} has no psql that could be run: ${errors.trim()}`, {
      next: 'Name the service of a PostgreSQL server under `data:`; the official image has what is needed.',
    })
  }
  if (exitCode !== 0) throw notServing(seen.name, admin, failed('psql', exitCode, errors).message)
  const { version, number, temporary } = JSON.parse(output) as {
    version: string
    number: number
    temporary: boolean
  }
  if (temporary) throw notServing(seen.name, admin, 'it is still preparing its first start')
  return { engine, instance, admin, version, major: Math.floor(number / 10_000) }
}

/**
 * At its first start the official image runs a temporary server, on the Unix socket only, and restarts it: whoever
 * takes it for the real one is cut off. It is told by its empty `listen_addresses` on the command line, in a process
 * that is not the first of the container.
 */
const about = `SELECT json_build_object(
  'version', current_setting('server_version'), 'number', current_setting('server_version_num')::int,
  'temporary', CASE WHEN setting = '' AND source = 'command line'
    THEN split_part(pg_read_file('postmaster.pid'), E'\\n', 1) <> '1' ELSE false END
) FROM pg_settings WHERE name = 'listen_addresses'`

function notServing(name: string, admin: string, why: string): SamovarError {
  return new SamovarError(
    'backup-failed',
    `the database server ${name} does not take connections of ${admin}: ${why}`,
    {
      next: `Look at its log (docker logs ${name}). It has to let ${admin} in through its socket without a password, as the official image does.`,
    },
  )
}

async function adminOf(engine: Engine, instance: string, environment: string[]): Promise<string> {
  const valueOf = (name: string) =>
    environment.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1) ?? ''
  const file = valueOf('POSTGRES_USER_FILE')
  if (file === '') return valueOf('POSTGRES_USER') || 'postgres'
  const { exitCode, output } = await outputOf(engine, instance, ['cat', file])
  return exitCode === 0 ? output.trim() : 'postgres'
}

/** What a program wrote that answers in a few lines. */
export async function outputOf(
  engine: Engine,
  instance: string,
  command: string[],
): Promise<{ exitCode: number; output: string; errors: string }> {
  const execution = await engine.exec(instance, command)
  const output = await textOf(execution.output)
  return { output, ...(await execution.ended) }
}
