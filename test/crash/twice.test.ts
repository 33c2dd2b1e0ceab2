import { expect, test } from 'vitest'
import { type Case, crashCases, patience } from './cases.ts'
import type { Kill } from './child.ts'
import { type CrashHost, startCrashHost, thorough } from './crash-host.ts'
import { brokenPromises, servingContainer } from './promises.ts'

/** As `number`, counted by what is there: the first point of that name. */
const pointOf = (points: string[], name: string): Kill => ({ at: 'point', number: points.indexOf(name) + 1 })

test(
  'a recovery that is killed itself is recovered from, whatever it had done by then',
  async () => {
    await using host = await startCrashHost('crash-twice')
    await host.want('1.0.0')
    await host.run()
    const old = await servingContainer(host)
    await host.want('2.0.0', { within: '500ms' })
    const usual = await host.run({ passes: 2 })
    const again = async () => {
      host.journal.retry('web')
      return { version: '1.0.0', container: old, result: 'reverted', quarantined: true }
    }
    expect(await brokenPromises(host, await again(), usual.reports)).toEqual([
      'the failing image is not quarantined',
    ])
    const inTheSwap = pointOf(usual.points, 'replace: set aside done')
    const recovery = await recoveryAfter(host, inTheSwap)
    expect(recovery.requests.length).toBeGreaterThan(5)
    const cases: Case[] = recovery.requests.flatMap((request, index) => {
      const kills: Kill[] = [inTheSwap, { at: 'request', number: index + 1, when: 'after' }]
      const one = { kills, usual: { ...usual, requests: recovery.requests }, prepare: again }
      return request.endsWith('/update') && !thorough ? [] : [one]
    })
    await crashCases(host, 'killed again while recovering', cases)
  },
  patience,
)

test(
  'a roll-out that was cut short again and again is given up for the old version',
  async () => {
    await using host = await startCrashHost('crash-capped')
    await host.want('1.0.0')
    await host.run()
    const old = await servingContainer(host)
    await host.want('1.1.0')
    for (let times = 0; times < 4; times += 1) {
      const { killed, points } = await host.run({
        kill: { at: 'request', number: times === 0 ? 5 : 1, when: 'before' },
      })
      expect(killed, points.join('\n')).toBe(true)
    }
    const { reports } = await host.run({ passes: 2 })
    const [operation] = host.journal.history(1, 'web')
    expect(operation?.reason).toContain('cut short 3 times')
    const expected = { version: '1.0.0', container: old, result: 'reverted', quarantined: true }
    expect(await brokenPromises(host, expected, reports)).toEqual([])
  },
  patience,
)

test(
  'a recovery that waits for a version that never gets healthy does not block the commit that fixes it',
  async () => {
    await using host = await startCrashHost('crash-fixed')
    await host.want('1.0.0')
    await host.run()
    await host.want('2.0.0', { within: '10m' })
    const { points } = await host.run({ kill: { at: 'point', number: 11 } })
    expect(points.at(-1)).toBe('replace: check health begun')
    await host.want('1.1.0')
    const { reports } = await host.run({ passes: 2 })
    expect(reports[0]?.operations.map((each) => each.result)).toEqual(['reverted', 'applied'])
    expect(await brokenPromises(host, { version: '1.1.0', result: 'applied' }, reports)).toEqual([])
  },
  patience,
)

async function recoveryAfter(host: CrashHost, kill: Kill) {
  host.journal.retry('web')
  await host.run({ kill })
  return host.run()
}
