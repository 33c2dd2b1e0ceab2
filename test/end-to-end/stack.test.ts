import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { OperationDocument, PlanDocument } from '../../reconciler/documents.ts'
import type { Status } from '../../reconciler/status.ts'
import { until } from '../rig/until.ts'
import type { Daemon } from './samovar.ts'
import { filesBelow, findSecrets, rowsOf, type Searched, watchContainers } from './secret-search.ts'
import { domain } from './stack-desired.ts'
import { type StackHost, startStackHost } from './stack-host.ts'
import { api, authorization, merged } from './stack-repository.ts'
import type { UpDocument } from './up-host.ts'
import { ask, slowFile, visitors } from './visitors.ts'

/**
 * The stack that this repository ships, from nothing, with real nginx, PostgreSQL 18, certbot and an ACME server, and a Gitea
 * that stands in. The tests go on where the one before ended, as a host does.
 */
let host: StackHost
let daemon: Daemon
let watched: Awaited<ReturnType<typeof watchContainers>>

beforeAll(async () => {
  host = await startStackHost()
  watched = await watchContainers(host.rig.docker)
}, 300_000)
afterAll(async () => {
  await watched?.end()
  await daemon?.[Symbol.asyncDispose]()
  await host?.[Symbol.asyncDispose]()
}, 120_000)

const ours = () => ({ label: [`com.docker.compose.project=${host.project}`] })
const version = async () =>
  (JSON.parse((await ask(host, '/api/v1/version')).text) as { version: string }).version

/** nginx's workers are new after a reload; its master is not. */
async function nginxProcesses(): Promise<{ master: string; workers: string }> {
  const { Processes } = (await host.rig.docker.getContainer(await host.container('nginx')).top()) as {
    Processes: string[][]
  }
  const of = (kind: string) =>
    Processes.filter((each) => each.at(-1)?.includes(`nginx: ${kind}`))
      .map((each) => Number(each[1]))
      .sort((one, other) => one - other)
      .join()
  return { master: of('master'), workers: of('worker process') }
}

const history = async (service: string): Promise<OperationDocument[]> => {
  const { text } = await daemon.get('/api/history')
  return (JSON.parse(text) as OperationDocument[]).filter((each) => each.service === service)
}

/** The next operation of a service, once it has ended. */
const ended = (service: string, before: string | undefined, withinMs = 120_000) =>
  until(
    `${service} was rolled out`,
    async () => {
      const [last] = await history(service)
      return last !== undefined && last.id !== before && last.finishedAt !== null ? last : null
    },
    { withinMs, everyMs: 200 },
  )

test('up brings the whole stack from nothing to a host with a certificate that follows its own Gitea', {
  timeout: 300_000,
}, async () => {
  const { exitCode, stdout, stderr } = await host.samovar(['up', '--json'])
  const document = JSON.parse(stdout || '{}') as UpDocument
  expect(
    [exitCode, document.error, document.steps.filter((each) => each.result === 'problem')],
    stderr,
  ).toEqual([0, undefined, []])
  const states = Object.fromEntries(document.services.map(({ service, state }) => [service, state]))
  expect(states).toEqual({
    certbot: 'when it is needed',
    diun: 'healthy',
    'first-certificate': 'has done its work',
    gitea: 'running',
    nginx: 'healthy',
    pebble: 'running',
    postgres: 'healthy',
    'runner-1': 'running',
    'runner-2': 'running',
    'runner-compose': 'has done its work',
    'runner-node': 'has done its work',
  })
  expect(document.url).toBe(`https://${domain}`)
  expect(await version()).toBe('1.27.1')
  expect((await api(host, '/repos/ops/host/actions/runners')).body['total_count']).toBe(2)

  const again = JSON.parse((await host.samovar(['up', '--json'])).stdout) as UpDocument
  expect([again.steps.filter((each) => each.result !== 'ok'), again.error]).toEqual([
    expect.any(Array),
    undefined,
  ])
  expect(again.steps.filter((each) => each.result === 'done')).toEqual([])
  daemon = await host.startDaemon()
  await daemon.line('watches branch main')
  expect(
    (await host.document<PlanDocument>(['plan'])).changes.filter((each) => each.action !== 'none'),
  ).toEqual([])
})

