import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Status } from '../../reconciler/status.ts'
import { until } from '../rig/until.ts'
import { documentOf, samovar, startDaemon } from './samovar.ts'
import { hostYaml, startHost, type TestHost, webService } from './test-host.ts'

const httpHealth = (host: TestHost, within: string): string =>
  `within: ${within}\n  steady: 200ms\n  checks:\n    - { http: "http://127.0.0.1:${host.port}/healthz", every: 200ms }`

const push = (host: TestHost, version: string, health?: string) =>
  host.commit({
    'desired-state/services/web.yaml': webService(
      host.rig,
      health === undefined ? { version } : { version, health },
    ),
  })

test('the daemon follows a merge, tells how it goes, and ends with 0 when it is told to', async () => {
  await using host = await startHost('daemon')
  await using daemon = await startDaemon(host)
  await daemon.line('web: applied: create 1.0.0')
  await until('it is ready', async () => (await daemon.get('/readyz')).status === 200, { withinMs: 5_000 })
  await push(host, '1.1.0')
  await daemon.line('web: applied: replace 1.0.0')
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.1.0' } })
  await until(
    'the status says so',
    async () => {
      const status = JSON.parse((await daemon.get('/api/status')).text) as Status
      return status.services[0]?.sync === 'synced' && status.services[0].running?.tag === '1.1.0'
    },
    { withinMs: 5_000 },
  )
  expect(await daemon.metric('samovar_operations_total{result="applied"}')).toBe(2)
  expect(await daemon.metric('samovar_services{sync="synced",state="idle"}')).toBe(1)
  const history = JSON.parse((await daemon.get('/api/history?limit=1')).text) as unknown[]
  expect(history).toMatchObject([
    { service: 'web', kind: 'replace', result: 'applied', to: { tag: '1.1.0' } },
  ])
  for (const line of daemon.log())
    expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (info|warn|error) [^:]+: /)

  const second = await samovar(host, ['run'])
  // Not now, and no fault of this release: samovar-again.service tries it again.
  expect(second.exitCode).toBe(75)
  expect(second.stderr).toMatch(/is in use by `samovar run` \(pid \d+, since [^)]+\)\nnext: /)

  daemon.signal('SIGTERM')
  expect(await daemon.ended).toBe(0)
  expect(daemon.log().at(-1)).toMatch(/samovar: ended$/)
  expect((await documentOf<Status>(host, ['status'])).daemon).toBe(null)
})

test('SIGTERM cuts a wait safely, and the next start goes on with it', async () => {
  await using host = await startHost('cut')
  {
    await using daemon = await startDaemon(host, { LOG_LEVEL: 'debug' })
    await daemon.line('web: applied')
    await push(host, '2.0.0', httpHealth(host, '30s'))
    await daemon.line('step "check health" begins', 20_000)
    await until('the new version is being checked', async () => (await host.get('/version'))?.body, {
      withinMs: 10_000,
    })
    await until(
      'status tells the step',
      async () => {
        const { text } = await daemon.get('/api/status')
        return /"state":"rolling-out","reason":"check health for/.test(text)
      },
      { withinMs: 5_000 },
    )
    daemon.signal('SIGTERM')
    expect(await daemon.ended).toBe(0)
    await daemon.line('web: cut short; the next start goes on with it')
  }
  const stopped = await samovar(host, ['status'])
  expect(stopped.stdout).toMatch(
    /cut short at check health .*\n {2}next: samovar run, or samovar apply, goes on with it/,
  )
  await push(host, '1.2.0', httpHealth(host, '10s'))
  await using daemon = await startDaemon(host)
  await daemon.line('1.2.0@', 45_000)
  await until(
    'the fix is there',
    async () => JSON.stringify((await host.get('/version'))?.body).includes('1.2.0'),
    { withinMs: 20_000 },
  )
})

