import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { OperationDocument, PlanDocument } from '../../reconciler/documents.ts'
import type { Outcome } from '../../reconciler/outcome.ts'
import type { Status } from '../../reconciler/status.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { documentOf, samovar, startDaemon } from './samovar.ts'
import { hostYaml, startHost, type TestHost, webService } from './test-host.ts'

const checked = (host: TestHost): string =>
  `within: 3s\n  steady: 200ms\n  checks:\n    - { http: "http://127.0.0.1:${host.port}/healthz", every: 200ms }`

const push = (host: TestHost, version: string) =>
  host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version, health: checked(host) }) })

const version = async (host: TestHost): Promise<unknown> => (await host.get('/version'))?.body

test('plan, apply, plan: changes, done, in sync', async () => {
  await using host = await startHost('verbs')
  const before = await samovar(host, ['plan'])
  expect(before.exitCode).toBe(2)
  expect(before.stdout).toMatch(/^1 change to commit [0-9a-f]{8}:\nweb: create\n {2}container {2}none -> /)
  expect(
    (
      await host.rig.docker.listContainers({
        all: true,
        filters: { label: [`com.docker.compose.project=${host.project}`] },
      })
    ).length,
  ).toBe(0)

  const apply = await samovar(host, ['apply'])
  expect(apply.exitCode).toBe(0)
  expect(apply.stdout).toMatch(
    /^web: create 1\.0\.0 \([0-9a-f]{8}\) \(\d{8}-\d{6}-[0-9a-f]{4}\)\n {2}preflight +\d+/,
  )
  expect(apply.stdout).toMatch(/\nweb: applied after \d/)
  expect(apply.stdout.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)

  const after = await samovar(host, ['plan'])
  expect([after.exitCode, after.stdout]).toEqual([
    0,
    expect.stringMatching(/^in sync: 1 service as commit [0-9a-f]{8} says\n$/),
  ])
  expect((await documentOf<PlanDocument>(host, ['plan'])).changes).toEqual([
    { service: 'web', action: 'none', reasons: [], held: null, startsAt: null, drift: false, together: null },
  ])
  expect((await samovar(host, ['apply'])).stdout).toMatch(
    /^nothing to do: the host is as commit [0-9a-f]{8} says\n$/,
  )
})

test('a version that is put back: exit code 3, the reason everywhere, its last words in show, and retry', async () => {
  await using host = await startHost('put-back')
  await samovar(host, ['apply'])
  await push(host, '2.0.0')
  const apply = await samovar(host, ['apply'])
  expect(apply.exitCode).toBe(3)
  expect(apply.stdout).toMatch(/check health +\d.* failed: health check failed: HTTP 503/)
  expect(apply.stdout).toMatch(
    /\nweb: reverted after .*\n {2}health check failed: HTTP 503 .*\n {2}next: push a fix, or samovar retry web; samovar show /,
  )
  expect((await samovar(host, ['apply'])).exitCode).toBe(3)
  const plan = await samovar(host, ['plan'])
  expect([plan.exitCode, plan.stdout]).toEqual([
    2,
    expect.stringMatching(
      /, it is held:\nweb: replace\n.*\n {2}held: quarantined: .*HTTP 503.*\n {2}next: push a fix, or samovar retry web\n$/,
    ),
  ])

  const status = await documentOf<Status>(host, ['status'])
  expect(status.summary).toBe('web is quarantined.')
  expect(status.services).toMatchObject([
    {
      name: 'web',
      sync: 'out-of-sync',
      health: 'healthy',
      state: 'quarantined',
      desired: { tag: '2.0.0' },
      running: { tag: '1.0.0', container: `${host.project}-web-1` },
    },
  ])
  const [last] = await documentOf<OperationDocument[]>(host, ['history', 'web', '--limit', '1'])
  expect(last).toMatchObject({
    kind: 'replace',
    result: 'reverted',
    from: { tag: '1.0.0' },
    to: { tag: '2.0.0' },
    backup: null,
  })
  expect(last?.downtimeMs).toBeGreaterThan(0)
  expect(last?.steps.map((step) => step.name)).toContain('bring back')
  const shown = await samovar(host, ['show', String(last?.id.slice(-4))])
  expect(shown.stdout).toContain('answering 503')
  expect(shown.stdout).toMatch(/ {2}differed {3}image 1\.0\.0@sha256:\w{12} -> 2\.0\.0@sha256:\w{12}/)

  expect((await samovar(host, ['retry', 'web'])).stdout).toContain('web may be tried again')
  expect((await documentOf<Outcome>(host, ['apply'])).operations).toMatchObject([
    { service: 'web', result: 'reverted' },
  ])
})

