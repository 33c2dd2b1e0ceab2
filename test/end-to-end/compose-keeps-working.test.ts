import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { findCompose } from '../../reconciler/compose-config.ts'
import { hostYaml, startHost, type TestHost, webService } from './test-host.ts'

const run = promisify(execFile)

const composeFile = (port: number): string => `services:
  web:
    image: web
    restart: unless-stopped
    stop_grace_period: 5s
    ports: ["127.0.0.1:${port}:8080"]
    environment: { GREETING: hello }
    volumes:
      - ./motd:/etc/motd:ro
      - data:/data
    networks: { back: { aliases: [the-web] } }
  beside:
    image: web
    network_mode: service:web
    entrypoint: ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $$!; done"]
    healthcheck: { disable: true }
    depends_on: { web: { condition: service_healthy } }
volumes: { data: {} }
networks: { back: {} }
`

// During a soak Compose would see two containers of one service and take one of them away.
const health = 'within: 20s\n  steady: 200ms\n  soak: 0s'

const files = (host: TestHost, version = '1.0.0', motd = 'welcome\n') => ({
  'desired-state/host.yaml': hostYaml(host.project),
  'desired-state/services/web.yaml': webService(host.rig, { version, health }),
  'desired-state/services/beside.yaml': webService(host.rig, { health }),
  'compose/compose.yaml': composeFile(host.port),
  'compose/motd': motd,
})

const compose = async (host: TestHost, ...words: string[]): Promise<string> => {
  const { command } = await findCompose()
  const [program, ...first] = command
  const file = ['-f', join(host.stateDir, 'compose.json')]
  const environment = { ...process.env, DOCKER_HOST: host.rig.dockerHost }
  const { stdout, stderr } = await run(program, [...first, ...file, ...words], { env: environment })
  return stdout + stderr
}

const containers = async (host: TestHost) =>
  (await (await host.parts()).engine.observe(host.project)).filter((each) => each.state === 'running')

test('what Samovar rolled out is up to date for docker compose, and its verbs work on it', async () => {
  await using host = await startHost('compose')
  await host.commit(files(host))
  const report = await host.pass()
  expect(report.operations.map((each) => [each.service, each.result, each.reason])).toEqual([
    ['web', 'applied', ''],
    ['beside', 'applied', ''],
  ])
  const before = (await containers(host)).map((each) => each.instance).sort()
  await compose(host, 'up', '-d')
  expect((await containers(host)).map((each) => each.instance).sort()).toEqual(before)
  expect(await compose(host, 'ps')).toContain(`${host.project}-web-1`)
  expect(await compose(host, 'logs', 'web')).toContain('listening on 8080')
  expect(await compose(host, 'exec', '-T', 'web', 'cat', '/etc/motd')).toBe('welcome\n')
  await compose(host, 'down', '-t', '1')
  expect(await (await host.parts()).engine.observe(host.project)).toEqual([])
})

test('a service that lives in the network of another is replaced with it, and comes back with it', async () => {
  await using host = await startHost('follower')
  await host.commit(files(host))
  await host.pass()
  const reachesWeb = async () =>
    compose(host, 'exec', '-T', 'beside', 'wget', '-q', '-O', '-', 'http://127.0.0.1:8080/version')
  expect(await reachesWeb()).toContain('1.0.0')

  await host.commit(files(host, '1.1.0'))
  const bump = await host.pass()
  expect(bump.operations.map((each) => [each.service, each.result, each.reason])).toEqual([
    ['web', 'applied', ''],
  ])
  expect(await reachesWeb()).toContain('1.1.0')

  await host.commit(files(host, '2.1.0'))
  const broken = await host.pass()
  expect(broken.operations).toMatchObject([{ service: 'web', result: 'reverted' }])
  expect(await reachesWeb()).toContain('1.1.0')
  expect((await host.parts()).journal.kept()).toEqual([])
  const kept = (await containers(host)).map((each) => each.instance).sort()
  expect(kept).toHaveLength(2)
  // The file for operators has what was put back, not what failed.
  await compose(host, 'up', '-d')
  expect((await containers(host)).map((each) => each.instance).sort()).toEqual(kept)
})

test('a changed file that a container mounts is a difference of its own', async () => {
  await using host = await startHost('mounted')
  await host.commit(files(host))
  await host.pass()
  await host.commit(files(host, '1.0.0', 'closed today\n'))
  const report = await host.pass()
  expect(report.operations).toMatchObject([{ service: 'web', kind: 'replace', result: 'applied' }])
  const reasons = report.operations[0]?.intent.reasons.map((reason) => reason.field)
  expect(reasons).toEqual(['volumes./etc/motd'])
  expect(await compose(host, 'exec', '-T', 'web', 'cat', '/etc/motd')).toBe('closed today\n')
})
