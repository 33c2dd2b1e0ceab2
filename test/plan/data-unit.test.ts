import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { serviceOf } from '../../reconciler/desired-state/policies.ts'
import type { DataPart, ServicePolicy } from '../../reconciler/desired-state.ts'
import { type DataUnit, type Surroundings, unitOf, unitsOf } from '../../reconciler/plan/data-unit.ts'

type While = ServicePolicy['backup']['while']

const policyOf = (service: string, data: DataPart[], wish: While = 'stopped'): ServicePolicy => ({
  ...serviceOf(service, `${service}.yaml`, { image: 'a', tag: '1' }, new Set()),
  data,
  backup: { before: 'update', while: wish },
})

const policies = (...all: ServicePolicy[]): Record<string, ServicePolicy> =>
  Object.fromEntries(all.map((policy) => [policy.service, policy]))

const database = (name: string, server = 'postgres'): DataPart => ({
  postgres: server,
  database: name,
  user: name,
})
const volume = (name: string, ...exclude: string[]): DataPart => ({ volume: name, exclude })

/** The stack of desired-state/ and compose/. */
const around: Surroundings = {
  volumeUsers: { 'gitea-data': ['gitea'], 'postgres-data': ['postgres'] },
  dependsOn: { nginx: ['gitea'], gitea: ['postgres'] },
}
const both = [database('gitea'), volume('gitea-data', 'gitea/log', 'gitea/indexers')]
const starter = policies(policyOf('nginx', []), policyOf('gitea', both), policyOf('postgres', both))

const unit = (other: Partial<DataUnit> = {}): DataUnit => ({
  owners: [],
  databases: [],
  volumes: [],
  stop: [],
  servers: [],
  stopAfterDumps: [],
  while: 'stopped',
  ...other,
})

describe('the starter stack', () => {
  const together = unit({
    owners: ['gitea', 'postgres'],
    databases: [{ server: 'postgres', database: 'gitea', user: 'gitea' }],
    volumes: [{ volume: 'gitea-data', exclude: ['gitea/indexers', 'gitea/log'] }],
    stop: ['gitea'],
    servers: ['postgres'],
  })

  test('gitea and its database server are one unit: gitea stops, the server runs on for the dump', () => {
    expect(unitOf('gitea', starter, around)).toEqual(together)
    expect(unitOf('postgres', starter, around)).toEqual(together)
    expect(unitOf(['gitea', 'postgres'], starter, around)).toEqual(together)
  })

  test('a service without data has none, and stops nobody', () => {
    expect(unitOf('nginx', starter, around)).toEqual(unit())
  })

  test('what is shared is backed up once by the schedule', () => {
    expect(unitsOf(starter, around)).toEqual([together])
  })
})

describe('a database server', () => {
  const two = policies(
    policyOf('gitea', [database('gitea'), volume('gitea-data')]),
    policyOf('wiki', [database('wiki')]),
    policyOf('postgres', []),
  )

  test('brings the data of everybody who has a database in it, though its own file names none', () => {
    expect(unitOf('postgres', two, around)).toMatchObject({
      owners: ['gitea', 'wiki'],
      databases: [{ database: 'gitea' }, { database: 'wiki' }],
      stop: ['gitea', 'wiki'],
      servers: ['postgres'],
    })
  })

  test('leaves the others alone when one of them is updated', () => {
    expect(unitOf('wiki', two, around)).toMatchObject({ owners: ['wiki'], stop: ['wiki'], volumes: [] })
    expect(unitsOf(two, around).map((each) => each.owners)).toEqual([['gitea'], ['wiki']])
  })

  test('whose own volume is a part stops after the dumps, not before', () => {
    const own = policies(
      policyOf('gitea', [database('gitea')]),
      policyOf('postgres', [database('gitea'), volume('postgres-data')]),
    )
    expect(unitOf('gitea', own, around)).toMatchObject({ stop: ['gitea'], stopAfterDumps: ['postgres'] })
  })

  test('is of one unit with everybody whose database is in its files', () => {
    const files = policies(
      policyOf('gitea', [database('gitea')]),
      policyOf('postgres', [volume('certificates')]),
    )
    const surroundings = { ...around, volumeUsers: { certificates: ['postgres', 'nginx'] } }
    expect(unitsOf(files, surroundings)).toMatchObject([
      {
        owners: ['gitea', 'postgres'],
        stop: ['nginx', 'gitea'],
        servers: ['postgres'],
        stopAfterDumps: ['postgres'],
      },
    ])
  })
})

