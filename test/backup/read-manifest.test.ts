import { describe, expect, test } from 'vitest'
import {
  isPartName,
  keyOf,
  keyOfBackup,
  newBackupId,
  newestFirst,
  parseKey,
  timeOfId,
} from '../../reconciler/backup/backup-id.ts'
import { fileStore } from '../../reconciler/backup/file-store.ts'
import type { Manifest } from '../../reconciler/backup/manifest.ts'
import {
  keyOfVerification,
  parseManifest,
  parseVerification,
  readManifest,
  readVerification,
} from '../../reconciler/backup/read-manifest.ts'
import { SamovarError } from '../../reconciler/errors.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { host, manifestOf, putText, storeBackup, storeVerdict } from './stored.ts'

const id = '20261122T021400Z-0007-9f3c1a'
const good = manifestOf(id)
const key = keyOf(good, 'manifest.json')

const judged = (document: unknown, at = key) =>
  parseManifest(typeof document === 'string' ? document : JSON.stringify(document), at).then(
    () => 'accepted',
    (error: unknown) => (error instanceof SamovarError ? `${error.code}: ${error.message}` : error),
  )
const partWith = (other: object) => ({ ...good, parts: [{ ...good.parts[0], ...other }] })

describe('names of backups', () => {
  test('an id tells its time, and ids sort by time and then by number', () => {
    const now = Date.UTC(2026, 10, 22, 2, 14, 0, 500)
    expect(newBackupId(now, 7)).toMatch(/^20261122T021400Z-0007-[0-9a-f]{6}$/)
    expect(timeOfId(newBackupId(now, 7))).toBe(Date.UTC(2026, 10, 22, 2, 14))
    const ids = [
      newBackupId(now, 9_999),
      newBackupId(now, 10_000),
      newBackupId(now + 1000, 3),
      newBackupId(now, 12),
    ]
    const sorted = ids.map((each) => ({ id: each })).toSorted(newestFirst)
    expect(sorted.map((each) => each.id)).toEqual([ids[2], ids[1], ids[0], ids[3]])
  })

  test('what is no time is no id', () => {
    for (const text of ['20261322T021400Z-0007-9f3c1a', '20260231T021400Z-0007-9f3c1a', `${id}x`, '', '..'])
      expect(timeOfId(text), text).toBeNull()
  })

  test('a key says what it is about, and one that is not ours says nothing', () => {
    expect(parseKey(key)).toEqual({ host, class: 'scheduled', id, name: 'manifest.json' })
    for (const text of [
      `v2/${host}/scheduled/${id}/manifest.json`,
      `v1/${host}/weekly/${id}/manifest.json`,
      `v1/${host}/scheduled/latest/manifest.json`,
      `v1/${host}/scheduled/${id}`,
      `v1/${host}/scheduled/${id}/a/b`,
      `v1/${host}/scheduled/${id}/.hidden`,
      `v1/../scheduled/${id}/manifest.json`,
      `v1/${host}/scheduled/${id}/`,
    ])
      expect(parseKey(text), text).toBeNull()
  })

  test('a name that would leave its place never becomes a key', () => {
    expect(() => keyOfBackup({ host: '../x', class: 'scheduled', id })).toThrow('cannot stand in the key')
    expect(() => keyOfBackup({ host: 'a..b', class: 'scheduled', id })).toThrow('cannot stand in the key')
    expect(() => keyOfBackup({ host, class: 'scheduled', id: '../../etc' })).toThrow(
      'cannot stand in the key',
    )
    for (const name of [
      '../x',
      'a/b',
      '..',
      '.x',
      '',
      'a\0',
      'manifest.json',
      'verified-20261122T021400Z-2.json',
    ])
      expect(isPartName(name), name).toBe(false)
    expect(isPartName('gitea-data.tar.zst')).toBe(true)
  })
})

