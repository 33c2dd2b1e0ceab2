import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { OperationDocument, PlanDocument } from '../../reconciler/documents.ts'
import type { Status } from '../../reconciler/status.ts'
import { startS3Server } from '../rig/s3-server.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { putSecret } from '../secrets/moto-secrets.ts'
import { documentOf, samovar, startDaemon } from './samovar.ts'
import { hostYaml, startHost, type TestHost, webService } from './test-host.ts'

/** With characters that base64, web addresses, JSON and Compose write in other ways. */
const values = {
  file: 'f1le s3cret/+"$x=',
  environment: 'env s3cret&%ä',
  afar: '4far\\s3cret?',
  next: 'n3xt s3cret/+$y',
}

const variables = (folder: TempFolder): string => `variables:
  PASSWORD: { secret: "file:${folder.path}/password" }
  TOKEN: { secret: "env:THE_TOKEN" }
  KEY: { secret: "aws-sm:gitea/keys#key" }
`

/** A web server that takes all its secrets as files, and one beside it that has none. */
const stack = (port: number): string => `services:
  web:
    image: web
    restart: unless-stopped
    stop_grace_period: 2s
    ports: ["127.0.0.1:${port}:8080"]
    secrets: [PASSWORD, { source: KEY, target: /etc/key, uid: "1000", mode: 0440 }]
    configs: [{ source: settings, target: /etc/settings }]
  beside:
    image: web
    stop_grace_period: 2s
secrets:
  PASSWORD: { environment: PASSWORD }
  KEY: { environment: KEY }
configs:
  settings: { content: "token=\${TOKEN}" }
`

const short = 'within: 20s\n  steady: 200ms\n  soak: 0s'