test('plain HTTP leads to HTTPS, and what comes over HTTPS has the headers of the stack', async () => {
  const plain = await new Promise<[number | undefined, string | undefined]>((resolve, reject) => {
    request(
      { host: host.address, path: '/ops/host', method: 'POST', headers: { host: domain }, agent: false },
      (response) => {
        response.resume()
        resolve([response.statusCode, response.headers.location])
      },
    )
      .on('error', reject)
      .end()
  })
  expect(plain).toEqual([308, `https://${domain}/ops/host`])
  const { headers, status } = await ask(host, '/api/healthz')
  expect(status).toBe(200)
  expect(headers).toMatchObject({
    'strict-transport-security': 'max-age=31536000',
    'x-frame-options': 'SAMEORIGIN',
    server: 'nginx',
  })
})

test('a renewal reloads nginx only when there is another certificate, and no request fails', async () => {
  await using load = visitors(host, ['/api/healthz', '/', '/api/v1/version'])
  await until('there are visitors', () => load.answers.length > 20, { withinMs: 20_000 })
  const serial = load.answers.find((each) => each.serial !== '')?.serial
  const before = await nginxProcesses()
  const idle = await host.samovar(['job', 'renew-certificates'])
  expect([idle.exitCode, idle.stdout]).toEqual([0, expect.stringContaining('nginx was not touched')])
  expect(await nginxProcesses()).toEqual(before)

  // Another server is what certbot takes a new certificate for before its time.
  await merged(host, {
    'host.yaml': (document) => {
      const variables = document['variables'] as Record<string, string>
      variables['ACME_SERVER'] = variables['ACME_SERVER']?.replace('//pebble:', '//pebble-2:') ?? ''
    },
  })
  const main = (await api(host, '/repos/ops/host/branches/main')).body['commit'] as { id: string }
  const commit = async () => (JSON.parse((await daemon.get('/api/status')).text) as Status).commit
  await until('Samovar has read it', async () => (await commit()) === main.id, { withinMs: 30_000 })
  const forced = await host.samovar(['job', 'renew-certificates'])
  expect([forced.exitCode, forced.stdout]).toEqual([0, expect.stringContaining('reloaded nginx')])
  const isNew = () => load.answers.filter((each) => each.serial !== '' && each.serial !== serial)
  await until('visitors see the new certificate', () => isNew().length > 5, { withinMs: 20_000 })
  const after = await nginxProcesses()
  expect(after.master).toBe(before.master)
  expect(after.workers).not.toBe(before.workers)
  expect(new Set(isNew().map((each) => each.serial)).size).toBe(1)
  expect(load.answers.length).toBeGreaterThan(100)
  expect(load.bad()).toEqual([])
})