test('a second signal ends it at once, and the next start goes on with what was cut', async () => {
  await using host = await startHost('twice')
  await push(host, '1.3.0')
  {
    await using daemon = await startDaemon(host, { LOG_LEVEL: 'debug' })
    await daemon.line('web: applied')
    await push(host, '1.2.0')
    // Version 1.3.0 does not hear the stop: this step takes the whole grace of the container, 5 s.
    const begun = () => daemon.log().filter((line) => line.includes('step "set aside" begins')).length
    await until('the old version is told to stop', () => begun() === 2, { withinMs: 20_000 })
    daemon.signal('SIGTERM')
    await daemon.line('SIGTERM: finishing or safely cutting the current step')
    daemon.signal('SIGTERM')
    expect(await daemon.ended).toBe(1)
    expect(daemon.log().filter((line) => line.includes('step "set aside" done'))).toHaveLength(1)
  }
  await using daemon = await startDaemon(host)
  await daemon.line('web: applied: replace 1.3.0', 30_000)
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.2.0' } })
})

test('an engine that is away is told once, kept from being ready, and found again', async () => {
  await using host = await startHost('no-engine')
  await using daemon = await startDaemon(host, {
    DOCKER_HOST: 'unix:///nonexistent/docker.sock',
    LOG_LEVEL: 'debug',
  })
  await until(
    'it was tried twice',
    () => daemon.log().filter((line) => line.includes('debug pass: failed')).length >= 2,
    { withinMs: 20_000 },
  )
  expect(daemon.log().filter((line) => line.includes(' error '))).toHaveLength(1)
  const error = daemon.log().find((line) => line.includes(' error ')) ?? ''
  expect(error).toMatch(/error engine: .*; next: .*Samovar tries again in 5 s$/)
  const { status, text } = await daemon.get('/readyz')
  expect([status, JSON.parse(text).ready]).toEqual([503, false])
  expect((await daemon.get('/livez')).status).toBe(200)
  const shown = await samovar(host, ['status'], { DOCKER_HOST: 'unix:///nonexistent/docker.sock' })
  expect(shown.exitCode).toBe(0)
  expect(shown.stdout).toMatch(/^engine: .*\n {2}next: Check DOCKER_HOST/m)
})

test('a Git that is away is told once with its recovery, and its staleness is seen', async () => {
  await using host = await startHost('no-git')
  await using daemon = await startDaemon(host, { LOG_LEVEL: 'debug' })
  await daemon.line('web: applied')
  host.git.fail('unreachable')
  await daemon.line('error git: ')
  await until('staleness grows', async () => (await daemon.metric('samovar_source_staleness_seconds')) > 2, {
    withinMs: 10_000,
  })
  const shown = await samovar(host, ['status'])
  expect(shown.stdout).toMatch(
    /^The service web runs what commit [0-9a-f]{8} says\.\ngit: .*\n {2}next: commit [0-9a-f]{8}, the last good one, stays in force/,
  )
  expect(daemon.log().filter((line) => line.includes('error git: '))).toHaveLength(1)
  host.git.fail('none')
  await daemon.line('info git: it answers again')
  await until(
    'it is fresh again',
    async () => (await daemon.metric('samovar_source_staleness_seconds')) < 2,
    { withinMs: 10_000 },
  )
})

test('a newest commit that is not good is told with every finding, and changes nothing', async () => {
  await using host = await startHost('bad-commit')
  await using daemon = await startDaemon(host)
  await daemon.line('web: applied')
  const bad = await host.commit({
    'desired-state/services/web.yaml': 'image: web\ntag: 1.1.0\ncolour: red\n',
  })
  await daemon.line(
    `error desired state: commit ${bad.slice(0, 8)} is not followed, it has 1 finding; commit`,
  )
  await daemon.line('desired-state/services/web.yaml:3:1: colour: ')
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
  const shown = await samovar(host, ['status'])
  expect(shown.stdout).toContain('desired-state/services/web.yaml:3:1: colour: ')
  await push(host, '1.1.0')
  await daemon.line('info desired state: the newest commit is good')
  await daemon.line('web: applied: replace 1.0.0')
})

