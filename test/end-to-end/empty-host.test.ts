import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Finished } from '../rig/process.ts'
import { type S3Server, startS3Server } from '../rig/s3-server.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { type NotesHost, noted, startNotesHost, withNotes } from './notes-host.ts'
import { samovar } from './samovar.ts'
import { clean } from './test-host.ts'

type Ended = { exitCode: number | null; said: string }

/** A fresh machine with nothing but the address of the store, and the key. */

const key = { SAMOVAR_BACKUP_KEY: Buffer.alloc(32, 7).toString('base64') }

let server: S3Server
let folder: TempFolder
beforeAll(async () => {
  server = await startS3Server()
  await server.createBucket('backups')
  folder = await tempFolder('empty-host')
})
afterAll(async () => {
  await server?.stop()
  await folder?.[Symbol.asyncDispose]()
})

type From = { store: () => string; from: () => string; environment: () => Record<string, string> }
const inFolder: From = {
  store: () => `{ file: ${folder.path}/store }`,
  from: () => `${folder.path}/store`,
  environment: () => ({}),
}
const inS3: From = {
  store: () => '{ s3: backups/host }',
  from: () => 's3:backups/host',
  environment: () => ({ ...server.environment, ...key }),
}

describe.each([
  ['a folder', inFolder],
  ['S3, encrypted', inS3],
])('from %s', (kind, { store, from, environment }) => {
  let host: NotesHost
  let contents: string | null
  /** Settings of the new machine; the repository is not among them, and its Git server is away. */
  let fresh: Record<string, string>
  let state: TempFolder
  /** Made again when Gitea is back, so they need not be here before. */
  const lost = {
    SAMOVAR_GITEA_TOKEN_FILE: '/nowhere/gitea-token',
    SAMOVAR_WEBHOOK_SECRET_FILE: '/nowhere/webhook-secret',
    SAMOVAR_DIUN_TOKEN_FILE: '/nowhere/diun-token',
  }
  const restore = (more: Record<string, string> = {}, names: string[] = []): Promise<Finished> =>
    samovar({ environment: { ...fresh, ...lost, ...more } }, [
      'restore',
      ...names,
      '--to-empty-host',
      '--from',
      from(),
    ])

  beforeAll(async () => {
    Object.assign(process.env, environment())
    host = await startNotesHost('empty-host', {
      environment: environment(),
      backup: () => `{ stores: [${store()}] }`,
    })
    await withNotes(host)
    expect(await host.backUp()).toMatchObject({ result: 'applied' })
    await until('it serves', async () => (contents = await host.contents()) !== null, { withinMs: 30_000 })
    await noted(host, 'that no backup has')
    state = await tempFolder('empty-host-state')
    const { SAMOVAR_REPOSITORY: _, ...rest } = host.environment
    fresh = { ...rest, SAMOVAR_STATE_DIR: state.path }
  })
  afterAll(async () => {
    await host?.[Symbol.asyncDispose]()
    await state?.[Symbol.asyncDispose]()
  })

  test('a machine that is not empty is refused, and nothing on it is touched', async () => {
    const before = [await host.standing('notes'), await host.standing('postgres'), await host.contents()]
    const { exitCode, stderr } = await restore()
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/this machine is not empty: \S+-notes-1/)])
    expect([await host.standing('notes'), await host.standing('postgres'), await host.contents()]).toEqual(
      before,
    )
  })

  if (kind === 'a folder')
    test('so are volumes that outlived their containers', async () => {
      const { docker } = host.rig
      const filters = { label: [`com.docker.compose.project=${host.project}`] }
      for (const each of await docker.listContainers({ all: true, filters }))
        await docker.getContainer(each.Id).remove({ force: true })
      const { exitCode, stderr } = await restore()
      expect(exitCode).toBe(1)
      expect(stderr).toMatch(/not empty: there is something in the volumes \S+_notes-data/)
    })

  test('rows, files and the whole stack come back, however often it is killed on the way', async () => {
    await clean(host.rig, host.project)
    host.git.fail('unreachable')
    if (kind === 'a folder') await damagedAtFirst()
    let ended: Ended | null = null
    for (const step of ['preflight', 'prove backup', 'put back data', 'check health'])
      ended ??= await killedAt(step)
    const { exitCode, said } = ended ?? (await restored())
    expect([exitCode, said]).toEqual([0, expect.stringContaining('host.example.com is back as of')])
    await until('it serves', async () => (await host.contents()) !== null, { withinMs: 30_000 })
    expect(await host.contents()).toBe(contents)
    expect(await host.sql('select count(*) from note')).toBe('3')
    const containers = await (await host.parts()).engine.observe(host.project)
    expect(containers.map((each) => `${each.service} ${each.state}`).toSorted()).toEqual([
      'notes running',
      'postgres running',
    ])
  })

  test('then there is nothing left to do', async () => {
    host.git.fail('none')
    const withRepository = { environment: { ...fresh, SAMOVAR_REPOSITORY: host.repository } }
    const { exitCode, stdout } = await samovar(withRepository, ['apply'])
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining('nothing to do')])
  })

  if (kind !== 'a folder')
    test('without the key it says so and sets nothing up', async () => {
      await clean(host.rig, host.project)
      await using other = await tempFolder('empty-host-no-key')
      const { exitCode, stderr } = await restore({ SAMOVAR_BACKUP_KEY: '', SAMOVAR_STATE_DIR: other.path })
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining('SAMOVAR_BACKUP_KEY is not set')])
      expect(await (await host.parts()).engine.observe(host.project)).toEqual([])
    })

  /** Found before anything is put back, nothing runs without its data, and later it goes on. */
  async function damagedAtFirst(): Promise<void> {
    const [id = ''] = await host.backups()
    const backup = join(folder.path, 'store/v1/host.example.com/manual', id)
    const dump = join(backup, 'postgres-notes.dump.zst')
    const bytes = await readFile(dump)
    await writeFile(dump, Buffer.alloc(bytes.length, 1))
    const { exitCode, stdout, stderr } = await restore()
    expect([exitCode, stdout + stderr]).toEqual([1, expect.stringContaining('is damaged')])
    expect(await host.standing('notes')).toBe('notes has no container')
    await writeFile(dump, bytes)
    for (const name of await readdir(backup)) if (name.startsWith('verified-')) await rm(join(backup, name))
  }

  const restored = async (): Promise<Ended> => {
    const { exitCode, stdout, stderr } = await restore()
    return { exitCode, said: stdout + stderr }
  }

  /** SIGKILL soon after a step was told for the first time. @returns how it ended when it was faster, or null */
  async function killedAt(step: string): Promise<Ended | null> {
    const args = ['reconciler/cli.ts', 'restore', '--to-empty-host', '--from', from()]
    const child = spawn(process.execPath, args, { env: fresh, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
    const closed = once(child, 'close')
    await until(`it tells of ${step}`, () => said.includes(step) || child.exitCode !== null, {
      withinMs: 60_000,
    })
    await pause(Math.random() * 300)
    child.kill('SIGKILL')
    await closed
    return child.exitCode === null ? null : { exitCode: child.exitCode, said }
  }
})
