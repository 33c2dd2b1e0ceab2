import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  checkInScratch,
  type DatabaseServer,
  dropDatabase,
  keptAside,
  loadDatabase,
  readDump,
  switchInDatabase,
} from '../../reconciler/backup/postgres.ts'
import { databasesOf } from '../../reconciler/backup/postgres-switch.ts'
import type { Engine } from '../../reconciler/engine/engine.ts'
import { until } from '../rig/until.ts'
import { useRig } from '../rig/use-rig.ts'
import {
  asToLoad,
  backUp,
  count,
  namesOf,
  sql,
  streamOf,
  type TestBackup,
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

const exists = async (name: string) => (await databasesOf(server)).has(name)

describe('restoring in place', () => {
  test('the database is back with its owner, and the replaced one stays under its name until it is dropped', async () => {
    const name = await notes()
    const backup = await backUp(server, name, 'app')
    await sql(server, name, 'ALTER TABLE note ADD author text', 'DELETE FROM note WHERE id = 1')
    await loadDatabase(server, asToLoad(name, backup))
    expect(await count(server, name)).toEqual(['2'])
    await switchInDatabase(server, { database: name, names: namesOf(name) })
    expect(await count(server, name)).toEqual(['3'])
    expect(await sql(server, name, `SELECT tableowner FROM pg_tables WHERE tablename = 'note'`)).toEqual([
      'app',
    ])
    expect(
      await sql(server, name, `SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '${name}'`),
    ).toEqual(['app'])
    expect(
      await sql(server, name, `SET ROLE app; INSERT INTO note (text) VALUES ('new') RETURNING id`),
    ).toEqual(['4'])
    expect(await keptAside(server, name)).toEqual([namesOf(name).failed])
    expect(await sql(server, namesOf(name).failed, 'SELECT count(author), count(*) FROM note')).toEqual([
      '0|2',
    ])
    await dropDatabase(server, namesOf(name).failed)
    await dropDatabase(server, namesOf(name).failed)
    expect(await keptAside(server, name)).toEqual([])
  })

  test('called again after any half of it, it ends in the same', async () => {
    const name = await notes()
    const backup = await backUp(server, name, 'app')
    const wanted = asToLoad(name, backup)
    const { names } = wanted
    await sql(server, name, 'DELETE FROM note')
    // Killed while loading.
    await sql(server, 'postgres', `CREATE DATABASE ${names.loading}`)
    await sql(server, names.loading, 'CREATE TABLE note (half int)')
    await loadDatabase(server, wanted)
    // Killed when it was loaded: it is not loaded a second time.
    await loadDatabase(server, { ...wanted, dump: () => Promise.reject(new Error('read again')) })
    // Killed when new connections were already refused.
    await sql(server, 'postgres', `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`)
    await switchInDatabase(server, { database: name, names })
    await switchInDatabase(server, { database: name, names })
    await loadDatabase(server, { ...wanted, dump: () => Promise.reject(new Error('read again')) })
    expect(await count(server, name)).toEqual(['3'])
    expect(await count(server, names.failed)).toEqual(['0'])
    expect([await exists(names.loading), await exists(names.ready)]).toEqual([false, false])
  })

  test('an application that connects again and again does not keep the database from being switched', async () => {
    const name = await notes()
    await loadDatabase(server, asToLoad(name, await backUp(server, name, 'app')))
    await sql(server, name, 'DELETE FROM note')
    const clients = Array.from({ length: 3 }, () =>
      engine.exec(server.instance, [
        ...[
          'sh',
          '-c',
          `until [ -e /tmp/enough ]; do psql -q -U owner -d "$0" -c 'select pg_sleep(60)' 2>/dev/null; done`,
        ],
        name,
      ]),
    )
    await until(
      'they are connected',
      async () =>
        (
          await sql(
            server,
            'postgres',
            `SELECT pid FROM pg_stat_activity WHERE datname = '${name}' AND query LIKE '%pg_sleep(60)'`,
          )
        ).length === 3,
      { withinMs: 20_000 },
    )
    await switchInDatabase(server, { database: name, names: namesOf(name) })
    expect(await count(server, name)).toEqual(['3'])
    await engine.run(server.instance, ['touch', '/tmp/enough'], 10_000)
    await sql(
      server,
      'postgres',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)'`,
    )
    for (const client of clients) await (await client).ended
    await engine.run(server.instance, ['rm', '/tmp/enough'], 10_000)
  })

  test('a cut dump, a stream that fails at its very end and rows that are not the recorded ones leave the database as it is', async () => {
    const name = await notes()
    const backup = await backUp(server, name, 'app')
    const wanted = asToLoad(name, backup)
    const cut = { ...wanted, dump: async () => streamOf(backup.dump.subarray(0, -200)) }
    await expect(loadDatabase(server, cut)).rejects.toMatchObject({
      code: 'restore-incomplete',
      message: expect.stringMatching(/the one in use was not touched: pg_restore/),
    })
    const failing = async function* () {
      yield backup.dump
      throw new Error('the hash is another one')
    }
    await expect(
      loadDatabase(server, { ...wanted, dump: async () => Readable.from(failing()) }),
    ).rejects.toThrow('the hash is another one')
    const other = { ...wanted, part: { ...backup.part, rows: { 'public.note': 4, 'public.gone': 1 } } }
    await expect(loadDatabase(server, other)).rejects.toMatchObject({
      code: 'backup-damaged',
      message: expect.stringContaining(
        'table public.gone is missing (it had 1 rows); table public.note has 3 rows, 4 were backed up',
      ),
    })
    const newer = { ...wanted, part: { ...backup.part, major: 18 } }
    await expect(loadDatabase(server, newer)).rejects.toThrow(/it is of PostgreSQL 18, the server is 15/)
    expect(await count(server, name)).toEqual(['3'])
    expect([await exists(wanted.names.loading), await exists(wanted.names.ready)]).toEqual([false, false])
    await expect(
      switchInDatabase(server, { database: `${name}x`, names: wanted.names }),
    ).rejects.toMatchObject({ code: 'restore-incomplete' })
  })

  test('encoding, locale, rights, limit and settings of the database come back', async () => {
    const name = `odd${servers.next()}`
    await sql(
      server,
      'postgres',
      `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc CONNECTION LIMIT 7`,
      'CREATE ROLE reader',
      `REVOKE ALL ON DATABASE ${name} FROM PUBLIC; GRANT CONNECT ON DATABASE ${name} TO reader WITH GRANT OPTION`,
      `ALTER DATABASE ${name} SET search_path TO "$user", "Odd ""one", public`,
      `ALTER DATABASE ${name} SET statement_timeout TO '5min'`,
      `ALTER ROLE reader IN DATABASE ${name} SET "my.setting" TO 'it''s \\'`,
    )
    const facts = (database: string) =>
      sql(
        server,
        'postgres',
        `SELECT encoding, datcollate, datctype, datconnlimit, datacl, setrole, setconfig FROM pg_database LEFT JOIN pg_db_role_setting ON setdatabase = oid WHERE datname = '${database}' ORDER BY setrole`,
      )
    const before = await facts(name)
    expect(before).toHaveLength(2)
    await loadDatabase(server, asToLoad(name, await backUp(server, name, 'reader')))
    expect(await facts(namesOf(name).ready)).toEqual(before)
  })

  test('an ICU database stays one', async () => {
    const name = `icu${servers.next()}`
    await sql(
      server,
      'postgres',
      `CREATE DATABASE ${name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'`,
    )
    const backup = await backUp(server, name, 'owner')
    expect(backup.part).toMatchObject({ localeProvider: 'icu', locale: 'de-DE', rows: {} })
    await loadDatabase(server, asToLoad(name, backup))
    expect(
      await sql(
        server,
        'postgres',
        `SELECT datlocprovider, daticulocale FROM pg_database WHERE datname = '${namesOf(name).ready}'`,
      ),
    ).toEqual(['i|de-DE'])
  })

  test.each([
    'we"ird',
    'Upper Case',
    `quo'te\\`,
    'dbname=postgres host=elsewhere',
    'ünï',
    'postgresql://elsewhere/x',
  ])('a database called %s is treated as any other', async (name) => {
    await notes(name)
    const backup = await backUp(server, name, 'app')
    await sql(server, name, 'DELETE FROM note')
    await loadDatabase(server, asToLoad(name, backup))
    await switchInDatabase(server, { database: name, names: namesOf(name) })
    expect(await count(server, name)).toEqual(['3'])
    expect(await keptAside(server, name)).toEqual([namesOf(name).failed])
  })

  test('a database without tables, and postgres itself, come back', async () => {
    const other = await anotherServer()
    const backup = await backUp(other, 'postgres', 'owner')
    expect(backup.part.rows).toEqual({})
    await sql(other, 'postgres', 'CREATE TABLE later ()')
    await loadDatabase(other, asToLoad('postgres', backup))
    await switchInDatabase(other, { database: 'postgres', names: namesOf('postgres') })
    expect(
      await sql(other, 'postgres', `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`),
    ).toEqual([])
    expect(
      await sql(other, 'postgres_failed_1', `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`),
    ).toEqual(['later'])
  })

  test('on another server the missing roles come with their passwords, and those that are there keep theirs', async () => {
    const name = await notes()
    await sql(
      server,
      'postgres',
      'CREATE ROLE "Te am" NOLOGIN; GRANT "Te am" TO app; ALTER ROLE app SET work_mem TO 12345',
    )
    await sql(server, name, 'ALTER TABLE note OWNER TO "Te am"')
    const backup = await backUp(server, name, 'app')
    const other = await anotherServer()
    await sql(other, 'postgres', `ALTER ROLE owner PASSWORD 'changed since'`)
    const hash = `SELECT rolpassword FROM pg_authid WHERE rolname = `
    const [ofOwner] = await sql(other, 'postgres', `${hash}'owner'`)
    await loadDatabase(other, asToLoad(name, backup))
    await loadDatabase(other, asToLoad(name, backup))
    expect(await sql(other, 'postgres', `${hash}'owner'`)).toEqual([ofOwner])
    expect(await sql(other, 'postgres', `${hash}'app'`)).toEqual(
      await sql(server, 'postgres', `${hash}'app'`),
    )
    expect(
      await sql(
        other,
        'postgres',
        `SELECT pg_has_role('app', 'Te am', 'member'), rolconfig FROM pg_roles WHERE rolname = 'app'`,
      ),
    ).toEqual(['t|{work_mem=12345}'])
    await switchInDatabase(other, { database: name, names: namesOf(name) })
    expect(await sql(other, name, `SELECT tableowner FROM pg_tables WHERE tablename = 'note'`)).toEqual([
      'Te am',
    ])
    const withoutRoles = { ...asToLoad(name, backup), names: namesOf('again'), roles: null }
    await sql(other, name, 'REASSIGN OWNED BY "Te am" TO app', 'DROP ROLE "Te am"')
    await expect(loadDatabase(other, withoutRoles)).rejects.toThrow(/role "Te am" does not exist/)
  })
})

