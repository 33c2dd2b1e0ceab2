import { afterAll, beforeAll, expect, test } from 'vitest'
import { patience } from './cases.ts'
import { aroundRequests, aroundSteps, type DataCase, dataCases } from './with-data-cases.ts'
import { backToSchema1, type DataHost, startDataHost } from './with-data-host.ts'
import { brokenDataPromises, type DataExpected } from './with-data-promises.ts'

let host: DataHost
let server = '15.1'

beforeAll(async () => {
  host = await startDataHost('crash-data-good')
}, patience)
afterAll(() => host[Symbol.asyncDispose]())

/** 1.0.0 with one more note, and a commit that wants 2.1.0, which migrates rows and files and is good. */
const migrates = async (): Promise<DataExpected> => {
  if ((await host.served()).version !== '1.0.0') await backToSchema1(host)
  await host.more()
  const { notes } = await host.served()
  await host.want({ notes: '2.1.0' })
  const ends = { results: ['applied'], work: ['replace notes'] }
  return { version: '2.1.0', outcomes: [notes], keeps: ['1.0.0', '2.1.0'], ...ends }
}

/** The other one of two versions of the database server. */
const newServer = async (): Promise<DataExpected> => {
  server = server === '15.1' ? '15.2' : '15.1'
  await host.more()
  const { notes } = await host.served()
  await host.want({ postgres: server })
  const ends = { results: ['applied'], work: ['replace postgres'], server }
  return { version: '1.0.0', outcomes: [notes], keeps: ['1.0.0'], ...ends }
}

async function everywhere(prepare: DataCase['prepare'], one: number) {
  const first = await prepare()
  expect(await brokenDataPromises(host, first, (await host.run({ passes: 2 })).reports)).toEqual([])
  await prepare()
  const usual = await host.run({ passes: 2 })
  const of = (kills: DataCase['kills']) => kills.map((kill): DataCase => ({ kills: [kill], usual, prepare }))
  return { usual, steps: of(aroundSteps(usual)), requests: of(aroundRequests(usual, one)) }
}

test(
  'a good roll-out that migrates data, killed anywhere, ends with the new version and its data',
  async () => {
    const { usual, steps, requests } = await everywhere(migrates, 4)
    expect(usual.points).toContain('replace: back up begun')
    await dataCases(host, 'good roll-out with data, by step', steps)
    await dataCases(host, 'good roll-out with data, by Engine request', requests)
  },
  patience,
)

test(
  'an update of the database server, killed anywhere, ends with the new server and all data',
  async () => {
    if ((await host.served()).version !== '1.0.0') await backToSchema1(host)
    const { usual, steps, requests } = await everywhere(newServer, 4)
    expect(usual.points).toContain('replace: back up begun')
    await dataCases(host, 'update of the database server, by step', steps)
    await dataCases(host, 'update of the database server, by Engine request', requests)
  },
  patience,
)
