import { afterAll, beforeAll, expect, test } from 'vitest'
import type { OperationDocument } from '../../reconciler/documents.ts'
import { type NotesHost, startNotesHost, withNotes } from './notes-host.ts'
import { documentOf } from './samovar.ts'
import { expectAll, notesOf, startWriter } from './writer.ts'

let host: NotesHost
beforeAll(async () => {
  host = await startNotesHost('goes-back')
  await withNotes(host)
})
afterAll(async () => host?.[Symbol.asyncDispose]())

const databases = () => host.sql(`select string_agg(datname, ' ' order by datname) from pg_database`)

test('a version that migrates the data and then fails is taken back with every confirmed note', async () => {
  await using writer = await startWriter(host)
  const operation = await host.update({ notes: '2.0.0', within: '3s' })
  await writer.ended()
  expect(writer.confirmed.at(-1)?.at).toBeGreaterThan(operation.startedAt)

  expect(operation).toMatchObject({ result: 'reverted', to: { tag: '2.0.0' } })
  expect(operation.intent.data?.lostMs).toBe(0)
  expect(operation.reason).toMatch(
    / its data was put back from backup \S+ of \S+, 0 s of writes .* were lost$/,
  )
  expect((await host.steps(operation))['capture evidence']).toContain('migrating from 1 to 2')

  const confirmed = ['note 1', 'note 2', 'note 3', ...writer.confirmed.map(({ text }) => text)]
  expectAll(await notesOf(host), confirmed)
  expect(await host.version()).toBe('1.0.0')
  expect(await host.contents()).toBe(await asTheApplicationTellsIt())
  expect(await host.sql('select v from version')).toBe('1')
  expect(await host.files()).toHaveProperty(['./old-format-file'])
  expect(await databases()).toBe('notes postgres template0 template1')
  expect((await host.parts()).journal.dirty()).toEqual([])

  const [newest] = await documentOf<OperationDocument[]>(host, ['history'])
  const { id, backup } = operation
  expect(newest).toMatchObject({ id, result: 'reverted', backup, lostMs: 0 })
  expect(await host.backups()).toEqual([operation.backup])
  expect((await host.pass()).plan?.changes.find(({ service }) => service === 'notes')?.held).toMatch(
    /^quarantined/,
  )
  expect(await host.add('after it')).toBe(true)
})

/** The same document from the database and the volume. */
async function asTheApplicationTellsIt(): Promise<string> {
  const rows = await host.sql(`select id || '|' || md5(text) from note order by id`)
  const files = Object.entries(await host.files()).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return [rows, ...files.map(([name, sum]) => `${sum}  ${name}`)].join('\n')
}

test('with `revert: { failed: keep }` the database of the failed version stays for a look', async () => {
  const notesExtra = 'revert: { failed: keep }\n'
  const failed = await host.update({ notes: '2.0.0', within: '3s', notesExtra })
  expect(failed.result).toBe('reverted')
  const aside = `notes_failed_${failed.id}`
  expect(await databases()).toBe(`notes ${aside} postgres template0 template1`)
  expect(await host.sql('select v from version', aside)).toBe('2')
  expect(await host.sql('select v from version')).toBe('1')
})

test.each(['paused', 'running'] as const)(
  'with `while: %s` what was written after the copy is lost, no more than is said, and never half of a note',
  async (how) => {
    const before = await notesOf(host)
    await using writer = await startWriter(host)
    const notesExtra = `backup: { while: ${how} }\n`
    const operation = await host.update({ notes: '2.0.0', within: '3s', notesExtra })
    await writer.ended()
    const { backup, lostMs } = operation.intent.data ?? {}
    expect(operation).toMatchObject({ result: 'reverted', backup: backup?.id })
    const from = backup?.dataFrom ?? 0
    expect(lostMs).toBeGreaterThan(0)
    expect(operation.reason).not.toContain(' 0 s of writes')

    const there = new Set(await notesOf(host))
    for (const text of before) expect(there).toContain(text)
    const lost = writer.confirmed.filter(({ text }) => !there.has(text))
    expect(lost.length).toBeGreaterThan(0)
    for (const { at } of lost) {
      expect(at).toBeGreaterThanOrEqual(from)
      expect(at).toBeLessThanOrEqual(from + (lostMs ?? 0))
    }
    expect(await host.version()).toBe('1.0.0')
    expect(await host.sql('select v from version')).toBe('1')
    // One that an earlier failure left for a look goes with the next.
    expect(await databases()).toBe('notes postgres template0 template1')
  },
)

/** A check that does not pass. */
const never = () => `{ http: "http://127.0.0.1:${host.port}/none", status: 200, every: 100ms }`

test('with `revert: { data: keep }` the old version comes back to what the new one wrote', async () => {
  const wanted = { notes: '1.1.0', within: '3s', check: never(), notesExtra: 'revert: { data: keep }\n' }
  const before = await notesOf(host)
  const updating = host.update(wanted)
  while ((await host.version()) !== '1.1.0') await host.parts()
  expect(await host.add('of the new version')).toBe(true)
  const operation = await updating
  expect(operation).toMatchObject({ result: 'reverted', backup: expect.any(String) })
  expect(operation.reason).not.toContain('data was put back')
  expect(await host.version()).toBe('1.0.0')
  expect(await notesOf(host)).toEqual([...before, 'of the new version'])
})

test('with `backup: { before: none }` nothing is copied and nothing stops for it', async () => {
  const listed = await host.backups()
  const operation = await host.update({ notes: '1.1.0', notesExtra: 'backup: { before: none }\n' })
  expect(operation).toMatchObject({ result: 'applied', backup: null })
  expect(Object.keys(await host.steps(operation))).not.toContain('back up')
  expect(await host.backups()).toEqual(listed)
})

test('a container of others on the data is named, and nothing is stopped, copied or replaced beside it', async () => {
  const { docker } = host.rig
  const stranger = await docker.createContainer({
    name: `${host.project}-of-others`,
    Image: (await host.running('notes'))?.image.id ?? '',
    Entrypoint: ['sleep', '600'],
    HostConfig: { Binds: [`${host.project}_notes-data:/theirs`] },
  })
  await stranger.start()
  try {
    const before = [await host.standing('notes'), await host.standing('postgres'), await host.backups()]
    const operation = await host.update({ notes: '1.0.0' })
    expect(operation).toMatchObject({
      result: 'untouched',
      reason: expect.stringContaining(`${host.project}-of-others`),
    })
    expect([await host.standing('notes'), await host.standing('postgres'), await host.backups()]).toEqual(
      before,
    )
    expect((await stranger.inspect()).State.Running).toBe(true)
  } finally {
    await stranger.remove({ force: true })
  }
})

test('an update that is good keeps its data, and names the backup it could have gone back to', async () => {
  const before = await notesOf(host)
  for (const notes of ['1.0.0', '2.1.0']) {
    const operation = await host.update({ notes })
    expect(operation).toMatchObject({ result: 'applied', to: { tag: notes }, backup: expect.any(String) })
    expect((await host.backups())[0]).toBe(operation.backup)
    expect(await host.version()).toBe(notes)
    expect(await notesOf(host)).toEqual(before)
  }
  expect(await host.sql('select v from version')).toBe('2')
})
