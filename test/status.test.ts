import { describe, expect, test } from 'vitest'
import type { Running } from '../reconciler/engine/engine.ts'
import type { OperationKind } from '../reconciler/journal/operation.ts'
import type { Change } from '../reconciler/plan/change.ts'
import type { Target } from '../reconciler/plan/target.ts'
import { type ServiceStatus, type StatusStanding, serviceStatuses, summaryOf } from '../reconciler/status.ts'

const commit = '1a2b3c4d'.padEnd(40, '0')
const digest = (letter: string): string => `sha256:${letter.repeat(64)}`

const target = (service: string, other: Partial<Target> = {}): Target => ({
  service,
  containerName: `host-${service}-1`,
  image: { name: service, tag: '1.1.0', digest: digest('b') },
  imageId: null,
  configuration: 'configuration',
  dependsOn: [],
  shares: [],
  endsByItself: false,
  onDemand: false,
  window: null,
  problem: null,
  ...other,
})

const running = (service: string, other: Partial<Running> = {}): Running => ({
  instance: `id-of-${service}`,
  name: `host-${service}-1`,
  service,
  node: '',
  image: { id: 'id', name: service, tag: '1.0.0', digest: digest('a') },
  state: 'running',
  health: 'healthy',
  exitCode: null,
  createdAt: Date.UTC(2026, 10, 22),
  configuration: 'configuration',
  operation: 'operation',
  oneOff: false,
  networks: [],
  mounts: [],
  revision: '',
  ...other,
})

const change = (service: string, other: Partial<Change> = {}): Change => ({
  service,
  action: 'none',
  reasons: [],
  held: null,
  startsAt: null,
  drift: false,
  current: null,
  together: null,
  ...other,
})

const quiet: StatusStanding = {
  paused: new Set(),
  quarantined: [],
  stuck: new Set(),
  dirty: [],
  atWork: new Map(),
}
const atWork = (kind: OperationKind, step: string) =>
  new Map([['web', { id: 'operation', kind, step, words: `${step} for 12 s` }]])
const replace = {
  action: 'replace' as const,
  reasons: [{ field: 'image', before: '1.0.0', after: '1.1.0' }],
}

function statusOf(
  about: { target?: Partial<Target>; running?: Partial<Running> | null; change?: Partial<Change> },
  standing: Partial<StatusStanding> = {},
): ServiceStatus {
  const all = about.running === null ? [] : [running('web', about.running)]
  const plan = { commit, changes: [change('web', about.change)], foreign: [] }
  const sight = { host: 'host', commit, targets: [target('web', about.target)], running: all, plan }
  const [status] = serviceStatuses(sight, { ...quiet, ...standing })
  return status as ServiceStatus
}

describe('how a service stands', () => {
  test('in sync: both versions, since when, and nothing to say', () => {
    expect(statusOf({})).toEqual({
      name: 'web',
      sync: 'synced',
      health: 'healthy',
      state: 'idle',
      reason: '',
      startsAt: null,
      operation: null,
      desired: { image: 'web', tag: '1.1.0', digest: digest('b') },
      running: {
        image: 'web',
        tag: '1.0.0',
        digest: digest('a'),
        container: 'host-web-1',
        since: '2026-11-22T00:00:00.000Z',
      },
    })
  })

  test('a change that comes next says what it is about', () => {
    expect(statusOf({ change: replace })).toMatchObject({
      sync: 'out-of-sync',
      state: 'idle',
      reason: 'replace: image 1.0.0 -> 1.1.0',
    })
  })

  test('held, quarantined, stuck and paused are told apart, with their reason', () => {
    const held = { ...replace, held: 'because' }
    const quarantine = {
      service: 'web',
      digest: digest('b'),
      configuration: 'configuration',
      operation: '',
      reason: '',
      startsAt: null,
      at: 0,
    }
    expect(statusOf({ change: held })).toMatchObject({ state: 'held', reason: 'because' })
    expect(statusOf({ change: held }, { quarantined: [quarantine] }).state).toBe('quarantined')
    expect(statusOf({ change: held }, { quarantined: [{ ...quarantine, digest: digest('c') }] }).state).toBe(
      'held',
    )
    expect(statusOf({ change: held }, { stuck: new Set(['web']), quarantined: [quarantine] }).state).toBe(
      'stuck',
    )
    expect(statusOf({ change: held }, { paused: new Set(['web']), stuck: new Set(['web']) }).state).toBe(
      'paused',
    )
  })

  test('what is being rolled out says the step, whatever else there is', () => {
    const standing = { atWork: atWork('replace', 'check health'), stuck: new Set(['web']) }
    expect(statusOf({ change: replace }, standing)).toMatchObject({
      state: 'rolling-out',
      reason: 'check health for 12 s',
      operation: { id: 'operation', kind: 'replace', step: 'check health' },
    })
  })

  test('what is backed up or verified is no other than before, and says what is done', () => {
    for (const kind of ['backup', 'verify'] as const)
      expect(statusOf({}, { atWork: atWork(kind, 'back up') })).toMatchObject({
        sync: 'synced',
        state: 'idle',
        reason: 'back up for 12 s',
        operation: { kind },
      })
    expect(statusOf({}, { atWork: atWork('restore', 'put back data') }).state).toBe('rolling-out')
  })

  test('half restored data is stuck with its way out, unless a restore is at work', () => {
    const dirty = [{ service: 'web', backup: '20261122T021400Z-0007-9f3c1a' }]
    for (const paused of [new Set<string>(), new Set(['web'])])
      expect(statusOf({}, { dirty, paused })).toMatchObject({
        state: 'stuck',
        reason:
          'its data is only half put back from backup 20261122T021400Z-0007-9f3c1a, so nothing is started on it; next: samovar restore 20261122T021400Z-0007-9f3c1a',
      })
    expect(statusOf({}, { dirty, atWork: atWork('restore', 'put back data') }).state).toBe('rolling-out')
  })

  test('a tag that cannot be resolved is out of sync, with the problem', () => {
    const image = { name: 'web', tag: '9.9.9', digest: '' }
    expect(statusOf({ target: { image, problem: 'there is no 9.9.9' } })).toMatchObject({
      sync: 'out-of-sync',
      state: 'held',
      reason: 'there is no 9.9.9',
    })
  })

  test('health is that of the engine; what does not run is stopped', () => {
    expect(statusOf({ running: { health: 'starting' } }).health).toBe('starting')
    expect(statusOf({ running: { health: 'none' } }).health).toBe('none')
    expect(statusOf({ running: { state: 'exited', health: 'healthy' } }).health).toBe('stopped')
    expect(statusOf({ running: { state: 'restarting' } })).toMatchObject({
      health: 'unhealthy',
      reason: 'it ends again and again; next: docker logs host-web-1',
    })
    expect(statusOf({ running: null })).toMatchObject({ health: 'stopped', running: null })
  })
})

