import { afterAll, beforeAll, expect, test } from 'vitest'
import { crashCases, patience } from './cases.ts'
import type { Ran } from './child.ts'
import { atPoints, type CrashHost, startCrashHost } from './crash-host.ts'
import { brokenPromises, servingContainer } from './promises.ts'

let host: CrashHost
let version = '1.0.0'

const hold = { soak: '0s', extra: 'hold: 5s\n' }

/** The next version: each case rolls out the other one of two. */
const other = async () => {
  version = version === '1.0.0' ? '1.1.0' : '1.0.0'
  await host.want(version, hold)
  return { version, result: 'applied' }
}

beforeAll(async () => {
  host = await startCrashHost('crash-hold')
  await host.want('1.0.0', hold)
  await host.run()
})
afterAll(() => host[Symbol.asyncDispose]())

/** Where a step begins, from the first one on in which requests may be held. */
const whileHeld = (usual: Ran) => {
  const first = usual.points.findIndex((point) => point.includes('hold requests begun'))
  return atPoints(usual).filter((_, at) => at >= first && (usual.points[at] ?? '').endsWith(' begun'))
}

test(
  'killed while requests are held, none is held for good',
  async () => {
    await other()
    const usual = await host.run({ passes: 2 })
    expect(await brokenPromises(host, { version, result: 'applied' }, usual.reports)).toEqual([])
    const kills = whileHeld(usual)
    expect(kills.length).toBeGreaterThan(4)
    const cases = kills.map((kill) => ({ kills: [kill], usual, prepare: other }))
    await crashCases(host, 'requests are held, by step', cases)
  },
  patience,
)

test(
  'killed on the way back while requests are held, none is held for good',
  async () => {
    const failing = async () => {
      await host.want(version, hold)
      await host.run({ passes: 2 })
      for (const each of host.journal.quarantined()) host.journal.retry(each.service)
      const container = await servingContainer(host)
      await host.want('2.1.0', hold)
      return { version, result: 'reverted', quarantined: true, container }
    }
    const expected = await failing()
    const usual = await host.run({ passes: 2 })
    expect(await brokenPromises(host, expected, usual.reports)).toEqual([])
    const cases = whileHeld(usual)
      .filter(
        (kill) =>
          kill.at === 'point' &&
          /hold requests again|bring back|check health again/.test(usual.points[kill.number - 1] ?? ''),
      )
      .map((kill) => ({ kills: [kill], usual, prepare: failing }))
    await crashCases(host, 'requests are held on the way back, by step', cases)
  },
  patience,
)
