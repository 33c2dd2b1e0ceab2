import { Readable } from 'node:stream'
import { afterAll, beforeAll } from 'vitest'
import type { DatabasePart } from '../../reconciler/backup/manifest.ts'
import type { DatabaseToLoad } from '../../reconciler/backup/postgres.ts'
import { type DatabaseServer, dumpRoles, findServer, openDump } from '../../reconciler/backup/postgres.ts'
import { identifier, query } from '../../reconciler/backup/postgres-session.ts'
import { connectDocker } from '../../reconciler/engine/docker.ts'
import type { Engine } from '../../reconciler/engine/engine.ts'
import { testLabel } from '../rig/leftovers.ts'
import { pushPostgres } from '../rig/postgres-image.ts'
import { until } from '../rig/until.ts'
import type { RigInUse } from '../rig/use-rig.ts'

/** The stand-in for the official image, local; answers its local id. */
export async function postgresImage(rig: RigInUse, engine: Engine): Promise<string> {
  await pushPostgres(rig.registry, rig.cacheFolder)
  const reference = { name: `${rig.registry}/postgres`, tag: '15.1' }
  const digest = await engine.resolve(`${reference.name}:${reference.tag}`)
  return (await engine.holdImage({ ...reference, digest })).id
}

export async function startContainer(
  rig: RigInUse,
  image: string,
  environment: Record<string, string>,
): Promise<string> {
  const container = await rig.docker.createContainer({
    Image: image,
    name: rig.project('postgres'),
    Env: Object.entries({ POSTGRES_INITDB_ARGS: '--no-sync', ...environment }).map(
      ([name, value]) => `${name}=${value}`,
    ),
    Cmd: ['-c', 'fsync=off'],
    Labels: { [testLabel]: rig.run },
  })
  await container.start()
  return container.id
}

/** One server for the tests of a file, and more on demand; all are gone at its end. */
export function useServers(rig: RigInUse) {
  const containers: string[] = []
  let databases = 0
  let now: { engine: Engine; image: string; server: DatabaseServer } | undefined
  const inUse = () => {
    if (now === undefined) throw new Error('no server was started')
    return now
  }
  const start = async (engine: Engine, image: string): Promise<DatabaseServer> => {
    const environment = { POSTGRES_USER: 'owner', POSTGRES_PASSWORD: 'geheim' }
    const container = await startContainer(rig, image, environment)
    containers.push(container)
    return until('the server serves', () => findServer(engine, container), { withinMs: 60_000 })
  }
  beforeAll(async () => {
    const engine = await connectDocker(rig.dockerHost)
    const image = await postgresImage(rig, engine)
    now = { engine, image, server: await start(engine, image) }
    await sql(now.server, 'postgres', `CREATE ROLE app LOGIN PASSWORD 'of the app'`)
  })
  afterAll(async () => {
    for (const id of containers) await rig.docker.getContainer(id).remove({ force: true, v: true })
  })
  return {
    now: inUse,
    anotherServer: () => start(inUse().engine, inUse().image),
    removeLater: (container: string) => void containers.push(container),
    next: () => (databases += 1),
    /** A database of its own, of role `app`, with a table of three notes. */
    notes: async (name = `notes${(databases += 1)}`): Promise<string> => {
      const { server } = inUse()
      await sql(server, 'postgres', `CREATE DATABASE ${identifier(name)} OWNER app`)
      const table = 'CREATE TABLE note (id serial PRIMARY KEY, text text); ALTER TABLE note OWNER TO app'
      await sql(
        server,
        name,
        table,
        `INSERT INTO note (text) SELECT 'note ' || i FROM generate_series(1, 3) i`,
      )
      return name
    },
  }
}

export const namesOf = (database: string) => ({
  loading: `${database}_loading_1`,
  ready: `${database}_ready_1`,
  failed: `${database}_failed_1`,
})

export const asToLoad = (database: string, { part, dump, roles }: TestBackup): DatabaseToLoad => ({
  part,
  names: namesOf(database),
  dump: async () => streamOf(dump),
  roles: async () => streamOf(roles),
})

export const count = (server: DatabaseServer, database: string, table = 'note') =>
  sql(server, database, `SELECT count(*) FROM ${table}`)

/** SQL, one statement after the other, each in a transaction of its own. Answers the lines of the last. */
export async function sql(
  server: DatabaseServer,
  database: string,
  ...statements: string[]
): Promise<string[]> {
  let lines: string[] = []
  for (const statement of statements) lines = await query(server, database, statement)
  return lines
}

export type TestBackup = { part: DatabasePart; dump: Buffer; roles: string }

/** A whole backup of a database, in memory. */
export async function backUp(server: DatabaseServer, database: string, user: string): Promise<TestBackup> {
  const opened = await openDump(server, { database, user })
  try {
    const dump = await bytesOf(opened.output)
    return {
      part: {
        ...{ name: 'x', bytes: 1, sha256: '', plainBytes: dump.length, plainSha256: '' },
        ...{ kind: 'database', server: 'postgres', database, user, ...opened.facts, rows: await opened.rows },
      },
      dump,
      roles: (await bytesOf(await dumpRoles(server, { passwords: true }))).toString(),
    }
  } finally {
    await opened.close()
  }
}

export async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** In pieces, as a store sends it. */
export function streamOf(content: Buffer | string): Readable {
  const bytes = Buffer.from(content)
  return Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
    })(),
    { objectMode: false },
  )
}