test('rollback puts the version before back by itself, and says how to go on', async () => {
  await using host = await startHost('rollback')
  await samovar(host, ['apply'])
  const nothing = await samovar(host, ['rollback', 'web'])
  expect([nothing.exitCode, nothing.stderr]).toEqual([
    1,
    expect.stringMatching(/^samovar: no version of web held before 1\.0\.0@.*\nnext: /),
  ])
  await push(host, '1.1.0')
  await samovar(host, ['apply'])
  expect(await version(host)).toEqual({ version: '1.1.0' })

  const back = await samovar(host, ['rollback', 'web'])
  expect(back.exitCode).toBe(0)
  expect(back.stdout).toMatch(
    /\nnext: put the version you want into Git, or samovar retry web to roll forward again\n$/,
  )
  expect(await version(host)).toEqual({ version: '1.0.0' })
  await samovar(host, ['apply'])
  expect(await version(host)).toEqual({ version: '1.0.0' })
  expect((await samovar(host, ['rollback', 'web'])).stderr).toContain('no version of web held before')

  await push(host, '1.2.0')
  expect((await samovar(host, ['apply'])).exitCode).toBe(0)
  expect(await version(host)).toEqual({ version: '1.2.0' })
})

test('a rollback to a version that is ill by now ends with what ran before it, which is not held back later', async () => {
  await using host = await startHost('rollback-ill')
  let code = 200
  await using dependency = await listen(() => code)
  const health = `within: 2s\n  steady: 100ms\n  checks:\n    - { http: "${dependency.url}", every: 100ms }`
  await host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version: '1.0.0', health }) })
  await samovar(host, ['apply'])
  await push(host, '1.1.0')
  await samovar(host, ['apply'])
  code = 503
  const back = await samovar(host, ['rollback', 'web'])
  expect([back.exitCode, back.stdout]).toEqual([
    3,
    expect.stringMatching(/\nweb: reverted after .*\n.*HTTP 503/),
  ])
  expect(await version(host)).toEqual({ version: '1.1.0' })
  await host.rig.docker.getContainer(`${host.project}-web-1`).remove({ force: true })
  expect((await samovar(host, ['apply', '--now'])).exitCode).toBe(0)
  expect(await version(host)).toEqual({ version: '1.1.0' })
})