describe('who must stand still', () => {
  test('everybody who mounts a volume of it, with or without a file of its own, dependents first', () => {
    const surroundings = {
      volumeUsers: { 'gitea-data': ['gitea', 'ssh', 'backup-viewer'] },
      dependsOn: { 'backup-viewer': ['nginx'], nginx: ['gitea'], gitea: ['postgres', 'ssh'], ssh: [] },
    }
    expect(unitOf('gitea', starter, surroundings).stop).toEqual(['backup-viewer', 'gitea', 'ssh'])
  })

  test('services that wait for each other in a circle stop as well', () => {
    const circle = { volumeUsers: { 'gitea-data': ['a', 'b'] }, dependsOn: { a: ['b'], b: ['a'] } }
    expect(unitOf('gitea', starter, circle).stop.toSorted()).toEqual(['a', 'b', 'gitea'])
  })

  test.each<[While[], While]>([
    [['running', 'running'], 'running'],
    [['running', 'paused'], 'paused'],
    [['paused', 'stopped'], 'stopped'],
    [['stopped', 'running'], 'stopped'],
  ])('of the wishes %j the most careful counts', (wishes, expected) => {
    const shared = policies(...wishes.map((wish, index) => policyOf(`s${index}`, [volume('v')], wish)))
    expect(unitOf('s0', shared, around).while).toBe(expected)
  })
})

describe('what is left out', () => {
  const excludes = (...lists: string[][]): string[] => {
    const shared = policies(...lists.map((list, index) => policyOf(`s${index}`, [volume('v', ...list)])))
    return unitOf('s0', shared, around).volumes[0]?.exclude ?? []
  }

  test.each([
    ['what one of them needs is not', [['log', 'tmp'], ['tmp']], ['tmp']],
    ['a folder inside what the other leaves out is', [['gitea'], ['gitea/log']], ['gitea/log']],
    ['names that only begin alike are different folders', [['log'], ['logs']], []],
    ['nothing is, when one of them leaves out nothing', [['log'], []], []],
    ['what lies in another one is said once', [['a', 'a/b'], ['a']], ['a']],
    [
      'with three of them',
      [
        ['a', 'b/c'],
        ['a/x', 'b'],
        ['a', 'b/c/d'],
      ],
      ['a/x', 'b/c/d'],
    ],
  ])('%s', (_, lists, expected) => {
    expect(excludes(...lists)).toEqual(expected)
  })
})

test('whoever shares with whom, every service with data is in exactly one unit, and every part too', () => {
  const part = fc.oneof(
    fc.constantFrom('a', 'b', 'c', 'd').map((name) => volume(name)),
    fc
      .tuple(fc.constantFrom('s0', 's1', 'db'), fc.constantFrom('x', 'y'))
      .map(([server, name]) => database(name, server)),
  )
  const list = fc.array(fc.array(part, { maxLength: 3 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(list, (data) => {
      const all = policies(...data.map((parts, index) => policyOf(`s${index}`, parts)))
      const units = unitsOf(all, { volumeUsers: {}, dependsOn: {} })
      const withData = Object.values(all).filter((policy) => policy.data.length > 0)
      expect(units.flatMap((each) => each.owners).toSorted()).toEqual(
        withData.map((each) => each.service).toSorted(),
      )
      const parts = units.flatMap((each) => [
        ...each.volumes.map((one) => one.volume),
        ...each.databases.map((one) => `${one.server} ${one.database}`),
      ])
      expect(new Set(parts).size).toBe(parts.length)
      for (const each of units) {
        for (const owner of each.owners) expect([...each.stop, ...each.servers]).toContain(owner)
        for (const server of each.servers) expect(each.stop).not.toContain(server)
      }
    }),
  )
})
