import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keyOf } from '../../reconciler/backup/backup-id.ts'
import { fileStore } from '../../reconciler/backup/file-store.ts'
import { listBackups } from '../../reconciler/backup/list-backups.ts'
import type { Manifest } from '../../reconciler/backup/manifest.ts'
import type { OpenStore } from '../../reconciler/backup/open-stores.ts'
import { type PruneOptions, protectedBackups, prune } from '../../reconciler/backup/prune.ts'
import { openJournal } from '../../reconciler/journal.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import {
  host,
  keysIn,
  manifestOf,
  opened,
  putText,
  silent,
  storeBackup,
  storeVerdict,
  watched,
} from './stored.ts'

const now = Date.UTC(2026, 10, 22, 12)
const day = 86_400_000
const saturday = manifestOf('20261121T020000Z-0003-cccccc')
const friday = manifestOf('20261120T020000Z-0002-bbbbbb')
const thursday = manifestOf('20261119T020000Z-0001-aaaaaa')
const all = [thursday, friday, saturday]

async function place() {
  const folder = await tempFolder('prune')
  const [first, second] = ['first', 'second'].map((name) => fileStore({ folder: join(folder.path, name) }))
  if (first === undefined || second === undefined) throw new Error('two stores were made')
  const pruned = async (stores: OpenStore[], other: Partial<PruneOptions> = {}) => {
    const listed = await listBackups(stores, host, join(folder.path, 'cache'))
    const options = {
      now,
      timezone: 'UTC',
      protected: () => new Map<string, string>(),
      dryRun: false,
      ...other,
    }
    const report = await prune(stores, listed, options)
    const words = report.pruned.map(
      ({ id, action, reasons }) => `${action} ${id.slice(0, 8)}: ${reasons.join(', ')}`,
    )
    return { ...report, words }
  }
  /** Makes an object look as old as that. */
  const age = async (manifest: Manifest, ms: number) => {
    const time = (now - ms) / 1000
    for (const { name } of manifest.parts)
      await utimes(join(folder.path, 'first', keyOf(manifest, name)), time, time).catch(() => undefined)
  }
  return {
    first,
    second,
    pruned,
    age,
    path: folder.path,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

const ids = async (store: OpenStore['store']) =>
  [...new Set((await keysIn(store)).map((key) => key.split('/')[3]?.slice(0, 8)))].join(' ')

describe('prune', () => {
  test('removes what no rule keeps, with its verifications, and says why each stays or goes', async () => {
    await using at = await place()
    for (const manifest of all) await storeBackup(at.first, manifest)
    await storeVerdict(at.first, thursday, { at: '2026-11-19T05:00:00.000Z', level: 1, ok: true })
    const { words, problems } = await at.pruned([opened(at.first, { last: 2 })])
    expect(words).toEqual([
      'kept 20261121: last 1 of 2, the newest good one',
      'kept 20261120: last 2 of 2',
      'removed 20261119: no rule keeps it',
    ])
    expect(problems).toEqual([])
    expect(await ids(at.first)).toBe('20261120 20261121')
    expect((await at.pruned([opened(at.first, { last: 2 })])).words).toHaveLength(2)
  })

  test('only says what it would do when it is asked to', async () => {
    await using at = await place()
    for (const manifest of all) await storeBackup(at.first, manifest)
    const before = await keysIn(at.first)
    const store = watched(at.first)
    const { words } = await at.pruned([opened(store, { last: 1 })], { dryRun: true })
    expect(words.filter((line) => line.startsWith('removed'))).toHaveLength(2)
    expect(await keysIn(at.first)).toEqual(before)
    expect(store.asked.filter((each) => each.startsWith('remove'))).toEqual([])
  })

  test('judges each store by its own rules', async () => {
    await using at = await place()
    for (const store of [at.first, at.second]) for (const manifest of all) await storeBackup(store, manifest)
    await at.pruned([opened(at.first, { last: 1 }), opened(at.second, null)])
    expect(await ids(at.first)).toBe('20261121')
    expect(await ids(at.second)).toBe('20261119 20261120 20261121')
  })

  test('removes the manifest before the parts, so that no backup lacks parts when it is cut short', async () => {
    await using at = await place()
    for (const manifest of [friday, saturday]) await storeBackup(at.first, manifest)
    const store = watched(at.first)
    await at.pruned([opened(store, { last: 1 })])
    const removals = store.asked.filter((each) => each.startsWith('remove'))
    expect(removals[0]).toBe(`remove ${keyOf(friday, 'manifest.json')}`)
    expect(removals[1]?.split(' ').length).toBe(4)
  })

  test('leaves the parts alone when the manifest could not be removed', async () => {
    await using at = await place()
    for (const manifest of [friday, saturday]) await storeBackup(at.first, manifest)
    const before = await keysIn(at.first)
    const { problems } = await at.pruned([
      opened(silent(at.first, ['remove']), { last: 1 }),
      opened(at.second, { last: 1 }),
    ])
    expect(problems).toMatchObject([{ store: at.first.name, error: { code: 'store-failed' } }])
    expect(await keysIn(at.first)).toEqual(before)
  })

  test('removes nothing from a store that did not answer, and goes on with the others', async () => {
    await using at = await place()
    for (const store of [at.first, at.second]) for (const manifest of all) await storeBackup(store, manifest)
    await at.pruned([opened(silent(at.first, ['list']), { last: 1 }), opened(at.second, { last: 1 })])
    expect(await ids(at.first)).toBe('20261119 20261120 20261121')
    expect(await ids(at.second)).toBe('20261121')
  })

  test('never removes the last good backup of a store, though another store has a newer one', async () => {
    await using at = await place()
    await storeBackup(at.first, friday)
    await storeBackup(at.first, saturday, { without: ['gitea-data.tar.zst'] })
    await storeBackup(at.second, saturday)
    const { words } = await at.pruned([opened(at.first, { last: 1 }), opened(at.second, { last: 1 })])
    expect(words).toEqual([
      `kept 20261121: not whole, but no newer one is, ${at.first.name}: gitea-data.tar.zst is missing or cut`,
      'kept 20261120: last 1 of 1, the newest good one',
      'kept 20261121: last 1 of 1, the newest good one',
    ])
  })

  test('removes a damaged one when a newer good one is there', async () => {
    await using at = await place()
    for (const manifest of all) await storeBackup(at.first, manifest)
    await storeVerdict(at.first, friday, { at: '2026-11-20T05:00:00.000Z', level: 1, ok: false })
    await at.pruned([opened(at.first, { last: 2 })])
    expect(await ids(at.first)).toBe('20261119 20261121')
  })

  test('leaves a backup alone whose manifest a later version wrote', async () => {
    await using at = await place()
    for (const manifest of [friday, saturday]) await storeBackup(at.first, manifest)
    await storeBackup(at.first, thursday, { without: ['manifest.json'] })
    await putText(at.first, keyOf(thursday, 'manifest.json'), JSON.stringify({ ...thursday, schema: 2 }))
    await at.age(thursday, 30 * day)
    await at.pruned([opened(at.first, { last: 1 })])
    expect(await ids(at.first)).toBe('20261119 20261121')
    expect(await keysIn(at.first)).toHaveLength(8)
  })

  test('touches nothing that others keep in the same place', async () => {
    await using at = await place()
    for (const manifest of [friday, saturday]) await storeBackup(at.first, manifest)
    const theirs = [
      `v1/${host}/notes.txt`,
      `v1/${host}/scheduled/${friday.id}/mine/x`,
      'v1/other.example.com/a',
    ]
    for (const key of theirs) await putText(at.first, key, 'theirs')
    await at.pruned([opened(at.first, { last: 1 })])
    expect(await keysIn(at.first)).toEqual(expect.arrayContaining(theirs))
    expect(await keysIn(at.first)).toHaveLength(4 + theirs.length)
  })
})

describe('what is left of a backup without a manifest', () => {
  test('goes when its newest object is a day old, with or without a policy', async () => {
    await using at = await place()
    await storeBackup(at.first, saturday)
    await storeBackup(at.first, friday, { without: ['manifest.json'] })
    await storeBackup(at.first, thursday, { without: ['manifest.json'] })
    await at.age(friday, day - 60_000)
    await at.age(thursday, day + 60_000)
    const { words } = await at.pruned([opened(at.first, null)])
    expect(words).toEqual([
      'kept 20261121: no `keep` is set: all stay',
      'kept 20261120: no manifest, but not a day old: it may be on its way',
      'removed 20261119: no manifest',
    ])
    expect(await ids(at.first)).toBe('20261120 20261121')
  })

  test('stays as long as an operation works on it', async () => {
    await using at = await place()
    await storeBackup(at.first, thursday, { without: ['manifest.json'] })
    await at.age(thursday, 2 * day)
    const { words } = await at.pruned([opened(at.first, null)], {
      protected: () => new Map([[thursday.id, 'operation x is not finished']]),
    })
    expect(words).toEqual(['kept 20261119: operation x is not finished'])
    expect(await keysIn(at.first)).toHaveLength(3)
  })
})

describe('what the journal refers to', () => {
  test('stays: a backup of an unfinished operation, of a quarantine, and of a restore that was cut short', async () => {
    await using folder = await tempFolder('prune-journal')
    const journal = openJournal(folder.path)
    try {
      const begin = (backup: string) => {
        const operation = journal.beginOperation({ ...order, service: backup }, now)
        operation.backup = backup
        journal.saveOperation(operation)
        return operation
      }
      begin('unfinished')
      const reverted = begin('quarantined')
      journal.saveOperation({ ...reverted, result: 'reverted' })
      journal.quarantine({
        service: 'gitea',
        digest: '',
        configuration: '',
        operation: reverted.id,
        reason: '',
        at: now,
      })
      const done = begin('done')
      journal.saveOperation({ ...done, result: 'applied' })
      journal.markDirty(['wiki'], { operation: done.id, backup: 'half-restored', at: now })
      expect(Object.fromEntries(protectedBackups(journal))).toEqual({
        'half-restored': 'the data of wiki is only half put back from it',
        quarantined: 'the quarantine of gitea refers to it',
        unfinished: expect.stringMatching(/^operation \S+ is not finished$/),
      })
    } finally {
      journal.close()
    }
  })

  test('is asked again before each removal: a restore may have begun meanwhile', async () => {
    await using at = await place()
    for (const manifest of all) await storeBackup(at.first, manifest)
    const begun = new Map<string, string>()
    const store = { ...at.first }
    store.remove = async (keys) => {
      await at.first.remove(keys)
      begun.set(thursday.id, 'operation x is not finished')
    }
    const { words } = await at.pruned([opened(store, { last: 1 })], { protected: () => begun })
    expect(words).toEqual([
      'kept 20261121: last 1 of 1, the newest good one',
      'removed 20261120: no rule keeps it',
      'kept 20261119: operation x is not finished',
    ])
    expect(await ids(at.first)).toBe('20261119 20261121')
  })
})

const order = {
  kind: 'replace' as const,
  commit: 'c'.repeat(40),
  from: null,
  to: null,
  intent: {
    members: [],
    quiesced: [],
    health: { within: 1, steady: 0, soak: 0, checks: [] },
    oldHealth: null,
    configuration: '',
    reasons: [],
    drift: false,
  },
}
