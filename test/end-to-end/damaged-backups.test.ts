import { createHash } from 'node:crypto'
import { cp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Manifest } from '../../reconciler/backup/manifest.ts'
import { type NotesHost, noted, startNotesHost, withNotes } from './notes-host.ts'
import { notesOf } from './writer.ts'

/** Backups in which something was changed: found by every level of `verify`, and refused by `restore`. */

const damages = {
  truncated: ({ part }: Place) => truncate(part, 100),
  'with one bit that flipped': async ({ part }: Place) => {
    const bytes = await readFile(part)
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
    await writeFile(part, bytes)
  },
  'that goes on behind its end': ({ part }: Place) => writeFile(part, 'more', { flag: 'a' }),
  'that is that of another backup': ({ part, other }: Place) => cp(other, part),
  'that is gone': ({ part }: Place) => rm(part),
}
type Place = { part: string; other: string }
type Damage = keyof typeof damages

function casesOf(kind: string): [string, Damage][] {
  const all = Object.keys(damages) as Damage[]
  const dump = 'postgres-notes.dump.zst'
  if (kind === 'encrypted') return all.slice(0, 4).map((damage) => [dump, damage])
  return [
    ...[dump, 'notes-data.tar.zst'].flatMap((part) => all.map((damage): [string, Damage] => [part, damage])),
    ['configuration.tar.zst', 'with one bit that flipped'],
  ]
}

describe.each([
  ['plain', {}],
  ['encrypted', { SAMOVAR_BACKUP_KEY: Buffer.alloc(32, 7).toString('base64') }],
])('of a backup that is %s', (kind, environment) => {
  let host: NotesHost
  let older: string
  let newer: string
  const store = () => join(host.stateDir, 'store')
  const pristine = () => join(host.stateDir, 'pristine')
  const folderOf = (backup: string) => join(store(), `v1/host.example.com/manual/${backup}`)
  beforeAll(async () => {
    host = await startNotesHost(`damage-${kind}`, { environment })
    await withNotes(host)
    older = (await host.backUp()).backup ?? ''
    await noted(host, 'after the older backup')
    // The configuration of both is to differ too.
    await host.want({ notesExtra: '# looked at\n' })
    await host.pass()
    newer = (await host.backUp()).backup ?? ''
    await noted(host, 'after the newer backup')
    await cp(store(), pristine(), { recursive: true })
  })
  afterAll(async () => host?.[Symbol.asyncDispose]())

  const whole = async () => {
    await rm(store(), { recursive: true })
    await cp(pristine(), store(), { recursive: true })
  }

  /** Verified at every level and refused, with nothing stopped and nothing changed. */
  async function foundAndRefused(part: string): Promise<void> {
    const before = [await host.standing('notes'), await notesOf(host)]
    for (const level of [0, 1, 2] as const) {
      const { result, reason } = await host.verify(older, level)
      expect([level, result, reason]).toEqual([level, 'untouched', expect.stringContaining('damaged')])
      expect(reason).toContain(part)
    }
    const operation = await host.restore(older, { safety: true })
    expect(operation).toMatchObject({ result: 'untouched', downtimeMs: null })
    expect(operation.reason).toMatch(/ is damaged: .*; nothing was restored/)
    expect(operation.reason).toContain(part)
    expect(Object.keys(await host.steps(operation))).not.toContain('quiesce')
    expect([await host.standing('notes'), await notesOf(host)]).toEqual(before)
    expect((await host.parts()).journal.dirty()).toEqual([])
  }

  test.each(casesOf(kind))('%s %s is found, and no restore begins', async (part, damage) => {
    try {
      await damages[damage]({ part: join(folderOf(older), part), other: join(folderOf(newer), part) })
      await foundAndRefused(part)
    } finally {
      await whole()
    }
  })

  if (kind === 'encrypted')
    test('two parts that changed places are found also when both manifests were changed to match', async () => {
      const part = 'postgres-notes.dump.zst'
      try {
        await exchange(part)
        const operation = await host.restore(older)
        expect(operation).toMatchObject({ result: 'untouched' })
        expect(operation.reason).toContain(part)
        for (const level of [1, 2] as const) expect((await host.verify(older, level)).reason).toContain(part)
        // Size and hash are what the manifest says: level 0 has nothing to find, and does not claim more.
        expect(await host.verify(newer, 0)).toMatchObject({ result: 'applied' })
      } finally {
        await whole()
      }
    })

  async function exchange(part: string): Promise<void> {
    const [one, two] = [join(folderOf(older), part), join(folderOf(newer), part)]
    await rename(one, `${one}.away`)
    await rename(two, one)
    await rename(`${one}.away`, two)
    for (const backup of [older, newer]) {
      const file = join(folderOf(backup), 'manifest.json')
      const manifest = JSON.parse(await readFile(file, 'utf8')) as Manifest
      for (const each of manifest.parts) {
        if (each.name !== part) continue
        const bytes = await readFile(join(folderOf(backup), part))
        each.bytes = bytes.length
        each.sha256 = createHash('sha256').update(bytes).digest('hex')
      }
      await writeFile(file, `${JSON.stringify(manifest, null, 2)}\n`)
    }
  }

  test('a second store that is whole is enough for a restore', async () => {
    const second = `${store()}-second`
    await cp(pristine(), second, { recursive: true })
    await host.stores(`{ stores: [{ file: ${store()} }, { file: ${second} }] }`)
    await host.pass()
    if (kind === 'encrypted') await exchange('postgres-notes.dump.zst')
    else
      await damages['with one bit that flipped']({
        part: join(folderOf(older), 'notes-data.tar.zst'),
        other: '',
      })
    expect((await host.verify(older, 1)).reason).toContain(`file ${store()}`)
    const operation = await host.restore(older)
    expect(operation).toMatchObject({ result: 'applied' })
    expect((await host.steps(operation))['prove backup']).toBe(`whole in file ${second}`)
    expect(await notesOf(host)).toEqual(['note 1', 'note 2', 'note 3'])
  })
})
