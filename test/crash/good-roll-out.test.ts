import { afterAll, beforeAll, expect, test } from 'vitest'
import { crashCases, patience } from './cases.ts'
import type { Ran } from './child.ts'
import { atPoints, atRequests, type CrashHost, startCrashHost } from './crash-host.ts'
import { brokenPromises } from './promises.ts'

let host: CrashHost
let usual: Ran
let version = '1.0.0'

/** The next version: each case rolls out the other one of two, so that nothing has to be put back between them. */
const other = async (soak: string) => {
  version = version === '1.0.0' ? '1.1.0' : '1.0.0'
  await host.want(version, { soak })
  return { version, result: 'applied' }
}

beforeAll(async () => {
  host = await startCrashHost('crash-good')
  await host.want('1.1.0')
  await host.run()
  await host.want('1.0.0')
  await host.run()
  await other('0s')
  usual = await host.run({ passes: 2 })
  expect(await brokenPromises(host, { version, result: 'applied' }, usual.reports)).toEqual([])
})
afterAll(() => host[Symbol.asyncDispose]())

test(
  'a good roll-out killed before or after any step ends with the new version and nothing left over',
  async () => {
    const cases = atPoints(usual).map((kill) => ({ kills: [kill], usual, prepare: () => other('10m') }))
    expect(usual.points).toContain('replace: set aside begun')
    await crashCases(host, 'good roll-out, by step', cases)
  },
  patience,
)

test(
  'a good roll-out killed around any Engine request ends with the new version and nothing left over',
  async () => {
    expect(usual.requests.toSorted()).toEqual([
      'DELETE /containers',
      'POST /containers/create',
      'POST /containers/rename',
      'POST /containers/rename',
      'POST /containers/start',
      'POST /containers/stop',
      'POST /containers/update',
      'POST /containers/update',
    ])
    const cases = atRequests(usual).map((kill) => ({ kills: [kill], usual, prepare: () => other('0s') }))
    await crashCases(host, 'good roll-out, by Engine request', cases)
  },
  patience,
)
