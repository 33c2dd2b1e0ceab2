import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  type DatabaseServer,
  dumpRoles,
  findServer,
  loadDatabase,
  openDump,
  readDump,
} from '../../reconciler/backup/postgres.ts'
import type { Engine } from '../../reconciler/engine/engine.ts'
import { layerOf } from '../rig/push-image.ts'
import { until } from '../rig/until.ts'
import { useRig } from '../rig/use-rig.ts'
import {
  asToLoad,
  backUp,
  bytesOf,
  count,
  namesOf,
  sql,
  startContainer,
  streamOf,
  useServers,
} from './postgres-server.ts'

const rig = useRig()
const servers = useServers(rig)
const { notes, anotherServer } = servers
let engine: Engine
let server: DatabaseServer
let image: string

beforeAll(() => {
  ;({ engine, server, image } = servers.now())
})

describe('finding the server', () => {
  test('the administrator and the version are those of the container', () => {
    expect(server).toMatchObject({ admin: 'owner', major: 15 })
    expect(server.version).toMatch(/^15\.\d+/)
  })

  test('the temporary server of the first start is not taken for the real one', async () => {
    const seen: string[] = []
    const container = await rig.docker.createContainer({
      Image: image,
      Env: ['POSTGRES_HOST_AUTH_METHOD=trust', 'POSTGRES_INITDB_ARGS=--no-sync'],
      Labels: { 'samovar.test': rig.run },
    })
    servers.removeLater(container.id)
    const slow = layerOf([{ path: '10-slow.sql', content: 'SELECT pg_sleep(1);' }]).gzipped
    await container.putArchive(slow, { path: '/docker-entrypoint-initdb.d' })
    await container.start()
    const found = await until(
      'the real server',
      () =>
        findServer(engine, container.id).catch((error: Error) => {
          seen.push(error.message)
          return null
        }),
      { withinMs: 60_000, everyMs: 1 },
    )
    expect(await sql(found, 'postgres', 'SHOW listen_addresses')).toEqual(['*'])
    expect(seen.join('\n')).toContain('still preparing its first start')
  })

  test('a stopped one, and one without psql, are named with what to do', async () => {
    const stopped = await startContainer(rig, image, { POSTGRES_PASSWORD: 'x' })
    servers.removeLater(stopped)
    await rig.docker.getContainer(stopped).kill()
    await expect(findServer(engine, stopped)).rejects.toMatchObject({
      code: 'backup-failed',
      message: expect.stringContaining('does not run, it is exited'),
      next: expect.stringContaining('docker start'),
    })
    const tools = await rig.docker.createContainer({
      Image: await held('tools', '1.0.0'),
      Labels: { 'samovar.test': rig.run },
    })
    servers.removeLater(tools.id)
    await tools.start()
    await expect(findServer(engine, tools.id)).rejects.toMatchObject({
      code: 'backup-failed',
      message: expect.stringContaining('no psql'),
    })
  })
})

