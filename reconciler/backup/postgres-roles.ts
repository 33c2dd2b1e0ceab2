import { PassThrough, type Readable } from 'node:stream'
import { SamovarError } from '../errors.ts'
import {
  connectionString,
  connectionTo,
  type DatabaseServer,
  failed,
  psqlFlags,
  query,
} from './postgres-session.ts'
import { wholeOutput } from './whole-output.ts'

/**
 * `pg_dumpall --globals-only`: the roles of a server, as SQL. **Contains the hashes of passwords**, so it may only be
 * written where it is encrypted; without `passwords` the roles come back without any, and cannot log in by one.
 */
export async function dumpRoles(server: DatabaseServer, options: { passwords: boolean }): Promise<Readable> {
  const where = connectionString({ dbname: 'postgres', user: server.admin })
  const command = ['pg_dumpall', '--globals-only', ...(options.passwords ? [] : ['--no-role-passwords'])]
  const { output, ended } = await server.engine.exec(server.instance, [...command, '-w', '-d', where])
  return wholeOutput(output, ended, 'pg_dumpall of the roles')
}

/** Roles are a few hundred bytes each. */
const largest = 64 * 1024 * 1024

/**
 * Creates those roles that the server does not have, with their memberships and settings. A role that is there stays as
 * it is: its password may have been changed since, and the application has the new one.
 *
 * @param roles what `dumpRoles` wrote
 * @throws SamovarError `backup-damaged` when it is not that, `restore-incomplete` when a role cannot be created
 */
export async function createMissingRoles(server: DatabaseServer, roles: Readable): Promise<void> {
  const there = new Set(
    (await query(server, 'postgres', 'SELECT to_json(rolname) FROM pg_catalog.pg_roles')).map(
      (line) => JSON.parse(line) as string,
    ),
  )
  const statements = missingRoles(await boundedText(roles), there)
  if (statements.length === 0) return
  const input = new PassThrough()
  // Through its input: an argument would show the hashes to everybody on the machine.
  input.end(statements.join('\n'))
  const command = [
    'psql',
    ...psqlFlags,
    '-1',
    ...connectionTo(server, 'postgres', ['synchronous_commit=local']),
  ]
  const { output, ended } = await server.engine.exec(server.instance, command, input)
  output.resume()
  const { exitCode, errors } = await ended
  if (exitCode === 0) return
  const { message } = failed('creating the missing roles', exitCode, errors)
  throw new SamovarError('restore-incomplete', message)
}

const name = '(?:"(?:[^"]|"")+"|[^\\s";]+)'
const aboutRole = new RegExp(`^(?:CREATE|ALTER) ROLE (${name})[ ;]`)
const membership = new RegExp(`^(GRANT (${name}) TO (${name}).*?)(?: GRANTED BY ${name})?;$`)

/**
 * The statements of a dump of roles that make the missing ones; they stand one in a line. Who granted a membership is
 * left out: that role need not have the right to on another server.
 */
export function missingRoles(dump: string, there: ReadonlySet<string>): string[] {
  if (!dump.includes('PostgreSQL database cluster dump complete'))
    throw new SamovarError('backup-damaged', 'the dump of the roles is cut short')
  const isMissing = (written: string | undefined) => written !== undefined && !there.has(plain(written))
  return dump.split('\n').flatMap((line) => {
    // The value of a setting may go over lines; such a setting is left out.
    if (line.endsWith(';') && isMissing(aboutRole.exec(line)?.[1])) return [line]
    const [, grant, role, member] = membership.exec(line) ?? []
    return isMissing(role) || isMissing(member) ? [`${grant};`] : []
  })
}

const plain = (written: string): string =>
  written.startsWith('"') ? written.slice(1, -1).replaceAll('""', '"') : written

async function boundedText(roles: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of roles) {
    bytes += (chunk as Buffer).length
    if (bytes > largest)
      throw new SamovarError('backup-damaged', 'the dump of the roles is larger than 64 MiB')
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}
