import { randomBytes } from 'node:crypto'
import { chmod, readdir, writeFile } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { OpenStore } from '../../reconciler/backup/open-stores.ts'
import { inForce } from '../../reconciler/in-force.ts'
import { newMemory } from '../../reconciler/look.ts'
import { type NotesHost, startNotesHost, withNotes } from '../end-to-end/notes-host.ts'
import { documentOf } from '../end-to-end/samovar.ts'
import { clean } from '../end-to-end/test-host.ts'
import { needPackages } from '../rig/packages.ts'
import { type Finished, run } from '../rig/process.ts'
import { type S3Server, startS3Server } from '../rig/s3-server.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { type Block, blocksOf, filledIn } from './runbook.ts'

/*
 * The restore runbook of docs/backup.md as a person follows it: its blocks are run as they stand there,
 * with the words in capitals filled in. Every `sh` block of it must be asked for here.
 */
const key = randomBytes(32).toString('base64')
const bucket = 'my-bucket'
let host: NotesHost
let folder: TempFolder
let s3: S3Server
let blocks: Block[]
let words: Record<string, string>
const used = new Set<Block>()

beforeAll(async () => {
  await needPackages([{ package: 'zstd', program: 'zstd', why: 'the runbook unpacks with it' }], (line) =>
    console.error(`rig: ${line}`),
  )
  blocks = await blocksOf('docs/backup.md')
  folder = await tempFolder('runbook')
  s3 = await startS3Server()
  await s3.createBucket(bucket)
  // The AWS SDK reads the environment of the process itself, and some of the work is done in this one.
  Object.assign(process.env, s3.environment)
  const store = join(folder.path, 'store')
  host = await startNotesHost('runbook', {
    backup: () => `{ stores: [{ file: ${store} }, { s3: ${bucket}/host, region: eu-central-1 }] }`,
    environment: { ...s3.environment, SAMOVAR_BACKUP_KEY: key },
  })
  await withNotes(host)
  const samovar = join(folder.path, 'samovar')
  await writeFile(samovar, `#!/bin/sh\nexec '${process.execPath}' '${resolve('reconciler/cli.ts')}' "$@"\n`)
  await chmod(samovar, 0o755)
  const keyFile = join(folder.path, 'key')
  await writeFile(keyFile, `${key}\n`)
  words = {
    STORE: store,
    'BUCKET/PREFIX': `${bucket}/host`,
    REGION: 'eu-central-1',
    KEYFILE: keyFile,
    HOST: 'host.example.com',
    SERVICE: 'notes',
    WORK: join(folder.path, 'work'),
    APP: `${host.project}-notes-1`,
    DBSERVER: `${host.project}-postgres-1`,
    DBSERVICE: 'postgres',
    DBNAME: 'notes',
    DBUSER: 'notes',
    VOLUME: 'notes-data',
    PROJECT_VOLUME: `${host.project}_notes-data`,
  }
}, 300_000)

afterAll(async () => {
  await host?.[Symbol.asyncDispose]()
  for (const name of Object.keys(s3?.environment ?? {})) delete process.env[name]
  await s3?.[Symbol.asyncDispose]()
  await folder?.[Symbol.asyncDispose]()
})

/** The blocks of the part of the runbook with this number. */
const part = (number: number): Block[] => blocks.filter((each) => each.heading.startsWith(`${number}. `))
const commands = (number: number): Block[] => part(number).filter((each) => each.kind === 'sh')

/** Runs a block as it is written; it must end well. */
async function follow(
  block: Block | undefined,
  more: { words?: Record<string, string>; environment?: Record<string, string> } = {},
): Promise<string> {
  if (block === undefined) throw new Error('the runbook has fewer blocks')
  used.add(block)
  const script = filledIn(block.text, { ...words, ...more.words })
  const path = [folder.path, join(process.execPath, '..'), host.environment['PATH']].join(delimiter)
  const environment = { ...host.environment, ...more.environment, PATH: path }
  const finished: Finished = await run('bash', ['--norc', '-e', '-o', 'pipefail', '-c', script], {
    env: environment,
    timeoutMs: 240_000,
  })
  const said = `${finished.stdout}${finished.stderr}`
  expect(`${script}\nexit code ${finished.exitCode}\n${said}`).toMatch(/exit code 0\n/)
  if (process.env['SHOW'] !== undefined) console.log(`$ ${script}\n${said}`)
  return said
}

const newest = async (kind: string): Promise<string> => {
  const listed = await documentOf<{ id: string; kind: string }[]>(host, ['backups'])
  return listed.find((each) => each.kind === kind)?.id ?? ''
}
const served = async (): Promise<string> => {
  let seen: string | null = null
  await until('notes serve', async () => (seen = await host.contents()) !== null, { withinMs: 60_000 })
  return seen as unknown as string
}