describe('the check in a scratch server', () => {
  const checked = (backup: TestBackup) => {
    const operation = `check-${randomBytes(4).toString('hex')}`
    return checkInScratch(engine, {
      ...{ operation, image, part: backup.part, timeoutMs: 60_000 },
      dump: async () => streamOf(backup.dump),
      roles: async () => streamOf(backup.roles),
    })
  }

  test('it finds nothing wrong with a good backup, and leaves no container and no volume', async () => {
    const name = await notes()
    const backup = await backUp(server, name, 'app')
    const operation = `check-${randomBytes(4).toString('hex')}`
    const ofThis = { all: true, filters: { label: [`samovar.scratch=${operation}`] } }
    const volumes: string[] = []
    const dump = async () => {
      for (const { Mounts } of await rig.docker.listContainers(ofThis))
        volumes.push(...Mounts.map((mount) => mount.Name ?? ''))
      return streamOf(backup.dump)
    }
    const wanted = { operation, image, part: backup.part, dump, timeoutMs: 60_000 }
    expect(await checkInScratch(engine, { ...wanted, roles: async () => streamOf(backup.roles) })).toEqual([])
    expect(await checkInScratch(engine, { ...wanted, roles: null })).toEqual([])
    expect(await rig.docker.listContainers(ofThis)).toEqual([])
    expect(volumes).toHaveLength(2)
    for (const volume of volumes)
      await expect(rig.docker.getVolume(volume).inspect()).rejects.toMatchObject({ statusCode: 404 })
  })

  test('it names what is missing, and a dump that cannot be restored', async () => {
    const name = await notes()
    const backup = await backUp(server, name, 'app')
    const more = { ...backup, part: { ...backup.part, rows: { 'public.note': 3, 'public.other': 2 } } }
    expect(await checked(more)).toEqual(['table public.other is missing (it had 2 rows)'])
    const [problem = ''] = await checked({ ...backup, dump: backup.dump.subarray(0, -200) })
    expect(problem).toMatch(/^pg_restore ended with exit code 1: .*end of file/)
  })

  test('one that takes too long is given up, with nothing left', async () => {
    const name = await notes()
    const backup = await backUp(server, name, 'app')
    const operation = `late-${randomBytes(4).toString('hex')}`
    const dump = () => new Promise<never>(() => {})
    await expect(
      checkInScratch(engine, { operation, image, part: backup.part, dump, roles: null, timeoutMs: 3_000 }),
    ).rejects.toMatchObject({ code: 'timed-out' })
    expect(
      await rig.docker.listContainers({ all: true, filters: { label: [`samovar.scratch=${operation}`] } }),
    ).toEqual([])
  })
})

test('half a million rows of pgbench come back identical', async () => {
  const name = `bench${servers.next()}`
  await sql(server, 'postgres', `CREATE DATABASE ${name}`)
  const initialized = await engine.run(
    server.instance,
    ['pgbench', '-i', '-q', '-s', '5', '-U', 'owner', name],
    60_000,
  )
  expect(initialized.exitCode).toBe(0)
  const backup = await backUp(server, name, 'owner')
  expect(backup.part.rows).toEqual({
    ...{ 'public.pgbench_accounts': 500_000, 'public.pgbench_branches': 5 },
    ...{ 'public.pgbench_history': 0, 'public.pgbench_tellers': 50 },
  })
  await readDump(server, streamOf(backup.dump))
  await loadDatabase(server, asToLoad(name, backup))
  const sum = "SELECT md5(string_agg(a::text, '' ORDER BY aid)) FROM pgbench_accounts a"
  expect(await sql(server, namesOf(name).ready, sum)).toEqual(await sql(server, name, sum))
})
