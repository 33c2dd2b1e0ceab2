import { randomBytes } from 'node:crypto'
import { PassThrough, type Readable } from 'node:stream'
import { TextDecoder } from 'node:util'
import type { Engine } from '../engine/engine.ts'
import { SamovarError } from '../errors.ts'

/** A PostgreSQL server in a container, and the role that administers it. */
export type DatabaseServer = {
  engine: Engine
  instance: string
  admin: string
  /** In the server's own words: `15.20 (Debian 15.20-0+deb12u1)`. */
  version: string
  major: number
}

/** A session of psql that is held open, so that one transaction can span several questions. */
export type Session = {
  /** Sends SQL or a psql command, whole and terminated; answers the lines that came. */
  ask(sql: string): Promise<string[]>
  /** Ends the session, a running statement with it; its transaction is rolled back. Safe to repeat. */
  close(): Promise<void>
}

/** Waiting longer for a table that somebody holds exclusively fails the backup: a person is migrating by hand. */
export const lockTimeout = '60s'

/**
 * How a PostgreSQL program is told where to connect: always through the socket, never with a password or a prompt.
 * As a connection string, since a name such as `dbname=x host=y` would be taken for one. The limits on time that the
 * server or the role sets are lifted: they are meant for an application.
 *
 * @param settings of this connection: `synchronous_commit=off`
 */
export function connectionTo(
  server: Pick<DatabaseServer, 'admin' | 'major'>,
  database: string,
  settings: string[] = [],
): string[] {
  const lifted = ['statement_timeout=0', 'idle_in_transaction_session_timeout=0', 'row_security=off']
  if (server.major >= 17) lifted.push('transaction_timeout=0')
  const options = [...lifted, `lock_timeout=${lockTimeout}`, ...settings]
    .map((each) => `-c ${each}`)
    .join(' ')
  const values = { dbname: database, user: server.admin, application_name: 'samovar', options }
  return ['-w', '-d', connectionString(values)]
}

export const connectionString = (values: Record<string, string>): string =>
  Object.entries(values)
    .map(([key, value]) => `${key}='${withoutNul(value).replaceAll(/[\\']/g, '\\$&')}'`)
    .join(' ')

export const psqlFlags = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1']

/** A name in SQL, whatever it contains. */
export const identifier = (name: string): string => `"${withoutNul(name).replaceAll('"', '""')}"`

/** A text in SQL, whatever it contains and whatever `standard_conforming_strings` is. */
export const literal = (text: string): string =>
  `E'${withoutNul(text).replaceAll('\\', '\\\\').replaceAll("'", "''")}'`

function withoutNul(text: string): string {
  if (!text.includes('\0')) return text
  throw new SamovarError(
    'backup-failed',
    `the name ${JSON.stringify(text)} has a NUL in it, which PostgreSQL cannot`,
  )
}

/** A database of the server to give orders from that concern another one. */
export const besides = (database: string): string => (database === 'postgres' ? 'template1' : 'postgres')

/**
 * Runs SQL in a session of its own; several statements are one transaction.
 *
 * @returns the lines that psql wrote, one for a row
 * @throws SamovarError `backup-failed` with what the server said
 */
export async function query(server: DatabaseServer, database: string, sql: string): Promise<string[]> {
  const where = connectionTo(server, database, ['synchronous_commit=local', 'client_encoding=UTF8'])
  const command = ['psql', ...psqlFlags, ...where, '-c', withoutNul(sql)]
  const { output, ended } = await server.engine.exec(server.instance, command)
  const text = await textOf(output)
  const { exitCode, errors } = await ended
  if (exitCode !== 0) throw failed(`psql in database ${database}`, exitCode, errors)
  return text.split('\n').filter((line) => line !== '')
}

export async function textOf(output: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of output) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

/** @throws SamovarError `backup-failed` when psql does not get in */
export async function openSession(server: DatabaseServer, database: string): Promise<Session> {
  const input = new PassThrough()
  const where = connectionTo(server, database, ['client_encoding=UTF8'])
  const command = ['psql', ...psqlFlags, ...where]
  const { output, ended } = await server.engine.exec(server.instance, command, input)
  ended.catch(() => {})
  const lines = linesOf(output)
  let isAsking = false
  const ask = async (sql: string): Promise<string[]> => {
    const mark = randomBytes(12).toString('hex')
    const answer: string[] = []
    isAsking = true
    input.write(`${sql}\n\\echo ${mark}\n`)
    for (;;) {
      const line = await lines.next()
      if (line.done) break
      if (line.value === mark) {
        isAsking = false
        return answer
      }
      answer.push(line.value)
    }
    const { exitCode, errors } = await ended
    throw failed(`psql in database ${database}`, exitCode, errors)
  }
  return {
    ask,
    async close() {
      input.end()
      // A program whose output is given up is ended; without a statement under way the end of its input does it.
      if (isAsking) output.destroy()
      else output.resume()
      await ended.catch(() => {})
    },
  }
}

async function* linesOf(output: Readable): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of output) {
    const parts = (rest + decoder.decode(chunk as Buffer, { stream: true })).split('\n')
    rest = parts.pop() ?? ''
    yield* parts
  }
  return undefined
}

/** Hashes of passwords in a statement that failed are not repeated. */
export function failed(what: string, exitCode: number, errors: string): SamovarError {
  const said = errors
    .replaceAll(/PASSWORD\s+'[^']*'?/gi, 'PASSWORD ***')
    .trim()
    .split('\n')
  const line = said.find((each) => /(ERROR|FATAL|PANIC|error):/.test(each)) ?? said.at(-1) ?? ''
  const reason = line.replace(/^(psql|pg_restore|pg_dump|pg_dumpall|pg_amcheck):\s*/, '').trim()
  return new SamovarError(
    'backup-failed',
    `${what} ended with exit code ${exitCode}: ${reason === '' ? 'it said nothing' : reason}`,
  )
}