test('1. which backup, and 2. the data of one service back in place, and back again', {
  timeout: 240_000,
}, async () => {
  const operation = await host.backUp()
  expect(operation).toMatchObject({ result: 'applied', reason: '' })
  const before = await served()
  const BACKUP = operation.backup ?? ''
  words = { ...words, BACKUP }
  const [which] = commands(1)
  expect(await follow(which)).toContain(BACKUP)
  expect(await newest('manual')).toBe(BACKUP)

  await host.add('a mistake')
  const after = await served()
  const [restore, takenBack, onlyOne] = commands(2)
  expect(await follow(restore)).toContain('restored')
  expect(await served()).toBe(before)
  const SAFETY = await newest('before-restore')
  await follow(takenBack, { words: { SAFETY } })
  expect(await served()).toBe(after)
  await follow(onlyOne)
  expect(await served()).toBe(before)
})

test('3. everything, after a bad day', { timeout: 240_000 }, async () => {
  const before = await served()
  await clean(host.rig, host.project)
  const [bring] = commands(3)
  await follow(bring)
  expect(await served()).toBe(before)
})

test('4. a stuck roll-out whose data is half back', { timeout: 240_000 }, async () => {
  const before = await served()
  const updating = host.update({ notes: '2.0.0', within: '25s' })
  await until('version 2 has migrated', async () => (await host.sql('select v from version')) === '2', {
    withinMs: 60_000,
  })
  const [taken] = (await host.parts()).journal.recordedBackups()
  expect(taken?.class).toBe('before-update')
  const bringBack = await hide(`v1/host.example.com/before-update/${taken?.id}/postgres-notes.dump.zst`)
  const stuck = await updating
  expect(stuck.result).toBe('stuck')
  expect((await host.parts()).journal.dirty().map((each) => each.service)).toEqual(['notes'])
  await bringBack()
  const [look, mend] = commands(4)
  const more = { words: { OPERATION: stuck.id, BACKUP: stuck.backup ?? '' } }
  expect(await follow(look, more)).toContain('only half put back')
  await follow(mend, more)
  expect(await served()).toBe(before)
  await host.want({})
  await host.pass()
})

/** Takes one part of a backup away from both stores; the answer brings it back. */
async function hide(object: string): Promise<() => Promise<void>> {
  const parts = await host.parts()
  const stores = await parts.backups.open((await inForce(parts, newMemory())).state.host.backup?.stores ?? [])
  const content = await buffer(await (stores[0] as OpenStore).store.get(object))
  for (const { store } of stores) await store.remove([object])
  return async () => {
    for (const { store } of stores) await store.put(object, Readable.from([content]), content.length)
  }
}

test('7. an older version, with its data', { timeout: 240_000 }, async () => {
  const before = await served()
  const { result, backup } = await host.update({ notes: '2.1.0' })
  expect(result).toBe('applied')
  await host.add('in the newer version')
  const [standing, going] = commands(7)
  expect(await follow(standing, { words: { BACKUP: backup ?? '' } })).toContain('not healthy')
  await host.want({})
  await follow(going)
  expect(await served()).toBe(before)
  expect(await host.version()).toBe('1.0.0')
})

test('5. a fresh machine, from a folder and from S3', { timeout: 300_000 }, async () => {
  await host.add('before the machine was lost')
  expect(await host.backUp()).toMatchObject({ result: 'applied' })
  const before = await served()
  for (const block of commands(5)) {
    await clean(host.rig, host.project)
    const { SAMOVAR_BACKUP_KEY: _key, SAMOVAR_REPOSITORY: _repository, ...left } = host.environment
    host.environment = { ...left, SAMOVAR_STATE_DIR: join(folder.path, `state-${used.size}`) }
    await follow(block)
    expect(await served()).toBe(before)
  }
})

test('6. by hand, without Samovar', { timeout: 240_000 }, async () => {
  const { backup } = await host.backUp()
  words = { ...words, BACKUP: backup ?? '' }
  const before = await served()
  await host.add('a mistake')
  for (const block of part(6)) {
    if (block.kind === 'js') await writeFile(join(words['WORK'] ?? '', 'decrypt.mjs'), block.text)
    if (block.kind === 'sh') await follow(block)
  }
  expect(await served()).toBe(before)
  expect(await readdir(join(words['WORK'] ?? '', 'plain', 'host'))).toContain('desired-state')
})

test('every command of the runbook was run', () => {
  const all = [1, 2, 3, 4, 5, 6, 7].flatMap(commands)
  expect(all.filter((each) => !used.has(each)).map((each) => each.text)).toEqual([])
})