async function startWithSecrets(
  purpose: string,
): Promise<{ host: TestHost; folder: TempFolder } & AsyncDisposable> {
  const folder = await tempFolder(`${purpose}-secrets`)
  const host = await startHost(purpose, stack)
  await writeFile(join(folder.path, 'password'), values.file)
  await host.commit({
    'desired-state/host.yaml': hostYaml(host.project, variables(folder)),
    'desired-state/services/web.yaml': webService(host.rig, { health: short }),
    'desired-state/services/beside.yaml': webService(host.rig, { health: short }),
  })
  Object.assign(host.environment, { THE_TOKEN: values.environment })
  return {
    host,
    folder,
    async [Symbol.asyncDispose]() {
      await host[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

const read = async (host: TestHost, path: string): Promise<string> => {
  const { engine } = await host.parts()
  const [web] = await engine
    .observe(host.project)
    .then((all) => all.filter((each) => each.name.endsWith('-web-1')))
  return (await engine.run(web?.instance ?? '', ['cat', path], 5_000)).output
}

const secretsDir = (host: TestHost): string => join(host.stateDir, 'secrets')

/** Every file below a folder with its content, secrets and the host key aside. */
async function everyFile(folder: string, withSecrets = false): Promise<[string, Buffer][]> {
  const found: [string, Buffer][] = []
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    const isSecret = path.startsWith(join(folder, 'secrets/'))
    if (entry.isFile() && (withSecrets || !isSecret)) found.push([path, await readFile(path)])
  }
  return found
}

/** A value in every form that it could slip out in. */
const formsOf = (value: string): string[] => {
  const base64 = Buffer.from(value).toString('base64')
  return [
    value,
    base64,
    base64.replace(/=+$/, ''),
    Buffer.from(value).toString('base64url'),
    Buffer.from(value).toString('hex'),
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    value.replaceAll('$', '$$$$'),
  ]
}

function expectNothingSecret(where: string, text: string | Buffer): void {
  const content = Buffer.from(text)
  for (const [name, value] of Object.entries(values))
    for (const form of formsOf(value))
      expect(content.includes(form), `${where} has the value of ${name} as ${form}`).toBe(false)
}

test('secrets that are mounted as files are nowhere else: journal, logs, labels, inspect, plans, status', async () => {
  await using moto = await startS3Server()
  await putSecret(moto, 'gitea/keys', JSON.stringify({ key: values.afar }))
  await using stage = await startWithSecrets('nowhere-else')
  const { host, folder } = stage
  const { SAMOVAR_S3_ENDPOINT: AWS_ENDPOINT_URL_SECRETS_MANAGER, ...aws } = moto.environment
  Object.assign(host.environment, aws, { AWS_ENDPOINT_URL_SECRETS_MANAGER })
  const told: string[] = []
  {
    await using daemon = await startDaemon(host, { LOG_LEVEL: 'debug' })
    await daemon.line('web: applied', 90_000)
    await daemon.line('beside: applied', 60_000)
    expect(await read(host, '/run/secrets/PASSWORD')).toBe(values.file)
    expect(await read(host, '/etc/key')).toBe(values.afar)
    expect(await read(host, '/etc/settings')).toBe(`token=${values.environment}`)

    // One that writes its secrets into its log, and does not get well.
    await host.commit({
      'compose/compose.yaml': stack(host.port).replace(
        '    image: web\n',
        '    image: web\n    entrypoint: ["sh", "-c", "echo saying $$(cat /run/secrets/PASSWORD /etc/key /etc/settings); base64 /run/secrets/PASSWORD; exit 3"]\n',
      ),
    })
    told.push((await samovar(host, ['apply'])).stdout)
    await daemon.line('web: reverted', 60_000)
    await host.commit({ 'compose/compose.yaml': stack(host.port) })
    await writeFile(join(folder.path, 'password'), values.next)
    await samovar(host, ['apply'])
    expect(await read(host, '/run/secrets/PASSWORD')).toBe(values.next)
    for (const args of [['plan'], ['status'], ['history'], ['doctor']])
      for (const more of [[], ['--json']]) {
        const said = await samovar(host, [...args, ...more])
        told.push(said.stdout, said.stderr)
      }
    const operations = await documentOf<OperationDocument[]>(host, ['history'])
    for (const { id } of operations) told.push((await samovar(host, ['show', id])).stdout)
    expect(told.join()).toContain('saying ***')
    for (const path of [
      '/metrics',
      '/api/status',
      '/api/plan',
      '/api/history',
      `/operations/${operations[0]?.id}`,
    ])
      told.push((await daemon.get(path)).text)
    // While it runs, so that the write-ahead log of the journal is there.
    const names = (await readdir(host.stateDir)).filter((name) => name.startsWith('journal'))
    expect(names).toContain('journal.sqlite-wal')
    for (const [path, content] of await everyFile(host.stateDir)) expectNothingSecret(path, content)
    told.push(...daemon.log())
  }
  expectNothingSecret('what was said', told.join('\n'))
  const filters = { label: [`com.docker.compose.project=${host.project}`] }
  const containers = await host.rig.docker.listContainers({ all: true, filters })
  expect(containers.length).toBeGreaterThan(1)
  for (const { Id } of containers)
    expectNothingSecret('docker inspect', JSON.stringify(await host.rig.docker.getContainer(Id).inspect()))
  for (const [path, content] of await everyFile(host.stateDir)) expectNothingSecret(path, content)
})

describe('a secret file', () => {
  const withoutAfar = async (host: TestHost, folder: TempFolder) => {
    await host.commit({
      'desired-state/host.yaml': hostYaml(
        host.project,
        variables(folder).replace('aws-sm:gitea/keys#key', `file:${folder.path}/key`),
      ),
    })
    await writeFile(join(folder.path, 'key'), values.afar)
  }

  test('is for its owner alone, in a folder of its own that only root enters', async () => {
    await using stage = await startWithSecrets('modes')
    const { host, folder } = stage
    await withoutAfar(host, folder)
    expect((await samovar(host, ['apply'])).exitCode).toBe(0)
    const seen: Record<string, string> = {}
    for (const name of await readdir(secretsDir(host))) {
      const inner = join(secretsDir(host), name)
      expect((await stat(inner)).mode & 0o777).toBe(0o700)
      for (const file of await readdir(inner)) {
        const { mode, uid, gid } = await stat(join(inner, file))
        seen[file] = `${(mode & 0o777).toString(8)} ${uid}:${gid}`
      }
    }
    expect(seen).toEqual({ PASSWORD: '600 0:0', KEY: '440 1000:0', settings: '444 0:0' })
    expect((await stat(secretsDir(host))).mode & 0o777).toBe(0o700)
  })

  test('that changed is a reason of its own, is rolled out, and the former one goes when nobody mounts it', async () => {
    await using stage = await startWithSecrets('changed')
    const { host, folder } = stage
    await withoutAfar(host, folder)
    await host.commit({
      'desired-state/services/web.yaml': webService(host.rig, {
        health: 'within: 20s\n  steady: 200ms\n  soak: 1s',
      }),
    })
    await samovar(host, ['apply'])
    expect((await samovar(host, ['plan'])).exitCode).toBe(0)
    const before = (await readdir(secretsDir(host))).sort()
    await writeFile(join(folder.path, 'password'), values.next)
    const plan = await samovar(host, ['plan'])
    expect([plan.exitCode, plan.stdout]).toEqual([
      2,
      expect.stringMatching(/\nweb: replace\n {2}secret PASSWORD changed\n {2}volumes\./),
    ])
    const { changes } = await documentOf<PlanDocument>(host, ['plan'])
    expect(changes.map((each) => [each.service, each.action])).toEqual([
      ['beside', 'none'],
      ['web', 'replace'],
    ])
    expect((await samovar(host, ['apply'])).stdout).toContain('web: applied')
    expect(await read(host, '/run/secrets/PASSWORD')).toBe(values.next)
    const [last] = await documentOf<OperationDocument[]>(host, ['history', 'web', '--limit', '1'])
    expect(last?.reasons[0]).toEqual({ field: 'secret PASSWORD', before: '', after: 'changed' })
    const both = await readdir(secretsDir(host))
    expect(both).toEqual(expect.arrayContaining(before))
    expect(both.length).toBe(before.length + 1)
    await until(
      'the former secret is gone',
      async () => {
        await samovar(host, ['apply'])
        return (await readdir(secretsDir(host))).length === before.length
      },
      { withinMs: 30_000 },
    )
    expect((await samovar(host, ['plan'])).exitCode).toBe(0)
  })

  test('that is missing holds the services that use it, and nothing else', async () => {
    await using stage = await startWithSecrets('lacks')
    const { host, folder } = stage
    await withoutAfar(host, folder)
    await rm(join(folder.path, 'password'))
    const first = await samovar(host, ['apply'])
    expect(first.stdout).toContain('beside: applied')
    expect(first.stdout).toContain(
      `web: held: the secret PASSWORD is missing: ${folder.path}/password does not exist\n  next: create it, readable for Samovar only\n`,
    )
    for (const [, content] of await everyFile(host.stateDir, true))
      expect(content.includes('missing-PASSWORD')).toBe(false)
    await writeFile(join(folder.path, 'password'), values.file)
    expect((await samovar(host, ['apply'])).stdout).toContain('web: applied')

    const container = async () =>
      (await host.rig.docker.getContainer(`${host.project}-web-1`).inspect()).State
    const { StartedAt } = await container()
    const composeFile = await readFile(join(host.stateDir, 'compose.json'), 'utf8')
    await rm(join(folder.path, 'password'))
    await host.commit({
      'desired-state/services/web.yaml': webService(host.rig, { version: '1.1.0', health: short }),
      'desired-state/services/beside.yaml': webService(host.rig, { version: '1.1.0', health: short }),
    })
    expect((await samovar(host, ['apply'])).stdout).toContain('beside: applied')
    expect(await container()).toMatchObject({ StartedAt, Running: true })
    expect((await documentOf<Status>(host, ['status'])).services).toMatchObject(
      [
        { name: 'beside', sync: 'synced' },
        { name: 'web', sync: 'out-of-sync', state: 'held', reason: /^the secret PASSWORD is missing: / },
      ].map((each) => ('reason' in each ? { ...each, reason: expect.stringMatching(each.reason) } : each)),
    )
    const doctor = await samovar(host, ['doctor'])
    expect([doctor.exitCode, doctor.stdout]).toEqual([
      1,
      expect.stringMatching(/problem {2}secrets +the secret PASSWORD is missing: .*\n +next: create it/),
    ])
    // The file for operators has the service as it runs, and nothing that stands for the secret.
    const kept = JSON.parse(await readFile(join(host.stateDir, 'compose.json'), 'utf8'))
    const former = JSON.parse(composeFile)
    expect([kept.services.web, kept.secrets]).toEqual([former.services.web, former.secrets])
    expect(JSON.stringify(kept)).not.toContain('missing-PASSWORD')

    // What stops meanwhile is started as it is.
    await host.rig.docker.getContainer(`${host.project}-web-1`).stop({ t: 1 })
    expect((await samovar(host, ['apply'])).stdout).toContain('web: applied')
    expect((await container()).Running).toBe(true)
    await writeFile(join(folder.path, 'password'), values.file)
    await samovar(host, ['apply'])
    expect((await host.get('/version'))?.body).toEqual({ version: '1.1.0' })
  })

  test('on an empty tmpfs is written again before what the Engine could not start is started', async () => {
    await using stage = await startWithSecrets('reboot')
    const { host, folder } = stage
    await withoutAfar(host, folder)
    Object.assign(host.environment, { SAMOVAR_SECRETS_DIR: join(host.stateDir, 'run/secrets') })
    const dir = join(host.stateDir, 'run/secrets')
    await samovar(host, ['apply'])
    const container = host.rig.docker.getContainer(`${host.project}-web-1`)
    const crash = async () => {
      await rm(join(host.stateDir, 'run'), { recursive: true })
      // By the process and not by the Engine, which then starts it again by its restart policy, and cannot.
      process.kill((await container.inspect()).State.Pid, 'SIGKILL')
      await until(
        'the Engine has failed to start it',
        async () => {
          const { State } = await container.inspect()
          return !State.Running && !State.Restarting && /secrets/.test(State.Error)
        },
        { withinMs: 20_000 },
      )
    }
    await crash()
    const before = (await container.inspect()).Id
    expect((await samovar(host, ['apply'])).stdout).toMatch(/^web: start [\s\S]*\nweb: applied/)
    expect((await container.inspect()).Id).toBe(before)
    expect(await read(host, '/run/secrets/PASSWORD')).toBe(values.file)

    // A paused service keeps its container, whose secret has another value by now.
    await crash()
    await writeFile(join(folder.path, 'password'), values.next)
    await host.commit({
      'desired-state/host.yaml': hostYaml(
        host.project,
        `${variables(folder).replace('aws-sm:gitea/keys#key', `file:${folder.path}/key`)}windows:\n  never: { opens: "0 0 29 2 *", for: 1m }\n`,
      ),
      'desired-state/services/web.yaml': webService(host.rig, {
        health: short,
        extra: 'update: { window: never }\n',
      }),
    })
    // It had drifted a minute before.
    await samovar(host, ['retry', 'web'])
    const started = await samovar(host, ['apply'])
    expect(started.stdout).toContain('web: applied')
    expect((await container.inspect()).Id).toBe(before)
    expect(await read(host, '/run/secrets/PASSWORD')).toBe(values.next)
    expect((await samovar(host, ['plan'])).stdout).toMatch(
      /web: replace\n {2}secret PASSWORD changed\n[\s\S]*held: waits for the window/,
    )
    await samovar(host, ['apply', '--now'])
    expect((await container.inspect().catch(() => null))?.Id).not.toBe(before)
    expect(await read(host, '/run/secrets/PASSWORD')).toBe(values.next)
    await until(
      'the former secret is gone',
      async () => {
        await samovar(host, ['apply'])
        return (await readdir(dir)).length === 3
      },
      { withinMs: 60_000 },
    )
  })
})