/** Something a health check asks beside the service itself. */
async function listen(status: () => number) {
  const server = createServer((_request, response) =>
    response.writeHead(status(), { connection: 'close' }).end(),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { url: `http://127.0.0.1:${port}/`, [Symbol.asyncDispose]: async () => void server.close() }
}

test('what is paused is left alone until it is resumed; everything can be paused at once', async () => {
  await using host = await startHost('pause')
  await samovar(host, ['apply'])
  await samovar(host, ['pause', 'web'])
  await push(host, '1.1.0')
  const held = await samovar(host, ['apply'])
  expect([held.exitCode, held.stdout]).toEqual([
    0,
    'web: held: paused by a person\n  next: samovar resume web\n',
  ])
  expect((await documentOf<Status>(host, ['status'])).services[0]?.state).toBe('paused')
  await samovar(host, ['resume', 'web'])
  await samovar(host, ['pause'])
  expect((await samovar(host, ['resume', 'web'])).stdout).toContain('web is paused with everything else')
  await samovar(host, ['apply', '--now'])
  expect(await version(host)).toEqual({ version: '1.0.0' })
  await samovar(host, ['resume'])
  await samovar(host, ['apply'])
  expect(await version(host)).toEqual({ version: '1.1.0' })
  const unknown = await samovar(host, ['pause', 'wbe'])
  expect([unknown.exitCode, unknown.stderr]).toEqual([
    1,
    'samovar: there is no service wbe\nnext: It is one of web.\n',
  ])
  expect((await samovar(host, ['apply', 'wbe'])).exitCode).toBe(1)
})

test('--now does not wait for a window, and only for the service that was named', async () => {
  await using host = await startHost('window')
  const closed = 'windows:\n  never: { opens: "0 0 29 2 *", for: 1m }\n'
  const inWindow = (tag: string) =>
    webService(host.rig, { version: tag, extra: 'update: { window: never }\n' })
  const two = (port: number) =>
    `services:\n  web:\n    image: web\n    ports: ["127.0.0.1:${port}:8080"]\n  other:\n    image: web\n`
  const files = (tag: string) => ({
    'desired-state/services/web.yaml': inWindow(tag),
    'desired-state/services/other.yaml': inWindow(tag),
  })
  await host.commit({
    'desired-state/host.yaml': hostYaml(host.project, closed),
    'compose/compose.yaml': two(host.port),
    ...files('1.0.0'),
  })
  expect((await samovar(host, ['apply'])).exitCode).toBe(0)
  await host.commit(files('1.1.0'))
  const held = await samovar(host, ['apply'])
  expect([held.exitCode, held.stdout]).toEqual([
    0,
    expect.stringContaining('web: held: waits for the window "never"'),
  ])
  const done = async () =>
    (await documentOf<OperationDocument[]>(host, ['history']))
      .filter((each) => each.to?.tag === '1.1.0')
      .map((each) => each.service)
  {
    await using daemon = await startDaemon(host)
    await daemon.line('other: held: waits for the window')
    const asked = await samovar(host, ['apply', 'web', '--now'])
    expect([asked.exitCode, asked.stdout]).toEqual([
      0,
      expect.stringMatching(
        /^the daemon holds the lock; it was asked to do this\nweb: replace 1\.0\.0 .*\n {2}preflight /,
      ),
    ])
    expect(await done()).toEqual(['web'])
  }
  await samovar(host, ['apply', '--now'])
  expect((await done()).sort()).toEqual(['other', 'web'])
})

test('with a daemon apply and rollback are done by it, shown step by step, with the same exit codes', async () => {
  await using host = await startHost('asked')
  await using daemon = await startDaemon(host)
  await daemon.line('web: applied')
  expect((await samovar(host, ['apply'])).stdout).toMatch(/nothing to do: the host is as commit/)
  await push(host, '2.0.0')
  const apply = await samovar(host, ['apply'])
  expect(apply.exitCode).toBe(3)
  expect(apply.stdout).toMatch(/\nweb: reverted after /)
  await push(host, '1.1.0')
  expect((await documentOf<Outcome>(host, ['apply'])).commit).not.toBe(null)
  await daemon.line('1.1.0@')
  const back = await samovar(host, ['rollback', 'web'])
  expect([back.exitCode, back.stdout]).toEqual([
    0,
    expect.stringMatching(/\nweb: rollback 1\.1\.0 .* -> 1\.0\.0/),
  ])
  expect(await version(host)).toEqual({ version: '1.0.0' })
  const none = await samovar(host, ['rollback', 'web', '--json'])
  expect([none.exitCode, JSON.parse(none.stdout)]).toMatchObject([
    1,
    { error: { code: 'no-rollback-target' } },
  ])
})

test('a newest commit that is not good: plan and apply say so with file, line and column, and exit with 1', async () => {
  await using host = await startHost('findings')
  await samovar(host, ['apply'])
  await host.commit({ 'desired-state/services/web.yaml': 'image: web\ntag: 1.1.0\ncolour: red\n' })
  for (const verb of ['plan', 'apply']) {
    const { exitCode, stderr } = await samovar(host, [verb])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('desired-state/services/web.yaml:3:1: colour: ')
  }
  expect(await version(host)).toEqual({ version: '1.0.0' })
})

test('without the engine, status shows what the last pass saw', async () => {
  await using host = await startHost('status-away')
  await samovar(host, ['apply'])
  const { exitCode, stdout } = await samovar(host, ['status'], {
    DOCKER_HOST: 'unix:///nonexistent/docker.sock',
  })
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(
    /^As of 20\d\d-.*Z: The service web runs what commit [0-9a-f]{8} says\.\nengine: .*\n {2}next: Check DOCKER_HOST/,
  )
  expect(stdout).toMatch(/\nweb {6}synced/)
})

describe('validate and doctor', () => {
  const checkout = async (folder: string, files: Record<string, string>) => {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), content)
    }
  }
  const good = {
    'desired-state/host.yaml':
      'name: host\nproject: p\ncompose: [compose.yaml]\nvariables:\n  PASSWORD: { secret: "env:NOT_SET_HERE" }\n',
    'desired-state/services/web.yaml': 'image: docker.io/library/nginx\ntag: 1.27.3\n',
    'compose.yaml': 'services:\n  web:\n    image: nginx\n    environment: { PASSWORD: "${PASSWORD}" }\n',
  }

  test('validate needs neither engine nor secrets, and leaves nothing behind', async () => {
    await using folder = await tempFolder('validate')
    await checkout(folder.path, good)
    const environment = { PATH: process.env['PATH'] ?? '', DOCKER_HOST: 'unix:///nonexistent/docker.sock' }
    const valid = await samovar({ environment }, ['validate', folder.path])
    expect([valid.exitCode, valid.stdout.split('\n')]).toEqual([
      0,
      [
        `valid: ${folder.path}/desired-state describes 1 service of host: web`,
        expect.stringMatching(
          /^hint: web takes the secret PASSWORD through environment\.PASSWORD, where docker inspect shows it; next: /,
        ),
        '',
      ],
    ])
    expect((await samovar({ environment }, ['validate', join(folder.path, 'desired-state')])).exitCode).toBe(
      0,
    )
    expect((await readdir(folder.path)).sort()).toEqual(['compose.yaml', 'desired-state'])

    await checkout(folder.path, {
      'desired-state/services/web.yaml': 'image: nginx\ntag: latest\ncolour: red\n',
    })
    const invalid = await samovar({ environment }, ['validate', folder.path])
    expect(invalid.exitCode).toBe(1)
    expect(invalid.stdout).toMatch(/^desired-state\/services\/web\.yaml:2:\d+: tag: /m)
    expect(invalid.stdout).toMatch(/^desired-state\/services\/web\.yaml:3:1: colour: /m)
    const { valid: ok, findings } = await documentOf<{ valid: boolean; findings: unknown[] }>(
      { environment },
      ['validate', folder.path],
    )
    expect([ok, findings.length]).toEqual([false, 2])
    const nowhere = await samovar({ environment }, ['validate', '/'])
    expect([nowhere.exitCode, nowhere.stderr]).toEqual([
      1,
      expect.stringContaining('/ has no folder desired-state'),
    ])
  })

  test('doctor finds everything there, and says what is missing with the next step', async () => {
    await using host = await startHost('doctor')
    const well = await samovar(host, ['doctor'])
    expect([well.exitCode, well.stdout]).toEqual([
      0,
      expect.stringMatching(/\neverything a pass needs is there\n$/),
    ])
    await host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version: '9.9.9' }) })
    const found = await samovar(host, ['doctor', '--json'], {
      DOCKER_HOST: 'unix:///nonexistent/docker.sock',
    })
    expect(found.exitCode).toBe(1)
    expect(JSON.parse(found.stdout).checks).toContainEqual({
      name: 'engine',
      ok: false,
      said: expect.any(String),
      next: 'Check DOCKER_HOST and that the Docker daemon runs.',
    })
    const image = await samovar(host, ['doctor'])
    expect([image.exitCode, image.stdout]).toEqual([
      1,
      expect.stringMatching(/problem {2}image .*9\.9\.9.*\n +next: /),
    ])
    host.git.fail('unreachable')
    const git = await samovar(host, ['doctor'])
    expect([git.exitCode, git.stdout]).toEqual([1, expect.stringMatching(/problem {2}git .*\n +next: /)])
    const settings = await samovar(host, ['doctor'], { SAMOVAR_LISTEN: 'x', SAMOVAR_REPOSITORY: '' })
    expect(settings.stdout.match(/^problem {2}settings/gm)).toHaveLength(2)
  })
})