test('what drifts is put right; what keeps drifting is told about once', async () => {
  await using host = await startHost('keeps-drifting')
  await using daemon = await startDaemon(host)
  await daemon.line('web: applied')
  const filters = { label: [`com.docker.compose.project=${host.project}`] }
  const stopByHand = async () => {
    const [container] = await host.rig.docker.listContainers({ filters })
    if (container !== undefined) await host.rig.docker.getContainer(container.Id).kill()
  }
  await stopByHand()
  await daemon.line('had drifted and was put right: state exited')
  const corrections = (count: number) =>
    until(
      `correction ${count}`,
      async () => (await daemon.metric('samovar_drift_corrections_total')) >= count,
      { withinMs: 60_000 },
    )
  await corrections(1)
  await stopByHand()
  await corrections(2)
  await daemon.line('error web: it keeps drifting (state exited')
  expect(daemon.log().filter((line) => /was put right|keeps drifting/.test(line))).toHaveLength(2)
})

test('a password of the desired state is nowhere: not in any verb, the log, the API or the state directory', async () => {
  const password = 'correct-horse-battery-staple'
  const compose = (port: number) =>
    `services:\n  web:\n    image: web\n    environment: { PASSWORD: "\${PASSWORD}" }\n    ports: ["127.0.0.1:${port}:8080"]\n`
  await using host = await startHost('secret', compose)
  host.environment['WEB_PASSWORD'] = password
  await host.commit({
    'desired-state/host.yaml': hostYaml(
      host.project,
      'variables:\n  PASSWORD: { secret: "env:WEB_PASSWORD" }\n',
    ),
  })
  const texts: string[] = []
  const call = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await samovar(host, args)
    texts.push(stdout, stderr)
    return exitCode
  }
  expect(await call('apply'), texts.join('')).toBe(0)
  const [container] = await host.rig.docker.listContainers({
    filters: { label: [`com.docker.compose.project=${host.project}`] },
  })
  const inspected = await host.rig.docker.getContainer(container?.Id ?? '').inspect()
  expect(inspected.Config.Env).toContain(`PASSWORD=${password}`)
  {
    await using daemon = await startDaemon(host, { LOG_LEVEL: 'debug' })
    await until('it is ready', async () => (await daemon.get('/readyz')).status === 200, { withinMs: 20_000 })
    // A check that says the password when it fails, as programs do.
    const says = `within: 3s\n  steady: 200ms\n  checks:\n    - { command: [sh, -c, "echo cannot log in with $PASSWORD; exit 1"], in: web, every: 200ms }`
    await push(host, '1.1.0', says)
    await daemon.line('error web: reverted', 30_000)
    for (const path of ['/api/status', '/api/plan', '/api/history', '/metrics'])
      texts.push((await daemon.get(path)).text)
    expect(await call('retry', 'web')).toBe(0)
    texts.push(...daemon.log())
    expect(daemon.log().join('\n')).toContain('cannot log in with ***')
  }
  host.environment['WEB_PASSWORD'] = `${password}-new`
  for (const args of [
    ['plan'],
    ['plan', '--json'],
    ['status'],
    ['status', '--json'],
    ['history'],
    ['history', '--json'],
    ['doctor'],
    ['apply'],
    ['apply', '--json', '--now'],
    ['rollback', 'web'],
  ])
    await call(...args)
  const [{ id } = { id: '' }] = await documentOf<{ id: string }[]>(host, ['history'])
  await call('show', id)
  await call('show', id, '--json')
  expect(texts.filter((text) => text.includes(password))).toEqual([])
  expect(await filesWith(host.stateDir, password)).toEqual(['compose.json'])
})

/** The rendered Compose model is for `docker compose` on this host and readable by its owner only. */
async function filesWith(folder: string, text: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const found: string[] = []
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name)
    if ((await readFile(path)).includes(text)) found.push(path.slice(folder.length + 1))
  }
  return found
}
