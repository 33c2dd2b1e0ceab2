import { describe, expect, test } from 'vitest'
import { fileStore } from '../../reconciler/backup/file-store.ts'
import { type BackupList, listBackups } from '../../reconciler/backup/list-backups.ts'
import { knownBackups } from '../../reconciler/http/known-backups.ts'
import { manifestOf, opened, storeBackup } from '../backup/stored.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const id = '20261122T020000Z-0003-cccccc'

async function listOfOne(): Promise<BackupList> {
  await using folder = await tempFolder('known')
  const store = fileStore({ folder: `${folder.path}/a` })
  await storeBackup(store, manifestOf(id))
  return await listBackups([opened(store)], 'git.example.com', `${folder.path}/cache`)
}

/** Stores that answer when they are told to. */
function stores(list: BackupList) {
  const open: { answer: (list: BackupList) => void; fail: (error: Error) => void }[] = []
  let now = 0
  const asked = () => open.length
  const known = knownBackups(
    () =>
      new Promise<BackupList>((answer, fail) => {
        open.push({ answer, fail })
      }),
    { now: () => now, waitsFor: 300 },
  )
  return {
    known,
    asked,
    answer: () => open.at(-1)?.answer(list),
    fail: (error: Error) => open.at(-1)?.fail(error),
    later: (ms: number) => {
      now += ms
    },
  }
}

describe('who asks for the backups', () => {
  test('is not kept waiting by a store that hangs, and the stores are asked once at a time', async () => {
    const some = stores(await listOfOne())
    expect(await Promise.all([some.known.ask(), some.known.ask()])).toMatchObject([
      { backups: null },
      { backups: null },
    ])
    expect(await some.known.ask()).toMatchObject({ backups: null, at: null })
    expect(some.asked()).toBe(1)
    some.answer()
    expect(await some.known.ask()).toMatchObject({ backups: [{ id, kind: 'scheduled' }], at: 0 })
    expect(some.asked()).toBe(1)
  })

  test('gets what is known while it is young, and while the stores are asked again', async () => {
    const some = stores(await listOfOne())
    const first = some.known.ask()
    some.answer()
    await first
    some.later(29_000)
    await some.known.ask()
    expect(some.asked()).toBe(1)
    some.later(2_000)
    expect(await some.known.ask()).toMatchObject({ backups: [{ id }], at: 0 })
    expect(some.asked()).toBe(2)
  })

  test('gets a new list when a backup was taken meanwhile', async () => {
    const some = stores(await listOfOne())
    const first = some.known.ask()
    some.answer()
    await first
    some.known.changed()
    const second = some.known.ask()
    some.answer()
    await second
    expect(some.asked()).toBe(2)
  })

  test('is told what is wrong, beside what was known before', async () => {
    const some = stores(await listOfOne())
    const first = some.known.ask()
    some.answer()
    await first
    some.known.changed()
    const second = some.known.ask()
    some.fail(new Error('file /a does not answer'))
    expect(await second).toMatchObject({ backups: [{ id }], problems: ['file /a does not answer'] })
  })
})
