import { afterAll, beforeAll, expect, test } from 'vitest'
import { patience } from './cases.ts'
import type { Kill, Ran } from './child.ts'
import { aroundRequests, aroundSteps, type DataCase, dataCases, pointOf, within } from './with-data-cases.ts'
import { type DataHost, startDataHost } from './with-data-host.ts'
import { brokenDataPromises, type DataExpected } from './with-data-promises.ts'

let host: DataHost
let usual: Ran

/** A person asks for the failing version once more, and there is one more note that must come back. */
const again = async (): Promise<DataExpected> => {
  host.journal.retry('notes')
  await host.more()
  const { notes } = await host.served()
  const ends = { results: ['reverted'], quarantined: true, work: ['replace notes'] }
  return { version: '1.0.0', outcomes: [notes], keeps: ['1.0.0'], ...ends }
}

const caseOf = (...kills: Kill[]): DataCase => ({ kills, usual, prepare: again })

beforeAll(async () => {
  host = await startDataHost('crash-data-failing')
  // 2.0.0 migrates rows and files, and then /healthz says 503 for ever.
  await host.want({ notes: '2.0.0', within: '1500ms' })
  await host.run()
  const expected = await again()
  usual = await host.run({ passes: 2 })
  expect(await brokenDataPromises(host, expected, usual.reports)).toEqual([])
}, patience)
afterAll(() => host[Symbol.asyncDispose]())

test(
  'a failing roll-out killed before or after any step ends with the old version and all of its data',
  async () => {
    expect(usual.points).toContain('replace: put back data begun')
    await dataCases(
      host,
      'failing roll-out with data, by step',
      aroundSteps(usual).map((kill) => caseOf(kill)),
    )
  },
  patience,
)

test(
  'a failing roll-out killed around any Engine request ends with the old version and all of its data',
  async () => {
    const cases = aroundRequests(usual, 6).map((kill) => caseOf(kill))
    expect(usual.requests).toContain('PUT /containers/archive')
    await dataCases(host, 'failing roll-out with data, by Engine request', cases)
  },
  patience,
)

test(
  'a failing roll-out killed at any time while data is copied or put back loses none of it',
  async () => {
    const times = [...within(usual, 'back up', 2), ...within(usual, 'put back data', 3)]
    await dataCases(
      host,
      'failing roll-out with data, at times',
      times.map((kill) => caseOf(kill)),
    )
  },
  patience,
)

test(
  'a recovery of data that is killed itself is recovered from',
  async () => {
    const inTheMiddle = { ...pointOf(usual, 'put back data begun'), later: 100 } as Kill
    host.journal.retry('notes')
    await host.run({ kill: inTheMiddle })
    const recovery = await host.run()
    const twice = [
      ...within(recovery, 'put back data', 1),
      pointOf(recovery, 'put back data done'),
      pointOf(recovery, 'bring back done'),
    ]
    await dataCases(
      host,
      'failing roll-out with data, killed again while recovering',
      twice.map((kill) => ({ ...caseOf(inTheMiddle, kill), recovery })),
    )
  },
  patience,
)

test(
  'what a killed process left at work on a volume is ended before data goes back into it',
  async () => {
    const expected = await again()
    await host.run({ kill: { ...pointOf(usual, 'put back data begun'), later: 50 } as Kill })
    const [open] = host.journal.unfinished()
    const { engine } = await host.parts()
    const [volume] = open?.intent.data?.volumes ?? []
    const image = open?.intent.data?.eraser ?? ''
    const slow = { image, volumes: { [volume?.volumeName ?? '']: '/samovar' }, environment: {} }
    await engine.startScratch(
      await engine.scratch(open?.id ?? '', { ...slow, command: ['sleep', '1000'], user: '0' }),
    )
    const { reports } = await host.run({ passes: 2 })
    expect(await brokenDataPromises(host, expected, reports)).toEqual([])
  },
  patience,
)

test(
  'data that was cut short half put back again and again is served to nobody, and a restore ends that',
  async () => {
    const expected = await again()
    const inTheMiddle = { ...pointOf(usual, 'put back data begun'), later: 100 } as Kill
    const first = await host.run({ kill: inTheMiddle })
    expect(first.points.at(-1)).toBe('replace: put back data begun')
    // Once more what was done before, then it is begun again: the fifth point of every recovery.
    for (let times = 0; times < 5; times += 1) {
      const { points } = await host.run({ kill: { at: 'point', number: 5, later: 100 } })
      expect(points.at(-1), `recovery ${times}`).toBe('replace: put back data begun')
    }
    const { reports } = await host.run({ passes: 2 })
    const [stuck] = host.journal.history(1, 'notes')
    expect(stuck).toMatchObject({ result: 'stuck' })
    expect(await host.truth()).toBeNull()
    expect(host.journal.dirty().map((each) => each.service)).toEqual(['notes'])
    expect(reports.at(-1)?.operations).toEqual([])
    expect(host.pairs()).toEqual([])
    await host.run({ operation: `restore ${stuck?.backup}` })
    const after = await host.run({ passes: 2 })
    const restored = { ...expected, results: ['applied'] }
    expect(await brokenDataPromises(host, restored, after.reports)).toEqual([])
  },
  patience,
)