test('a merged version of Gitea is rolled out while everybody works, and nobody sees more than a pause', {
  timeout: 240_000,
}, async () => {
  expect(
    (await api(host, '/user/repos', { name: 'work', auto_init: true, default_branch: 'main' })).status,
  ).toBe(201)
  const url = `https://operator:${await host.password()}@${domain}/operator/work.git`
  const clone = join(host.folder, '../work')
  await host.program('git', ['clone', '-q', url, clone])
  const [first] = await history('gitea')
  const mails = host.mails.mails.length
  await writeFile(join(clone, 'large.bin'), randomBytes(60 * 1024 ** 2))
  const shell = (script: string, folder: string) => host.program('sh', ['-c', `cd "$0" && ${script}`, folder])
  await shell('git add . && git commit -qm large', clone)
  await using load = visitors(host, ['/api/healthz', '/', '/api/v1/version'])
  await merged(host, { 'services/gitea.yaml': (document) => void (document['tag'] = '1.27.2') })
  // Gitea said so to Samovar: the next look by itself is in three minutes.
  await until('the roll-out has begun', async () => (await history('gitea'))[0]?.id !== first?.id, {
    withinMs: 30_000,
    everyMs: 100,
  })
  const { body, sha256 } = slowFile('uploaded.bin', 3 * 1024 ** 2, 1500)
  const upload = ask(host, '/api/v1/repos/operator/work/contents', {
    method: 'POST',
    headers: { authorization: await authorization(host), 'content-type': 'application/json' },
    body,
  })
  const large = shell('git push -q origin HEAD:large', clone)
  const [operation, answer] = await Promise.all([ended('gitea', first?.id), upload, large])
  expect(operation).toMatchObject({ result: 'applied', from: { tag: '1.27.1' }, to: { tag: '1.27.2' } })
  expect([answer.status, answer.text]).toEqual([201, expect.stringContaining('commit')])
  expect(await version()).toBe('1.27.2')
  await until(
    'visitors see the new version',
    () => load.answers.some((each) => each.text.includes('1.27.2')),
    { withinMs: 10_000 },
  )
  expect(load.bad()).toEqual([])
  // They waited at the door meanwhile.
  expect(Math.max(...load.answers.map((each) => each.ms))).toBeGreaterThan(1_000)

  const copy = join(host.folder, '../copy')
  await host.program('git', ['clone', '-q', url, copy])
  const uploaded = await shell('sha256sum <uploaded.bin && git log --format=%s -- uploaded.bin', copy)
  expect(uploaded).toBe(`${await sha256}  -\nuploaded\n`)
  const sent = await shell('sha256sum <large.bin', clone)
  expect(await shell('git show origin/large:large.bin | sha256sum', copy)).toBe(sent)
  await until(
    'it was told',
    () =>
      host.mails.mails.slice(mails).some((mail) => mail.subject.includes('gitea applied: 1.27.1 -> 1.27.2')),
    { withinMs: 20_000 },
  )
})

test('PostgreSQL is updated while Gitea stands still, and everything is there afterwards', {
  timeout: 180_000,
}, async () => {
  const gitea = host.rig.docker.getContainer(await host.container('gitea'))
  const [first] = await history('postgres')
  await merged(host, { 'services/postgres.yaml': (document) => void (document['tag'] = '18.6') })
  expect(await ended('postgres', first?.id)).toMatchObject({
    result: 'applied',
    from: { tag: '18.5' },
    to: { tag: '18.6' },
  })
  const { Created, State } = await host.rig.docker.getContainer(await host.container('postgres')).inspect()
  const { State: giteaNow } = await gitea.inspect()
  expect(Date.parse(giteaNow.FinishedAt)).toBeLessThan(Date.parse(State.StartedAt))
  expect(Date.parse(giteaNow.StartedAt)).toBeGreaterThan(Date.parse(State.StartedAt))
  expect(Date.parse(Created)).toBeLessThanOrEqual(Date.parse(State.StartedAt))
  await until('Gitea answers', async () => (await ask(host, '/api/healthz')).status === 200, {
    withinMs: 30_000,
  })
  expect((await api(host, '/repos/operator/work')).status).toBe(200)
})

test('a Gitea that is no good is put back with its data, and people are told', {
  timeout: 240_000,
}, async () => {
  const before = (await api(host, '/repos/operator/work')).body
  const [first] = await history('gitea')
  await merged(host, {
    'services/gitea.yaml': (document) => {
      document['tag'] = '1.28.0'
      Object.assign(document['health'] as object, { within: '10s' })
    },
  })
  const operation = await ended('gitea', first?.id, 180_000)
  expect(operation).toMatchObject({
    result: 'reverted',
    from: { tag: '1.27.2' },
    to: { tag: '1.28.0' },
    backup: expect.any(String),
  })
  await until('the door serves the old version', async () => (await version()) === '1.27.2', {
    withinMs: 60_000,
  })
  expect((await api(host, '/repos/operator/work')).body).toEqual(before)
  await until(
    'it was told',
    () =>
      host.mails.mails.some((mail) =>
        mail.subject.includes('gitea reverted: 1.28.0 failed, 1.27.2 runs again'),
      ),
    { withinMs: 20_000 },
  )
})