describe('a manifest', () => {
  test('is read as it was written, and may have keys that a later version adds', async () => {
    await using folder = await tempFolder('manifest')
    const store = fileStore({ folder: folder.path })
    await storeBackup(store, good)
    expect(await readManifest(store, keyOfBackup(good))).toEqual(good)
    expect(await judged({ ...good, colour: 'red' })).toBe('accepted')
  })

  test('that is not there is not found', async () => {
    await using folder = await tempFolder('manifest')
    await expect(readManifest(fileStore({ folder: folder.path }), keyOfBackup(good))).rejects.toMatchObject({
      code: 'not-found',
    })
  })

  test('longer than 16 MiB is not read into memory', async () => {
    await using folder = await tempFolder('manifest')
    const store = fileStore({ folder: folder.path })
    await putText(store, key, JSON.stringify({ ...good, filler: 'x'.repeat(17 * 1024 * 1024) }))
    await expect(readManifest(store, keyOfBackup(good))).rejects.toMatchObject({
      code: 'backup-damaged',
      message: `${key}: is longer than 16 MiB`,
    })
  })

  test('of a later format asks for a later Samovar instead of guessing', async () => {
    const error = await parseManifest(JSON.stringify({ ...good, schema: 2 }), key).catch(
      (caught: unknown) => caught,
    )
    expect(error).toMatchObject({
      code: 'backup-damaged',
      message: `${key} has format 2, and this Samovar reads 1`,
      next: expect.stringContaining('later version of Samovar'),
    })
  })

  test('under the key of another backup, class or host is refused', async () => {
    const other = { ...good, id: '20261122T021400Z-0007-000000' }
    for (const manifest of [
      other,
      { ...good, class: 'manual' as const },
      { ...good, host: 'other.example.com' },
    ])
      expect(await judged(manifest)).toBe(
        `backup-damaged: ${key}: is the manifest of ${keyOfBackup(manifest)}`,
      )
  })

  test.each<[string, unknown]>([
    ['that was cut', JSON.stringify(good).slice(0, 400)],
    ['that is empty', ''],
    ['that is a list', []],
    ['that is null', null],
    ['nested without end', '['.repeat(200_000)],
    ['without its parts', { ...good, parts: [] }],
    ['with a part that leads out of its folder', partWith({ name: '../../../etc/cron.d/x' })],
    ['with a part in a folder', partWith({ name: 'a/b' })],
    ['with a part that takes the place of the manifest', partWith({ name: 'manifest.json' })],
    ['with a part of a kind nobody knows', partWith({ kind: 'disk' })],
    ['with a part that lacks what its kind needs', partWith({ rows: undefined })],
    ['with a size that is no size', partWith({ bytes: -1 })],
    ['with a hash that is no hash', partWith({ sha256: 'abc' })],
    ['with one part twice', { ...good, parts: [good.parts[0], good.parts[0]] }],
    ['with a database whose name has a line end', partWith({ database: 'a\nb' })],
    ['with a service that is none', { ...good, services: ['../x'] }],
    ['with a time that is none', { ...good, dataFrom: '2026-13-40T99:00:00Z' }],
    ['with a number of rows that is none', partWith({ rows: { a: 'many' } })],
    ['with an encryption nobody knows', { ...good, encryption: { method: 'rot13', key: '00000000' } }],
  ])('%s is refused', async (_, document) => {
    expect(await judged(document)).toMatch(/^backup-damaged: v1\//)
  })

  test('what a stranger wrote into it is not shown', async () => {
    const sentence = await judged(partWith({ name: 'evil\u001b[31m/../x' }))
    expect(sentence).toContain('"parts.0.name"')
    expect(sentence).not.toContain('evil')
  })

  test('every kind of part and of encryption that we write is accepted', async () => {
    const [database, volume, configuration] = good.parts
    const roles = {
      ...configuration,
      name: 'postgres-roles.sql.zst',
      kind: 'roles',
      server: 'postgres',
      major: 18,
    }
    const icu = {
      ...database,
      name: 'b.dump.zst',
      localeProvider: 'icu',
      locale: 'de-DE',
      rows: {},
      collate: '',
    }
    const encrypted = { method: 'aes-256-gcm-chunked-v1', key: '0a1b2c3d' }
    const all = {
      ...good,
      encryption: encrypted,
      previous: id,
      parts: [database, volume, configuration, roles, icu],
    }
    expect(await judged(all)).toBe('accepted')
  })
})

describe('a verification', () => {
  const found = {
    schema: 1,
    backup: id,
    level: 2,
    ok: true,
    at: '2026-11-22T05:00:00.120Z',
    problems: [],
    ms: 9,
  } as const
  const place = keyOfVerification(good, { ...found, problems: [] })

  test('is read from beside its manifest', async () => {
    await using folder = await tempFolder('verification')
    const store = fileStore({ folder: folder.path })
    await storeVerdict(store, good, found)
    expect(await readVerification(store, place)).toMatchObject({ backup: id, level: 2, ok: true })
    expect(place).toBe(`${keyOfBackup(good)}/verified-20261122T050000Z-2.json`)
  })

  test.each<[string, object]>([
    ['of another backup', { backup: '20261122T021400Z-0008-9f3c1a' }],
    ['of another level than its name says', { level: 1 }],
    ['of another time than its name says', { at: '2026-11-23T05:00:00.120Z' }],
    ['without a verdict', { ok: 'yes' }],
    ['of a later format', { schema: 2 }],
  ])('%s is refused', async (_, other) => {
    await expect(parseVerification(JSON.stringify({ ...found, ...other }), place)).rejects.toMatchObject({
      code: 'backup-damaged',
    })
  })
})

test('the types and the schema name the same keys', async () => {
  const { default: schema } = await import('../../schemas/manifest.schema.json', { with: { type: 'json' } })
  const written: Record<keyof Manifest, unknown> = good
  expect(Object.keys(schema.properties).toSorted()).toEqual(Object.keys(written).toSorted())
  expect(schema.required.toSorted()).toEqual(Object.keys(written).toSorted())
})
