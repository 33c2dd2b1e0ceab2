import { afterAll, beforeAll, expect, test } from 'vitest'
import { patience } from './cases.ts'
import type { Ran } from './child.ts'
import { aroundRequests, aroundSteps, type DataCase, dataCases, within } from './with-data-cases.ts'
import { type DataHost, startDataHost } from './with-data-host.ts'
import { brokenDataPromises, type DataExpected } from './with-data-promises.ts'

let host: DataHost

beforeAll(async () => {
  host = await startDataHost('crash-data-verbs')
}, patience)
afterAll(() => host[Symbol.asyncDispose]())

const ends = { results: ['applied', 'untouched'], work: ['backup notes', 'verify notes', 'restore notes'] }

const oneMoreNote = async (): Promise<DataExpected> => {
  await host.more()
  const { notes } = await host.served()
  return { version: '1.0.0', outcomes: [notes], keeps: ['1.0.0'], ...ends }
}

/** The run without a kill, and from it the cases. */
async function usualRun(operation: () => string, prepare: DataCase['prepare']) {
  const expected = await prepare()
  const usual = await host.run({ operation: operation() })
  const { reports } = await host.run({ passes: 2 })
  expect(usual.reports.flatMap((each) => each.operations.map(({ result }) => result))).toEqual(['applied'])
  expect(await brokenDataPromises(host, expected, reports)).toEqual([])
  const of = (kills: DataCase['kills']) =>
    kills.map((kill): DataCase => ({ kills: [kill], usual, operation, prepare }))
  return { usual, of }
}

const everywhere = (usual: Ran, one: number) => [...aroundSteps(usual), ...aroundRequests(usual, one)]

test.each(['stopped', 'paused', 'running'])(
  'a backup killed anywhere is whole or not listed, and the service goes on (while: %s)',
  async (still) => {
    await host.settle({ backup: `{ while: ${still} }` })
    const { usual, of } = await usualRun(() => 'backup', oneMoreNote)
    const kills = still === 'stopped' ? everywhere(usual, 8) : still === 'paused' ? aroundSteps(usual) : []
    await dataCases(host, `backup, ${still}`, of([...kills, ...within(usual, 'back up', 2)]))
  },
  patience,
)

test.each([1, 2])(
  'a verification at level %i killed anywhere leaves nothing behind',
  async (level) => {
    await host.settle()
    await host.run({ operation: 'backup' })
    const { usual, of } = await usualRun(() => `verify ${level}`, oneMoreNote)
    await dataCases(host, `verify ${level}`, of([...everywhere(usual, 6), ...within(usual, 'store', 2)]))
  },
  patience,
)

test(
  'a restore killed anywhere ends with all of the data of before or all of the backup',
  async () => {
    await host.settle()
    await host.more()
    const old = await host.served()
    await host.run({ operation: 'backup' })
    const [backup = ''] = host.journal.history(1).map((each) => each.backup ?? '')
    const before = async (): Promise<DataExpected> => {
      await host.more()
      const { notes } = await host.served()
      expect(notes).not.toBe(old.notes)
      const outcomes = [notes, old.notes]
      return { version: '1.0.0', outcomes, keeps: ['1.0.0'], ...ends }
    }
    const { usual, of } = await usualRun(() => `restore ${backup}`, before)
    expect(usual.points).toContain('restore: safety backup begun')
    const kills = [...everywhere(usual, 10), ...within(usual, 'put back data', 3)]
    await dataCases(host, 'restore', of(kills))
  },
  patience,
)

test(
  'killed while the database server stands still for a copy of its own files, it serves again with all data',
  async () => {
    await host.settle({ serverFiles: true })
    const { usual, of } = await usualRun(() => 'backup', oneMoreNote)
    const stops = usual.requests.flatMap((request, at) => (request === 'POST /containers/stop' ? [at] : []))
    expect(stops.length).toBe(2)
    const still = aroundRequests(usual, 4).filter(
      (kill) => kill.at === 'request' && kill.number > (stops[1] ?? 0) - 1,
    )
    await dataCases(
      host,
      "backup with the server's own files",
      of([...still, ...within(usual, 'back up', 2)]),
    )
    const old = await host.served()
    await host.run({ operation: 'backup' })
    const [backup] = host.journal.recordedBackups()
    const restored = await usualRun(
      () => `restore ${backup?.id}`,
      async () => {
        const expected = await oneMoreNote()
        return { ...expected, outcomes: [...(expected.outcomes ?? []), old.notes] }
      },
    )
    const times = within(restored.usual, 'put back data', 3)
    await dataCases(host, "restore with the server's own files", restored.of(times))
  },
  patience,
)
