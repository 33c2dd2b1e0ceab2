import { type AddressInfo, createServer } from 'node:net'
import { expect, test } from 'vitest'
import type { HealthCheck } from '../../reconciler/desired-state.ts'
import type { Inspected } from '../../reconciler/engine/engine.ts'
import { SamovarError } from '../../reconciler/errors.ts'
import {
  type CheckContext,
  type CheckResult,
  makeChecks,
  runCheck,
} from '../../reconciler/health/health-check.ts'

const pace = { every: 1000, timeout: 2000 }

const running: Inspected = {
  instance: 'c0ffee',
  name: 'gitea-gitea-1',
  image: { id: 'sha256:1', digests: [] },
  state: 'running',
  health: 'none',
  healthLog: [],
  exitCode: 0,
  restarts: 0,
  startedAt: 1,
  finishedAt: 0,
  configuration: { Image: 'sha256:1', Labels: {}, HostConfig: {} },
  imageDefaults: null,
  anonymousVolumes: [],
  addresses: {},
}

function context(seen: Partial<Inspected>, more: Partial<CheckContext> = {}): CheckContext {
  const engine: CheckContext['engine'] = {
    inspect: async () => ({ ...running, ...seen }),
    run: async () => ({ exitCode: 0, output: '' }),
  }
  const instanceOf = async (service: string) => `instance of ${service}`
  return {
    service: 'gitea',
    tag: '1.22.6',
    engine,
    instanceOf,
    restartsAtStart: 0,
    root: '/nowhere',
    ...more,
  }
}

async function lookAll(policy: HealthCheck[], where: CheckContext): Promise<CheckResult[]> {
  const signal = new AbortController().signal
  return Promise.all(makeChecks(policy, where).map((check) => runCheck(check, signal)))
}

const lookOnce = async (
  seen: Partial<Inspected>,
  more: Partial<CheckContext> = {},
  policy: HealthCheck[] = [],
) => (await lookAll(policy, context(seen, more)))[0]

test('without a named check the engine has the word, and without its health check running is enough', async () => {
  expect(await lookOnce({})).toEqual({ ok: true, said: 'running without a restart (gitea-gitea-1)' })
  expect(await lookOnce({ health: 'healthy' })).toEqual({
    ok: true,
    said: 'container is healthy (gitea-gitea-1)',
  })
  expect(await lookOnce({ health: 'starting' })).toEqual({
    ok: false,
    said: 'container is starting (gitea-gitea-1)',
  })
  expect(await lookOnce({ health: 'unhealthy', healthLog: ['old', 'try 2\nconnection refused\n'] })).toEqual({
    ok: false,
    said: 'container is unhealthy: connection refused (gitea-gitea-1)',
  })
})

test('a container check asks for a health check that the engine has', async () => {
  const policy: HealthCheck[] = [{ kind: 'container', ...pace }]
  expect(makeChecks(policy, context({}))).toHaveLength(1)
  expect(await lookOnce({ health: 'healthy' }, {}, policy)).toMatchObject({ ok: true })
  expect(await lookOnce({}, {}, policy)).toEqual({
    ok: false,
    said: 'container has no health check of its own (gitea-gitea-1), expected healthy',
    final: true,
  })
})

test.each<[Partial<Inspected>, string]>([
  [{ state: 'exited', exitCode: 137 }, 'container exited with code 137 (gitea-gitea-1)'],
  [{ state: 'exited', exitCode: 0 }, 'container exited with code 0 (gitea-gitea-1)'],
  [{ state: 'dead', exitCode: 1 }, 'container is dead (gitea-gitea-1), exit code 1'],
  [
    { state: 'restarting', exitCode: 1 },
    'container exited with code 1 and is being restarted (gitea-gitea-1)',
  ],
  [{ restarts: 2, exitCode: 1 }, 'container restarted twice (gitea-gitea-1), last exit code 1'],
  [
    { restarts: 1, health: 'healthy', exitCode: 139 },
    'container restarted once (gitea-gitea-1), last exit code 139',
  ],
])('a container that ended or was restarted fails for good: %o', async (seen, said) => {
  expect(await lookOnce(seen)).toEqual({ ok: false, said: said.replace('twice', '2 times'), final: true })
})

test('restarts from before the roll-out do not count', async () => {
  expect(await lookOnce({ restarts: 4 }, { restartsAtStart: 4 })).toMatchObject({ ok: true })
  expect(await lookOnce({ restarts: 5 }, { restartsAtStart: 4 })).toMatchObject({ ok: false, final: true })
})

test('a container that is gone fails for good, an engine that is away does not', async () => {
  const failing = (error: SamovarError) => {
    const engine = { ...context({}).engine, inspect: async () => Promise.reject(error) }
    return lookOnce({}, { engine })
  }
  expect(await failing(new SamovarError('not-found', 'no such container'))).toEqual({
    ok: false,
    said: 'the container of gitea is gone',
    final: true,
  })
  expect(await failing(new SamovarError('engine-unreachable', 'the engine does not answer'))).toEqual({
    ok: false,
    said: 'the engine does not answer (container gitea)',
  })
})

test('a service that is meant to end is good when it ended with exit code 0', async () => {
  const once = { endsByItself: true }
  expect(await lookOnce({ state: 'exited' }, once)).toEqual({
    ok: true,
    said: 'ended with exit code 0 (gitea-gitea-1)',
  })
  expect(await lookOnce({ state: 'exited', exitCode: 2 }, once)).toMatchObject({ ok: false, final: true })
})

test('beside named checks the container is watched as well, whatever its own health check says', async () => {
  const command: HealthCheck = { kind: 'command', command: ['true'], service: 'gitea', ...pace }
  const [watch, named] = await lookAll([command], context({ health: 'unhealthy' }))
  expect(watch).toMatchObject({ ok: true })
  expect(named).toMatchObject({ ok: true })
  const [crashed] = await lookAll([command], context({ state: 'exited', exitCode: 1 }))
  expect(crashed).toMatchObject({ ok: false, final: true })
})

test('a command is run in the container of the service it names and its last line is quoted on failure', async () => {
  const calls: unknown[] = []
  const engine: CheckContext['engine'] = {
    inspect: async () => running,
    run: async (...words) => {
      calls.push(words)
      return { exitCode: 1, output: 'checking\n\n[F] database version is 280, expected 299\n\n' }
    },
  }
  const doctor: HealthCheck = { kind: 'command', command: ['gitea', 'doctor'], service: 'gitea', ...pace }
  const [, result] = await lookAll([doctor], context({}, { engine }))
  expect(calls).toEqual([['instance of gitea', ['gitea', 'doctor'], 2000]])
  expect(result).toEqual({
    ok: false,
    said: 'exit code 1: [F] database version is 280, expected 299 (gitea doctor in gitea), expected 0',
  })
})

test('tcp passes when the port accepts and says why when it does not', async () => {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '::1', resolve))
  const { port } = server.address() as AddressInfo
  const tcp: HealthCheck = { kind: 'tcp', host: '[::1]', port, ...pace }
  expect((await lookAll([tcp], context({})))[1]).toEqual({ ok: true, said: `connected ([::1]:${port})` })
  await new Promise((resolve) => server.close(resolve))
  expect((await lookAll([tcp], context({})))[1]).toEqual({
    ok: false,
    said: `connection refused ([::1]:${port})`,
  })
})
