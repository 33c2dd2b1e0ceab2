import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keyOf, keyOfBackup } from '../../reconciler/backup/backup-id.ts'
import { fileStore } from '../../reconciler/backup/file-store.ts'
import { backupDocument, listBackups } from '../../reconciler/backup/list-backups.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { host, manifestOf, opened, putText, silent, storeBackup, storeVerdict, watched } from './stored.ts'

const monday = manifestOf('20261116T020000Z-0001-aaaaaa')
const tuesday = manifestOf('20261117T020000Z-0002-bbbbbb', { class: 'before-update' })

/** Two file stores and a folder for what is remembered. */
async function place() {
  const folder = await tempFolder('list-backups')
  const folderOf = (name: string) => join(folder.path, name)
  const [first, second] = [
    fileStore({ folder: folderOf('first') }),
    fileStore({ folder: folderOf('second') }),
  ]
  const cache = folderOf('cache')
  return {
    first,
    second,
    cache,
    folderOf,
    list: (...stores: (typeof first)[]) =>
      listBackups(
        stores.map((store) => opened(store)),
        host,
        cache,
      ),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

describe('the list of backups', () => {
  test('has each backup once, newest first, with the stores that have all of it', async () => {
    await using at = await place()
    await storeBackup(at.first, monday)
    await storeBackup(at.first, tuesday)
    await storeBackup(at.second, monday)
    const { backups, remains, problems } = await at.list(at.first, at.second)
    expect(backups.map(({ manifest, stores }) => [manifest.id, stores])).toEqual([
      [tuesday.id, [at.first.name]],
      [monday.id, [at.first.name, at.second.name]],
    ])
    expect(backups[0]).toMatchObject({ manifest: tuesday, key: keyOfBackup(tuesday), bytes: 34, bad: null })
    expect([remains, problems]).toEqual([[], []])
  })

  test('of a store with nothing in it is empty', async () => {
    await using at = await place()
    expect(await at.list(at.first)).toEqual({ backups: [], remains: [], problems: [] })
  })

  test('has no half backup: without a manifest there are only remains', async () => {
    await using at = await place()
    await storeBackup(at.first, monday, { without: ['manifest.json'] })
    const { backups, remains } = await at.list(at.first)
    expect(backups).toEqual([])
    expect(remains).toMatchObject([{ store: at.first.name, id: monday.id, class: 'scheduled', bytes: 34 }])
    expect(remains[0]?.keys).toHaveLength(3)
    expect(Math.abs((remains[0]?.changedAt ?? 0) - Date.now())).toBeLessThan(60_000)
  })

  test('leaves alone what others keep in the same place, and other hosts', async () => {
    await using at = await place()
    await storeBackup(at.first, monday)
    await storeBackup(at.first, { ...tuesday, host: `${host}.uk` })
    await putText(at.first, `v1/${host}/notes.txt`, 'mine')
    await putText(at.first, `v1/${host}/scheduled/by-hand/manifest.json`, '{}')
    const { backups, remains, problems } = await at.list(at.first)
    expect(backups.map(({ manifest }) => manifest.id)).toEqual([monday.id])
    expect([remains, problems]).toEqual([[], []])
  })

  test('names a part that is missing or cut, and the store it is missing in', async () => {
    await using at = await place()
    await storeBackup(at.first, monday)
    await storeBackup(at.second, monday, { without: ['gitea-data.tar.zst'] })
    await truncate(join(at.folderOf('second'), keyOf(monday, 'configuration.tar.zst')), 3)
    const [backup] = (await at.list(at.first, at.second)).backups
    expect(backup).toMatchObject({ stores: [at.first.name], bad: null })
    expect(backup?.copies[1]?.missing).toEqual(['gitea-data.tar.zst', 'configuration.tar.zst'])
    const [alone] = (await at.list(at.second)).backups
    expect(alone).toMatchObject({
      stores: [],
      bad: `${at.second.name}: gitea-data.tar.zst, configuration.tar.zst is missing or cut`,
    })
  })

  test('does not take a store for good that has another manifest than the first one', async () => {
    await using at = await place()
    await storeBackup(at.first, monday)
    await storeBackup(at.second, { ...monday, dataFrom: '2026-11-16T01:00:00.000Z' })
    const [backup] = (await at.list(at.first, at.second)).backups
    expect(backup).toMatchObject({ manifest: monday, stores: [at.first.name] })
    expect(backup?.copies[1]?.damaged).toBe(`its manifest is not the one that ${at.first.name} has`)
  })
})

describe('what verifications found', () => {
  const verdicts = async (...found: { at: string; level: 0 | 1 | 2; ok: boolean }[]) => {
    await using at = await place()
    await storeBackup(at.first, monday)
    for (const each of found) await storeVerdict(at.first, monday, each)
    const [backup] = (await at.list(at.first)).backups
    return backup === undefined ? null : { verified: backup.verified, bad: backup.bad }
  }
  const [morning, noon, evening] = [
    '2026-11-17T05:00:00.000Z',
    '2026-11-17T12:00:00.000Z',
    '2026-11-17T19:00:00.000Z',
  ]

  test('the highest level that was passed counts', async () => {
    expect(await verdicts()).toEqual({ verified: null, bad: null })
    expect(await verdicts({ at: morning, level: 2, ok: true }, { at: noon, level: 0, ok: true })).toEqual({
      verified: 2,
      bad: null,
    })
  })

  test('a later failure makes it bad, whatever was found before', async () => {
    const found = await verdicts({ at: morning, level: 2, ok: true }, { at: noon, level: 0, ok: false })
    expect(found?.verified).toBeNull()
    expect(found?.bad).toMatch(
      /a verification of 2026-11-17T12:00:00.000Z found: gitea-data.tar.zst has another hash/,
    )
  })

  test('a look that is less deep does not make it good again, one as deep does', async () => {
    const failed = { at: morning, level: 1, ok: false } as const
    expect((await verdicts(failed, { at: noon, level: 0, ok: true }))?.bad).not.toBeNull()
    expect(
      await verdicts(failed, { at: noon, level: 0, ok: true }, { at: evening, level: 1, ok: true }),
    ).toEqual({ verified: 1, bad: null })
  })

  test('one store is judged by what was found in it', async () => {
    await using at = await place()
    for (const store of [at.first, at.second]) await storeBackup(store, monday)
    await storeVerdict(at.first, monday, { at: noon, level: 1, ok: false })
    await storeVerdict(at.second, monday, { at: noon, level: 1, ok: true })
    const [backup] = (await at.list(at.first, at.second)).backups
    expect(backup).toMatchObject({ stores: [at.second.name], verified: 1, bad: null })
  })
})

describe('a store that is not well', () => {
  test('does not keep the others from being listed', async () => {
    await using at = await place()
    for (const store of [at.first, at.second]) await storeBackup(store, monday)
    const { backups, problems } = await at.list(silent(at.first, ['list']), at.second)
    expect(backups).toMatchObject([{ stores: [at.second.name] }])
    expect(problems).toMatchObject([{ store: at.first.name, silent: true, error: { code: 'store-failed' } }])
  })

  test('that falls silent in its answer gives no remains: the manifest may have come next', async () => {
    await using at = await place()
    await storeBackup(at.first, monday)
    const { backups, remains } = await at.list(silent(at.first, ['list']))
    expect([backups, remains]).toEqual([[], []])
  })

  test('names the manifest that cannot be read, and lists the others', async () => {
    await using at = await place()
    await storeBackup(at.first, monday)
    await storeBackup(at.first, tuesday, { without: ['manifest.json'] })
    await putText(at.first, keyOf(tuesday, 'manifest.json'), JSON.stringify({ ...tuesday, schema: 9 }))
    const { backups, remains, problems } = await at.list(at.first)
    expect(backups.map(({ manifest }) => manifest.id)).toEqual([monday.id])
    expect(remains).toEqual([])
    expect(problems).toMatchObject([
      { silent: false, error: { message: expect.stringContaining('has format 9') } },
    ])
  })
})

describe('what is remembered', () => {
  test('a second listing reads nothing but the list', async () => {
    await using at = await place()
    for (const manifest of [monday, tuesday]) await storeBackup(at.first, manifest)
    await storeVerdict(at.first, monday, { at: '2026-11-17T05:00:00.000Z', level: 1, ok: true })
    const before = await at.list(at.first)
    const store = watched(at.first)
    expect(await at.list(store)).toEqual(before)
    expect(store.asked).toEqual([`list v1/${host}/`])
  })

  test('is fetched again when it is damaged, lost, or the object is another one', async () => {
    await using at = await place()
    await storeBackup(at.first, monday)
    const before = await at.list(at.first)
    const [file = ''] = await readdir(at.cache)
    await writeFile(join(at.cache, file), '{"schema":')
    expect(await at.list(at.first)).toEqual(before)
    await rm(at.cache, { recursive: true })
    expect(await at.list(at.first)).toEqual(before)
    await rm(join(at.folderOf('first'), keyOf(monday, 'manifest.json')))
    await putText(
      at.first,
      keyOf(monday, 'manifest.json'),
      JSON.stringify({ ...monday, commit: 'd'.repeat(40) }),
    )
    expect((await at.list(at.first)).backups[0]?.manifest.commit).toBe('d'.repeat(40))
  })

  test('does not grow: what is in no store any more is forgotten, but not while a store is silent', async () => {
    await using at = await place()
    for (const manifest of [monday, tuesday]) await storeBackup(at.first, manifest)
    await at.list(at.first)
    await at.first.remove([keyOf(monday, 'manifest.json')])
    await at.list(at.first, silent(at.second, ['list']))
    expect(await readdir(at.cache)).toHaveLength(2)
    await writeFile(join(at.cache, 'not-ours.json'), '')
    await at.list(at.first)
    expect(await readdir(at.cache)).toHaveLength(2)
    expect(await readdir(at.cache)).toContain('not-ours.json')
  })

  test('a folder that cannot be written to costs time, not the list', async () => {
    await using at = await place()
    await storeBackup(at.first, monday)
    await mkdir(at.folderOf('.'), { recursive: true })
    await writeFile(at.cache, 'a file stands where the folder should be')
    expect((await at.list(at.first)).backups).toHaveLength(1)
  })
})

test('programs get the shape that is written down', async () => {
  await using at = await place()
  await storeBackup(at.first, tuesday)
  const [backup] = (await at.list(at.first)).backups
  expect(backup === undefined ? null : backupDocument(backup)).toMatchObject({
    id: tuesday.id,
    createdAt: '2026-11-17T02:00:00.000Z',
    service: 'gitea',
    kind: 'before-update',
    stores: [at.first.name],
    bytes: 34,
    verified: null,
    parts: tuesday.parts.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 })),
    bad: null,
  })
})
