import { afterAll, beforeAll, expect, test } from 'vitest'
import { crashCases, patience } from './cases.ts'
import type { Ran } from './child.ts'
import { atPoints, atRequests, type CrashHost, startCrashHost } from './crash-host.ts'
import { brokenPromises, servingContainer } from './promises.ts'

let host: CrashHost
let usual: Ran
let old: string

const reverted = () => ({ version: '1.0.0', container: old, result: 'reverted', quarantined: true })
/** A person asks for the failing version once more; it is the same commit every time. */
const again = async () => {
  host.journal.retry('web')
  return reverted()
}

beforeAll(async () => {
  host = await startCrashHost('crash-failing')
  await host.want('1.0.0')
  await host.run()
  old = await servingContainer(host)
  // 2.0.0 starts and answers, but /healthz says 503 for ever.
  await host.want('2.0.0', { within: '500ms' })
  await host.run()
  await again()
  usual = await host.run({ passes: 2 })
  expect(await brokenPromises(host, reverted(), usual.reports)).toEqual([])
})
afterAll(() => host[Symbol.asyncDispose]())

test(
  'a failing roll-out killed before or after any step ends with the old container and says so',
  async () => {
    expect(usual.points).toContain('replace: bring back begun')
    const cases = atPoints(usual).map((kill) => ({ kills: [kill], usual, prepare: again }))
    await crashCases(host, 'failing roll-out, by step', cases)
  },
  patience,
)

test(
  'a revert killed around any Engine request ends with the old container and says so',
  async () => {
    const started = usual.requests.lastIndexOf(
      'POST /containers/update',
      usual.requests.indexOf('DELETE /containers') - 1,
    )
    expect(usual.requests.slice(started)).toEqual([
      'POST /containers/update',
      'POST /containers/stop',
      'DELETE /containers',
      'POST /containers/rename',
      'POST /containers/update',
      'POST /containers/start',
    ])
    const cases = atRequests(usual, started + 1).map((kill) => ({ kills: [kill], usual, prepare: again }))
    await crashCases(host, 'revert, by Engine request', cases)
  },
  patience,
)
