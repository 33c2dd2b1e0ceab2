import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { newWorld, type World } from './world.ts'

export type Database = { host: string; port: string; name: string; user: string; password: string }

/** @throws Error with what psql said */
export async function sql(database: Database, statements: string): Promise<string> {
  const child = spawn('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
    env: {
      ...process.env,
      PGHOST: database.host,
      PGPORT: database.port,
      PGDATABASE: database.name,
      PGUSER: database.user,
      PGPASSWORD: database.password,
      PGCONNECT_TIMEOUT: '5',
    },
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  child.stdin.on('error', () => {})
  child.stdin.end(statements)
  const [output, errors, exitCode] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  if (exitCode !== 0) throw new Error(errors.trim() || `psql ended with ${exitCode}`)
  return output.trim()
}

/**
 * Brings the database to a schema, as Gitea does when it starts: with a newer one it does not work.
 * @returns what it said about it
 * @throws Error in Gitea's words
 */
export async function migrate(database: Database, schema: number): Promise<string> {
  await sql(
    database,
    `create table if not exists version (id int primary key, version int);
     create table if not exists world (id int primary key, content jsonb);
     insert into version values (1, ${schema}) on conflict do nothing`,
  )
  const was = Number(await sql(database, 'select version from version where id = 1'))
  if (was > schema)
    throw new Error(
      `Migration Error: Your database (migration version: ${was}) is for a newer Gitea, you can not use the newer database for this old Gitea release (${schema})`,
    )
  if (was === schema) return `database at version ${schema}`
  await sql(
    database,
    `begin; alter table world add column migrated_at timestamptz default now();
     update version set version = ${schema}; commit`,
  )
  return `database migrated from version ${was} to ${schema}`
}

/** What an earlier container kept, or a world without anything in it. */
export async function loadWorld(
  database: Database,
  now: { version: string; folder: string; rootUrl: string },
): Promise<World> {
  const fresh = newWorld(now.version, now.folder, now.rootUrl)
  const kept = await sql(database, 'select content from world where id = 1')
  if (kept === '') return fresh
  const { lastId, ...content } = JSON.parse(kept, revive) as World & { lastId: number }
  let id = lastId
  return {
    ...fresh,
    ...content,
    version: fresh.version,
    old: fresh.old,
    rootUrl: now.rootUrl,
    nextId: () => (id += 1),
  }
}

export async function saveWorld(database: Database, world: World): Promise<void> {
  world.deliveries.splice(0, world.deliveries.length - 50)
  const content = JSON.stringify({ ...world, lastId: world.nextId() }, replace)
  await sql(
    database,
    `insert into world (id, content) values (1, $world$${content}$world$)
     on conflict (id) do update set content = excluded.content`,
  )
}

const replace = (_: string, value: unknown): unknown =>
  value instanceof Map ? { mapOf: [...value.entries()] } : value

const revive = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'mapOf' in value
    ? new Map(value.mapOf as [string, unknown][])
    : value
