import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fileStore } from '../../reconciler/backup/file-store.ts'
import { listBackups } from '../../reconciler/backup/list-backups.ts'
import { prune } from '../../reconciler/backup/prune.ts'
import { tellBackups } from '../../reconciler/cli/backups.ts'
import { openConsole } from '../../reconciler/cli/console.ts'
import { tellPruned } from '../../reconciler/cli/prune.ts'
import { hostOf } from '../../reconciler/desired-state/policies.ts'
import { manifestOf, opened, silent, storeBackup, storeVerdict } from '../backup/stored.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const now = Date.UTC(2026, 10, 22, 12)
const name = 'git.example.com'
const named = (stores: { file: string }[]) =>
  hostOf({ name, project: 'gitea', compose: ['a'], ...(stores.length > 0 && { backup: { stores } }) })

/** What a verb writes for people, its problems included, without the folder of the test and the hour of the reader. */
function screen(folder: string) {
  const written: string[] = []
  const stream = { write: (text: string) => void written.push(text) }
  const console = openConsole({ json: false, stdout: stream, stderr: stream })
  const lines = () =>
    written
      .join('')
      .replaceAll(folder, '')
      .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'YYYY-MM-DD HH:MM:SS')
      .trimEnd()
      .split('\n')
  return { console, lines }
}

const newest = manifestOf('20261122T020000Z-0003-cccccc', { class: 'before-update' })
const older = manifestOf('20261120T020000Z-0002-bbbbbb')
const oldest = manifestOf('20261101T020000Z-0001-aaaaaa')

test('`backups` shows what there is, where it is whole, and what is wrong with a copy', async () => {
  await using folder = await tempFolder('tell-backups')
  const [a, b, c] = ['a', 'b', 'c'].map((each) => fileStore({ folder: join(folder.path, each) }))
  if (a === undefined || b === undefined || c === undefined) expect.fail('three stores were made')
  for (const store of [a, b]) await storeBackup(store, newest)
  await storeVerdict(b, newest, { at: '2026-11-22T05:00:00.000Z', level: 2, ok: true })
  await storeBackup(a, older, { without: ['gitea-data.tar.zst'] })
  await storeBackup(a, oldest, { without: ['manifest.json'] })
  const stores = [opened(a), opened(b), opened(silent(c, ['list']))]
  const listed = await listBackups(stores, name, join(folder.path, 'cache'))
  const { console, lines } = screen(folder.path)
  tellBackups(console, { host: named([{ file: '/a' }]), stores, listed }, now)
  expect(lines()).toEqual([
    'problem: file /c does not answer; next: Look at the disk.',
    'ID                            WHEN                 AGE       SERVICES  KIND           SIZE  VERIFIED  STORES',
    '20261122T020000Z-0003-cccccc  YYYY-MM-DD HH:MM:SS  10 h ago  gitea     before-update  34 B  level 2   file /a, file /b',
    '20261120T020000Z-0002-bbbbbb  YYYY-MM-DD HH:MM:SS  2 d ago   gitea     scheduled      34 B  no        nowhere whole',
    '  file /a: gitea-data.tar.zst is missing or cut',
    'file /a: 1 backup without a manifest, unfinished or half removed; `samovar prune` removes them when they are a day old',
  ])
})

test('`backups` of a host without stores, or without backups, says so', () => {
  const listed = { backups: [], remains: [], problems: [] }
  const without = screen('')
  tellBackups(without.console, { host: named([]), stores: [], listed }, now)
  expect(without.lines()[0]).toBe('host.yaml names no store: no backups are taken')
  const empty = screen('')
  const stores = [opened(fileStore({ folder: '/a' }))]
  tellBackups(empty.console, { host: named([{ file: '/a' }]), stores, listed }, now)
  expect(empty.lines()).toEqual(['There is no backup of git.example.com in file /a.'])
})

test('`prune` says of each store what stays and what goes, and why', async () => {
  await using folder = await tempFolder('tell-prune')
  const store = fileStore({ folder: join(folder.path, 'a') })
  for (const manifest of [newest, older, oldest]) await storeBackup(store, manifest)
  const stores = [opened(store, { last: 1, weekly: 2 })]
  const listed = await listBackups(stores, name, join(folder.path, 'cache'))
  const options = {
    now,
    timezone: 'UTC',
    protected: () => new Map([[older.id, 'operation x is not finished']]),
    dryRun: true,
  }
  const { console, lines } = screen(folder.path)
  tellPruned(console, (await prune(stores, listed, options)).pruned, true)
  expect(lines()).toEqual([
    'file /a',
    '      ID                            WHEN                 SERVICES  KIND           SIZE  WHY',
    'keep  20261122T020000Z-0003-cccccc  YYYY-MM-DD HH:MM:SS  gitea     before-update  34 B  last 1 of 1, weekly 2026-W47, the newest good one',
    'keep  20261120T020000Z-0002-bbbbbb  YYYY-MM-DD HH:MM:SS  gitea     scheduled      34 B  operation x is not finished',
    'keep  20261101T020000Z-0001-aaaaaa  YYYY-MM-DD HH:MM:SS  gitea     scheduled      34 B  weekly 2026-W44',
    '',
    'nothing to remove, 3 kept',
  ])
  const real = screen(folder.path)
  tellPruned(
    real.console,
    (await prune([opened(store, { last: 1 })], listed, { ...options, dryRun: false })).pruned,
    false,
  )
  expect(real.lines().at(-1)).toBe('1 backup removed (34 B), 2 kept')
})