describe('the first line', () => {
  const service = (name: string, other: Partial<ServiceStatus> = {}): ServiceStatus => ({
    ...statusOf({}),
    name,
    ...other,
  })
  const behind = (state: ServiceStatus['state']): Partial<ServiceStatus> => ({ sync: 'out-of-sync', state })
  const summary = (...services: ServiceStatus[]): string => summaryOf(services, commit)

  test('all is well', () => {
    expect(summary(service('a'), service('b'), service('c'), service('d'))).toBe(
      'All 4 services run what commit 1a2b3c4d says.',
    )
    expect(summary(service('a'))).toBe('The service a runs what commit 1a2b3c4d says.')
  })

  test('one service is behind', () => {
    expect(summary(service('web', behind('quarantined')), service('db'), service('proxy'))).toBe(
      'web is quarantined. The other 2 services run what commit 1a2b3c4d says.',
    )
    expect(summary(service('web', behind('rolling-out')))).toBe('web is being rolled out.')
  })

  test('several are behind', () => {
    expect(summary(service('web', behind('idle')), service('db', behind('paused')), service('proxy'))).toBe(
      '2 of 3 services do not run what commit 1a2b3c4d says: web (changes next), db (paused).',
    )
  })

  test('in sync, but ill or paused', () => {
    expect(summary(service('web', { health: 'unhealthy' }), service('db', { state: 'paused' }))).toBe(
      'Both services run what commit 1a2b3c4d says; unhealthy: web; paused: db.',
    )
  })

  test('a backup, a verification or a restore that goes on is said as what it is', () => {
    const busy = (kind: OperationKind, other: Partial<ServiceStatus> = {}) =>
      service('web', { operation: { id: 'operation', kind, step: 'back up' }, ...other })
    expect(summary(busy('backup'), service('db'))).toBe(
      'Both services run what commit 1a2b3c4d says; web is being backed up.',
    )
    expect(summary(busy('verify'), service('db'))).toBe(
      'Both services run what commit 1a2b3c4d says; the backup of web is being verified.',
    )
    expect(summary(busy('backup', { sync: 'out-of-sync', health: 'stopped' }), service('db'))).toBe(
      'web is being backed up. The other service runs what commit 1a2b3c4d says.',
    )
    expect(summary(busy('restore', { state: 'rolling-out' }), service('db'))).toBe(
      'web is being restored. The other service runs what commit 1a2b3c4d says.',
    )
    expect(summary(service('web', { state: 'stuck' }), service('db'))).toBe(
      'web is stuck. The other service runs what commit 1a2b3c4d says.',
    )
  })

  test('nothing was ever good', () => {
    expect(summaryOf([], null)).toBe(
      'No commit of the host repository was ever good, so nothing is rolled out.',
    )
  })
})
