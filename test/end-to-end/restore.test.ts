import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DataProgress } from '../../reconciler/backup/back-up.ts'
import { until } from '../rig/until.ts'
import { type NotesHost, noted, startNotesHost, withNotes } from './notes-host.ts'
import { samovar, startDaemon } from './samovar.ts'
import { notesOf } from './writer.ts'

const key = { SAMOVAR_BACKUP_KEY: Buffer.alloc(32, 7).toString('base64') }
const otherKey = { SAMOVAR_BACKUP_KEY: Buffer.alloc(32, 8).toString('base64') }

let host: NotesHost
/** Of the first three notes, of version 1. */
let backup: string
beforeAll(async () => {
  host = await startNotesHost('restore', { environment: key })
  await withNotes(host)
  backup = (await host.backUp()).backup ?? ''
})
afterAll(async () => host?.[Symbol.asyncDispose]())

const first = ['note 1', 'note 2', 'note 3']
const serves = () => until('it serves', async () => (await host.contents()) !== null, { withinMs: 30_000 })

test('the data of a backup comes back, and what was there before can be had again', async () => {
  await noted(host, 'after the backup')
  const operation = await host.restore(backup, { safety: true })
  expect(operation).toMatchObject({ kind: 'restore', result: 'applied', backup })
  expect(await notesOf(host)).toEqual(first)
  const [safety = ''] = await host.backups()
  expect(operation.reason).toContain(`what was there before is backup ${safety}`)

  expect(await host.restore(safety)).toMatchObject({ result: 'applied' })
  expect(await notesOf(host)).toEqual([...first, 'after the backup'])
  await serves()
  expect(await host.sql(`select string_agg(datname, ' ' order by datname) from pg_database`)).toBe(
    'notes postgres template0 template1',
  )
})

test('the verb shows what it will replace and does nothing without a yes', async () => {
  const before = [await host.standing('notes'), await notesOf(host)]
  const { exitCode, stdout, stderr } = await samovar(host, ['restore', backup])
  expect(exitCode).toBe(1)
  expect(stdout).toMatch(
    /data of .* ago; .*\n.*will be replaced.*\n {4}database notes in postgres\n {4}volume \S+_notes-data\n/,
  )
  expect(stderr).toContain('nothing was done')
  expect([await host.standing('notes'), await notesOf(host)]).toEqual(before)
})

test.each([
  ['no key', { SAMOVAR_BACKUP_KEY: '' }, /is encrypted.*SAMOVAR_BACKUP_KEY is not set/],
  ['another key', otherKey, /SAMOVAR_BACKUP_KEY|key/],
])('with %s a restore says so before anything is stopped', async (_, environment, said) => {
  const before = [await host.standing('notes'), await notesOf(host)]
  const { exitCode, stdout, stderr } = await samovar(
    host,
    ['restore', backup, '--yes', '--no-safety'],
    environment,
  )
  expect(exitCode).toBe(1)
  expect(stdout + stderr).toMatch(said)
  expect([await host.standing('notes'), await notesOf(host)]).toEqual(before)
})

test('with --service only what that service names is put back', async () => {
  await host.restore(backup)
  await serves()
  await noted(host, 'of both')
  const postgresExtra = 'data: [{ volume: postgres-data }]\n'
  await host.want({ postgresExtra })
  await host.pass()
  const both = await host.backUp()
  await serves()
  await noted(host, 'later')
  const operation = await host.restore(both.backup ?? '', { service: 'notes' })
  expect(operation).toMatchObject({ result: 'applied' })
  expect(await notesOf(host)).toEqual([...first, 'of both'])
  await expect(host.restore(both.backup ?? '', { service: 'web' })).rejects.toMatchObject({
    code: 'not-found',
  })
  await host.want({})
  await host.pass()
})

test('data with which the running version is not healthy ends with 3 and the way back', async () => {
  await serves()
  const before = await notesOf(host)
  const notesExtra = 'backup: { while: running }\n'
  await host.want({ within: '3s', notesExtra })
  await host.pass()
  await host.sql('update version set v = 9')
  const newer = (await host.backUp()).backup ?? ''
  await host.sql('update version set v = 1')

  const { exitCode, stdout } = await samovar(host, ['restore', newer, '--yes'])
  expect(exitCode).toBe(3)
  const [, safety = ''] = /next: samovar restore (\S+) takes it back/.exec(stdout) ?? []
  expect(await host.backups()).toContain(safety)
  expect(await host.sql('select v from version')).toBe('9')
  expect(await host.restore(safety)).toMatchObject({ result: 'applied' })
  expect(await notesOf(host)).toEqual(before)
  expect(await host.sql('select v from version')).toBe('1')
  await serves()
})

test('half restored data is started by nobody, and a restore heals it', async () => {
  const dump = join(host.stateDir, 'store/v1/host.example.com/manual', backup, 'postgres-notes.dump.zst')
  // The files are put back first; then the dump is gone, after it was proven.
  const seen = ({ doing }: DataProgress) => {
    if (doing === 'putting back' && existsSync(dump)) renameSync(dump, `${dump}.away`)
  }
  const half = await host.restore(backup, { seen })
  expect(half.result).toBe('stuck')
  expect(half.reason).toContain('the data is only half put back, and nothing was started on it')
  const { journal } = await host.parts()
  expect(journal.dirty()).toMatchObject([{ service: 'notes', backup }])
  const standing = await host.standing('notes')
  expect(standing).toContain(' exited ')

  expect((await host.pass({ now: true })).operations).toEqual([])
  const applied = await samovar(host, ['apply', 'notes', '--now'])
  expect(applied.stdout).toContain(`only half put back from backup ${backup}`)
  expect(applied.stdout).toContain(`next: samovar restore ${backup}`)
  expect((await samovar(host, ['rollback', 'notes'])).stderr).toContain('only half put back')
  expect(await host.update({ notes: '1.1.0' }).catch(String)).toContain('nothing was done to notes')
  expect(await host.backUp()).toMatchObject({
    result: 'untouched',
    reason: expect.stringContaining('only half put back'),
  })
  await afterAnEvent()
  expect(await host.standing('notes')).toBe(standing)
  await expect(host.restore(backup, { service: 'notes' })).rejects.toMatchObject({
    code: 'restore-incomplete',
  })

  await host.want({})
  renameSync(`${dump}.away`, dump)
  const healed = await host.restore(backup, { safety: true })
  expect(healed).toMatchObject({ result: 'applied' })
  // What was half there is not worth a backup.
  expect(healed.intent.safetyBackup).toBeUndefined()
  expect(journal.dirty()).toEqual([])
  expect(await notesOf(host)).toEqual(first)
  expect(await host.standing('notes')).toContain(' running ')
  const { instance = '' } = (await host.running('notes')) ?? {}
  expect((await host.rig.docker.getContainer(instance).inspect()).HostConfig.RestartPolicy?.Name).toBe(
    'unless-stopped',
  )
})

/** A daemon that is told of a container that changed, and looked again because of it. */
async function afterAnEvent(): Promise<void> {
  await using daemon = await startDaemon(host)
  const passed = () => daemon.metric('samovar_last_pass_timestamp_seconds')
  await until('a first pass', async () => (await passed()) > 0, { withinMs: 30_000 })
  const before = Date.now() / 1_000
  const { instance = '' } = (await host.running('notes')) ?? {}
  await host.rig.docker.getContainer(instance).update({ Memory: 64 * 1024 ** 2, MemorySwap: -1 })
  await until('a pass after the event', async () => (await passed()) > before, { withinMs: 30_000 })
  daemon.signal('SIGTERM')
  await daemon.ended
}