describe('dumping', () => {
  test('a dump under writers restores to exactly the rows that were counted beside it', async () => {
    const name = await notes()
    await sql(server, name, 'CREATE TABLE audit (note int)')
    const insert =
      "WITH n AS (INSERT INTO note (text) VALUES (repeat('x', 500)) RETURNING id) INSERT INTO audit SELECT id FROM n"
    await sql(
      server,
      name,
      insert.replace("VALUES (repeat('x', 500))", "SELECT repeat('x', 500) FROM generate_series(1, 50000)"),
    )
    const writer = await engine.exec(
      server.instance,
      ['pgbench', '-n', '-U', 'owner', '-c', '2', '-T', '120', '-f', '/dev/stdin', name],
      Readable.from([`${insert};\n`]),
    )
    writer.output.resume()
    await until('it writes', async () => Number(await count(server, name, 'audit')) > 50_100, {
      withinMs: 20_000,
    })
    const backup = await backUp(server, name, 'app')
    const after = Number(await count(server, name, 'audit'))
    await sql(
      server,
      'postgres',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`,
    )
    await writer.ended
    expect(backup.part.rows['public.note']).toBe((backup.part.rows['public.audit'] ?? 0) + 3)
    expect(after).toBeGreaterThan(backup.part.rows['public.audit'] ?? 0)
    await loadDatabase(server, asToLoad(name, backup))
    expect(await count(server, namesOf(name).ready, 'audit')).toEqual([
      String(backup.part.rows['public.audit']),
    ])
  })

  test('a server that is killed in the middle of a dump leaves no dump that looks whole', async () => {
    const other = await anotherServer()
    await sql(
      other,
      'postgres',
      'CREATE TABLE big AS SELECT repeat(md5(i::text), 30) FROM generate_series(1, 50000) i',
    )
    const dump = await openDump(other, { database: 'postgres', user: 'owner' })
    // Slowly: an engine waits 10 s for a program of a killed container whose output nobody reads.
    const killed = Promise.withResolvers<void>()
    const read = async () => {
      let pieces = 0
      for await (const _piece of dump.output) {
        pieces += 1
        if (pieces === 1)
          void rig.docker
            .getContainer(other.instance)
            .kill()
            .then(() => killed.resolve())
        await Promise.race([killed.promise, pause(20)])
      }
    }
    await expect(read()).rejects.toMatchObject({
      code: expect.stringMatching(/backup-failed|engine-unreachable/),
    })
    await dump.close()
  })

  test('what ends pg_dump alone ends the dump with an error, too', async () => {
    const name = await notes()
    await sql(
      server,
      name,
      'CREATE TABLE big AS SELECT repeat(md5(i::text), 30) FROM generate_series(1, 50000) i',
    )
    const dump = await openDump(server, { database: name, user: 'app' })
    await until('it has begun', () => dump.output.readableLength > 0, { withinMs: 20_000 })
    await sql(
      server,
      'postgres',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND query LIKE 'COPY%'`,
    )
    await expect(bytesOf(dump.output)).rejects.toMatchObject({
      code: 'backup-failed',
      message: expect.stringContaining(`pg_dump of ${name}`),
    })
    await dump.close()
  })

  test('a dump that is given up leaves nobody connected and no table locked', async () => {
    const name = await notes()
    await sql(
      server,
      name,
      'CREATE TABLE big AS SELECT repeat(md5(i::text), 30) FROM generate_series(1, 50000) i',
    )
    const dump = await openDump(server, { database: name, user: 'app' })
    await dump.close()
    await until(
      'nobody is connected',
      async () =>
        (await sql(server, 'postgres', `SELECT pid FROM pg_stat_activity WHERE datname = '${name}'`))
          .length === 0,
      { withinMs: 20_000 },
    )
    await sql(server, name, 'DROP TABLE big')
  })

  test('a role or a database that is not there is named', async () => {
    const name = await notes()
    await expect(openDump(server, { database: name, user: 'nobody' })).rejects.toThrow(/no role nobody/)
    await expect(openDump(server, { database: 'missing', user: 'app' })).rejects.toThrow(
      /"missing" does not exist/,
    )
  })

  test('partitions, children, other schemas and large objects are counted; views and extensions are not', async () => {
    const name = await notes()
    await sql(
      server,
      name,
      'CREATE TABLE day (at int) PARTITION BY RANGE (at); CREATE TABLE day1 PARTITION OF day FOR VALUES FROM (0) TO (10); CREATE TABLE day2 PARTITION OF day FOR VALUES FROM (10) TO (20)',
      'INSERT INTO day SELECT generate_series(5, 14)',
      'CREATE TABLE child () INHERITS (note); INSERT INTO child (text) VALUES (1)',
      'CREATE SCHEMA "Other.one"; CREATE TABLE "Other.one"."o\'dd ""table\\" (x int); INSERT INTO "Other.one"."o\'dd ""table\\" VALUES (1), (2)',
      'CREATE MATERIALIZED VIEW seen AS SELECT * FROM note; CREATE VIEW other AS SELECT 1 AS one',
      `SELECT lo_from_bytea(0, 'large')`,
      'CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw',
      `CREATE FOREIGN TABLE away (x text) SERVER files OPTIONS (filename '/etc/passwd')`,
    )
    const backup = await backUp(server, name, 'app')
    expect(backup.part.rows).toEqual({
      'public.day1': 5,
      'public.day2': 5,
      'public.note': 3,
      'public.child': 1,
      '"Other.one"."o\'dd ""table\\"': 2,
      'pg_catalog.pg_largeobject_metadata': 1,
    })
    await loadDatabase(server, asToLoad(name, backup))
  })
})

describe('reading a dump', () => {
  test('a whole one is read, a cut one is refused, by the server or by a container without one', async () => {
    const name = await notes()
    const { dump } = await backUp(server, name, 'app')
    const operation = `read-${randomBytes(4).toString('hex')}`
    try {
      const scratch = { image, volumes: {}, command: ['sleep', '600'], environment: {} }
      const instance = await engine.scratch(operation, scratch)
      await engine.startScratch(instance)
      for (const where of [server, { engine, instance }]) {
        await readDump(where, streamOf(dump))
        await expect(readDump(where, streamOf(dump.subarray(0, dump.length / 2)))).rejects.toMatchObject({
          code: 'backup-damaged',
        })
        await expect(readDump(where, streamOf('no dump at all'))).rejects.toMatchObject({
          code: 'backup-damaged',
        })
      }
    } finally {
      await engine.removeScratch(operation)
    }
  })
})

test('roles are written without the hashes of passwords unless they are wanted', async () => {
  await notes()
  const plain = (await bytesOf(await dumpRoles(server, { passwords: false }))).toString()
  expect(plain).toContain('CREATE ROLE app')
  expect(plain).not.toContain('SCRAM')
  expect((await bytesOf(await dumpRoles(server, { passwords: true }))).toString()).toContain('SCRAM-SHA-256$')
})

async function held(name: string, tag: string): Promise<string> {
  const reference = { name: `${rig.registry}/${name}`, tag }
  const digest = await engine.resolve(`${reference.name}:${tag}`)
  return (await engine.holdImage({ ...reference, digest })).id
}
