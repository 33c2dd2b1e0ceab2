import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EngineEvent } from '../../reconciler/engine/engine.ts'
import { inForce } from '../../reconciler/in-force.ts'
import { newMemory } from '../../reconciler/look.ts'
import { backupsOf } from '../../reconciler/stored-backups.ts'
import { until } from '../rig/until.ts'
import { notesCompose } from './notes-desired.ts'
import { type NotesHost, noted, startNotesHost, withNotes } from './notes-host.ts'
import { expectAll, notesOf, startWriter } from './writer.ts'

/** The database server that holds the data of another service is one unit with it. */

let host: NotesHost
beforeAll(async () => {
  host = await startNotesHost('of-a-server')
  await withNotes(host)
})
afterAll(async () => host?.[Symbol.asyncDispose]())

const ownVolume = 'data: [{ volume: postgres-data }]\n'
const bad = { postgres: '15.9-bad', within: '3s' }

describe.each([
  ['is named by the application only', '', ['stopped', 'running']],
  ['and its own volume are one unit', ownVolume, ['stopped', 'paused']],
])('a server whose database %s', (_, postgresExtra, ways) => {
  test('is updated while the application stands still, and that runs again with every note', async () => {
    await host.update({ postgres: '15.1', postgresExtra }, 'postgres').catch(() => null)
    const before = await notesOf(host)
    await using writer = await startWriter(host)
    await using seen = await watched()
    const operation = await host.update({ postgres: '15.2', postgresExtra }, 'postgres')
    await seen.until('notes started')
    await writer.ended()
    expect(seen.order()).toEqual(['notes stopped', 'postgres stopped', 'postgres started', 'notes started'])
    expect(operation).toMatchObject({ result: 'applied', to: { tag: '15.2' }, backup: expect.any(String) })
    const steps = await host.steps(operation)
    expect(steps['quiesce']).toMatch(/^stopped \S+-notes-1$/)
    expect(Object.keys(steps).indexOf('quiesce')).toBeLessThan(Object.keys(steps).indexOf('back up'))
    expect((await partsOf(operation.backup)).toSorted()).toEqual([
      'database notes',
      'volume notes-data',
      ...(postgresExtra === '' ? [] : ['volume postgres-data']),
    ])
    expectAll(await notesOf(host), [...before, ...writer.confirmed.map(({ text }) => text)])
    await noted(host, 'served by the new one')
  })

  test.each(ways)(
    'goes back with all of it when the new version does not start, the copy having been taken %s',
    async (how) => {
      const before = await notesOf(host)
      await using writer = await startWriter(host)
      await using seen = await watched()
      const own = postgresExtra === '' ? '' : `${postgresExtra}backup: { while: ${how} }\n`
      const extras = { notesExtra: `backup: { while: ${how} }\n`, postgresExtra: own }
      const operation = await host.update({ ...bad, ...extras }, 'postgres')
      await writer.ended()
      expect(operation).toMatchObject({ result: 'reverted', from: { tag: '15.2' } })
      await seen.until('notes started')
      // The application meets the old version only: it is started once, after the last start of a server.
      expect(seen.order().slice(-2)).toEqual(['postgres started', 'notes started'])
      expect(seen.order().indexOf('notes started')).toBe(seen.order().length - 1)
      expect(operation.reason).toContain('its data was put back from backup')
      const there = await notesOf(host)
      for (const text of before) expect(there).toContain(text)
      const { backup, lostMs } = operation.intent.data ?? {}
      if (how === 'stopped') expect(lostMs).toBe(0)
      for (const { text, at } of writer.confirmed)
        if (!there.includes(text)) {
          expect(at).toBeGreaterThanOrEqual(backup?.dataFrom ?? 0)
          expect(at).toBeLessThanOrEqual((backup?.dataFrom ?? 0) + (lostMs ?? 0))
        }
      expect((await host.running('postgres'))?.image.tag).toBe('15.2')
      await noted(host, 'as before')
    },
  )
})

/** In which order containers of the application and its server stop and start, as the engine tells it. */
async function watched() {
  const { engine } = await host.parts()
  const told: string[] = []
  const end = new AbortController()
  const words: Record<string, string> = { die: 'stopped', start: 'started' }
  const note = ({ service, action }: EngineEvent) => {
    const word = words[action]
    const isNews = word !== undefined && told.at(-1) !== `${service} ${word}`
    if (isNews && ['notes', 'postgres'].includes(service)) told.push(`${service} ${word}`)
  }
  const watching = engine.watch(host.project, note, () => {}, end.signal)
  return {
    order: () => told,
    until: (what: string) => until(what, () => told.at(-1) === what, { withinMs: 20_000 }),
    async [Symbol.asyncDispose]() {
      end.abort()
      await watching
    },
  }
}

async function partsOf(backup: string | null): Promise<string[]> {
  const parts = await host.parts()
  const all = await backupsOf(parts, await inForce(parts, newMemory()))
  return (all.find(({ manifest }) => manifest.id === backup)?.manifest.parts ?? []).flatMap((part) => {
    if (part.kind === 'database') return [`database ${part.database}`]
    return part.kind === 'volume' ? [`volume ${part.volume}`] : []
  })
}

test('another PostgreSQL major is refused with the reason, and nothing was stopped for it', async () => {
  const server = await host.standing('postgres')
  const operation = await host.update({ postgres: '16.1' }, 'postgres')
  expect(operation).toMatchObject({ result: 'untouched', downtimeMs: null })
  expect(operation.reason).toMatch(/would go from PostgreSQL 15 to 16, .*; next: .*dump and restore/)
  expect(await host.standing('postgres')).toBe(server)
})

test('a server whose data lies in a nameless volume is refused with the reason and what to do', async () => {
  const server = await host.standing('postgres')
  const compose = notesCompose(host.port).replace(/ {4}volumes: \["postgres-data.*\n/, '')
  await host.commit({ 'compose/compose.yaml': compose.replace('  postgres-data:\n', '') })
  const operation = await host.update({ postgres: '15.1' }, 'postgres')
  expect(operation).toMatchObject({ result: 'untouched', downtimeMs: null })
  expect(operation.reason).toMatch(/anonymous volume.*; next: Name it in the Compose file/)
  expect(await host.standing('postgres')).toBe(server)
})