test('a backup of the stack is taken and proven by a restore into a scratch server', {
  timeout: 180_000,
}, async () => {
  const backup = await host.samovar(['backup'])
  expect([backup.exitCode, backup.stderr], backup.stdout).toEqual([0, ''])
  const verify = await host.samovar(['verify', '--level', '2'])
  expect([verify.exitCode, verify.stderr], verify.stdout).toEqual([0, ''])
})

test('nothing secret is anywhere but where it belongs', { timeout: 180_000 }, async () => {
  const secrets = await host.secrets()
  expect(Object.keys(secrets)).toHaveLength(13)
  const verbs = ['plan', 'status', 'history', 'jobs', 'backups', 'doctor']
  for (const verb of verbs) await Promise.all([host.samovar([verb]), host.samovar([verb, '--json'])])
  const operations = await host.document<OperationDocument[]>(['history', '--limit', '100'])
  const shown = operations.filter(
    ({ service, job }) => ['gitea', 'postgres'].includes(service) || job !== null,
  )
  expect(shown.length).toBeGreaterThan(5)
  for (const { id } of shown) await host.samovar(['show', id])
  for (const path of [
    '/metrics',
    '/api/status',
    '/api/plan',
    '/api/history',
    `/operations/${operations[0]?.id}`,
  ])
    host.told.push((await daemon.get(path)).text)
  const own = ['secrets', 'gitea-token', 'webhook-secret', 'gitea-admin-password', 'compose.json'].map(
    (name) => join(host.stateDir, name),
  )

  const places: Searched[] = [
    ...(await filesBelow(host.stateDir, { without: own })),
    ...rowsOf(join(host.stateDir, 'journal.sqlite')),
    ...(await filesBelow(host.folder, { without: [join(host.folder, '.git/objects')] })),
    // What is larger is encrypted.
    ...(await filesBelow(host.backups, { atMost: 1024 ** 2 })),
    ...(await fromEngine()),
    ...watched.seen,
    ...host.mails.mails.map(({ subject, text, html, headers, raw }) => ({
      where: `the mail ${subject}`,
      bytes: Buffer.from([text, html, raw, ...headers.flat()].join('\n')),
    })),
    { where: 'what verbs said', bytes: Buffer.from(host.told.join('\n')) },
    { where: 'the log of the daemon', bytes: Buffer.from(daemon.log().join('\n')) },
  ]
  expect(new Set(places.map((each) => each.where.replace(/.*\//, '')))).toContain('journal.sqlite-wal')
  expect(host.mails.mails.length).toBeGreaterThan(2)
  // Jobs and the scratch server of the verification are gone by now.
  expect(
    watched.seen.filter((each) => each.where.includes(`${host.project}-certbot`)).length,
  ).toBeGreaterThan(2)
  expect(findSecrets(secrets, places)).toEqual([])
  // The search finds what is there: what containers get lies in files below secrets/.
  const there = findSecrets(secrets, await filesBelow(join(host.stateDir, 'secrets')))
  expect(new Set(there.map((line) => line.split(' ')[0])).size).toBe(8)
})

/** What the Engine shows of all containers, networks and volumes, and what containers wrote. */
async function fromEngine(): Promise<Searched[]> {
  const { docker } = host.rig
  const found: Searched[] = []
  for (const { Id, Names } of await docker.listContainers({ all: true, filters: ours() })) {
    const container = docker.getContainer(Id)
    const logs = await container.logs({ stdout: true, stderr: true })
    found.push(
      { where: `docker inspect ${Names[0]}`, bytes: Buffer.from(JSON.stringify(await container.inspect())) },
      { where: `docker logs ${Names[0]}`, bytes: logs },
    )
  }
  const about = [
    await docker.listNetworks({ filters: ours() }),
    await docker.listVolumes({ filters: ours() }),
  ]
  found.push({ where: 'networks and volumes', bytes: Buffer.from(JSON.stringify(about)) })
  expect(found.length).toBeGreaterThan(18)
  return found
}
