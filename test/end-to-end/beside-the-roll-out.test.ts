import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { findCompose } from '../../reconciler/compose-config.ts'
import type { Running } from '../../reconciler/engine/engine.ts'
import { newMemory } from '../../reconciler/look.ts'
import { type PassReport, pass } from '../../reconciler/reconcile.ts'
import { pushWeb } from '../rig/images.ts'
import { until } from '../rig/until.ts'
import { startDaemon } from './samovar.ts'
import { hostYaml, silent, startHost, type TestHost, webService } from './test-host.ts'

const run = promisify(execFile)

/** No port, so that two containers of it can run at once. */
const onAVolume = (): string =>
  'services:\n  web:\n    image: web\n    restart: unless-stopped\n    stop_grace_period: 2s\n    volumes: ["data:/data"]\nvolumes: { data: {} }\n'
const plain = (): string => 'services:\n  web:\n    image: web\n    restart: unless-stopped\n'
const short = 'within: 20s\n  steady: 200ms\n  soak: 1s'
const image = (host: TestHost, name: string, tag: string): string =>
  `image: ${host.rig.registry}/${name}\ntag: ${tag}\nhealth: { within: 20s, steady: 200ms }\n`

const everything = async (host: TestHost) => (await host.parts()).engine.observe(host.project)
const isOld = (each: Running): boolean => each.name.includes('.old-')
const live = async (host: TestHost, service = 'web') => {
  const found = (await everything(host)).find((each) => each.service === service && !isOld(each))
  return host.rig.docker.getContainer(String(found?.instance)).inspect()
}
const kept = async (host: TestHost) =>
  host.rig.docker.getContainer(String((await everything(host)).find(isOld)?.instance))
const ended = (report: PassReport) => report.operations.map((each) => `${each.service} ${each.result}`)
const pull = async (host: TestHost, reference: string) => {
  const stream = await host.rig.docker.pull(reference)
  await new Promise((resolve) => host.rig.docker.modem.followProgress(stream, resolve))
}
/** A pass of a process that has just started. */
const freshPass = async (host: TestHost): Promise<PassReport> =>
  pass(await host.parts(), newMemory(), {
    services: [],
    now: true,
    stopping: new AbortController().signal,
    hint: new EventTarget(),
    progress: silent,
    busy: () => {},
  })

async function bumped(host: TestHost, health?: string): Promise<void> {
  const also = health === undefined ? {} : { health }
  await host.commit({ 'desired-state/services/web.yaml': webService(host.rig, also) })
  await host.pass()
  await host.commit({
    'desired-state/services/web.yaml': webService(host.rig, { version: '1.1.0', ...also }),
  })
  expect(ended(await host.pass())).toEqual(['web applied'])
}

test('a set-aside container that is started by hand is stopped by the next pass, and the live one is left alone', async () => {
  await using host = await startHost('by-hand', onAVolume)
  await bumped(host)
  const before = await live(host)
  const old = await kept(host)
  await old.update({ RestartPolicy: { Name: 'always' } })
  await old.start()
  const report = await host.pass()
  expect(report.operations).toEqual([])
  const { State, HostConfig, Name } = await old.inspect()
  expect([State.Running, HostConfig.RestartPolicy?.Name]).toEqual([false, 'no'])
  expect(Name).toContain('.old-')
  const after = await live(host)
  expect([after.Id, after.State.StartedAt, after.State.Running]).toEqual([
    before.Id,
    before.State.StartedAt,
    true,
  ])
})

test('docker compose restart during the soak leaves one container on the volumes after the next pass', async () => {
  await using host = await startHost('restart', onAVolume)
  await bumped(host)
  const before = await live(host)
  const old = await kept(host)
  const [program, ...words] = (await findCompose()).command
  const file = ['-f', join(host.stateDir, 'compose.json')]
  await run(program, [...words, ...file, 'restart', '-t', '1', 'web'], {
    env: { ...process.env, DOCKER_HOST: host.rig.dockerHost },
  })
  expect((await old.inspect()).State.Running).toBe(true)
  await host.pass()
  const running = (await everything(host)).filter((each) => each.state === 'running')
  expect(running.map((each) => [each.instance, each.image.tag])).toEqual([[before.Id, '1.1.0']])
})

test('a set-aside container that runs when its soak is over is stopped and removed, and passes go on', async () => {
  await using host = await startHost('soaked', onAVolume)
  await bumped(host, short)
  const old = await kept(host)
  await old.start()
  await until(
    'the soak is over',
    async () => (await host.parts()).journal.kept().every((row) => row.discardAt < Date.now()),
    { withinMs: 5_000 },
  )
  expect(ended(await host.pass())).toEqual([])
  expect((await everything(host)).map((each) => each.image.tag)).toEqual(['1.1.0'])
})

test('a set-aside container that a person gave a name of its own is not removed, and passes go on', async () => {
  await using host = await startHost('renamed', onAVolume)
  await bumped(host, short)
  const old = await kept(host)
  await old.rename({ name: `${host.project}-mine` })
  await until(
    'the soak is over',
    async () => (await host.parts()).journal.kept().every((row) => row.discardAt < Date.now()),
    { withinMs: 5_000 },
  )
  expect(ended(await host.pass())).toEqual([])
  expect((await old.inspect()).Name).toBe(`/${host.project}-mine`)
  await old.start()
  expect(ended(await host.pass())).toEqual([])
  expect([(await old.inspect()).State.Running, (await live(host)).State.Running]).toEqual([true, true])
})

test('a service whose data is in an anonymous volume is not replaced, and the sentence says how to go on', async () => {
  await using host = await startHost('anonymous', plain)
  await host.commit({ 'desired-state/services/web.yaml': image(host, 'store', '1.0.0') })
  expect(ended(await host.pass())).toEqual(['web applied'])
  const before = await live(host)
  const volumes = async () => (await host.rig.docker.listVolumes()).Volumes.map((each) => each.Name).sort()
  const volumesBefore = await volumes()
  await host.commit({ 'desired-state/services/web.yaml': image(host, 'store', '1.1.0') })
  const report = await host.pass()
  expect(ended(report)).toEqual(['web untouched'])
  expect(report.operations[0]?.reason).toMatch(
    /^web: \/data is an anonymous volume; its data would be left behind with the old container; next: /,
  )
  expect((await everything(host)).map((each) => each.instance)).toEqual([before.Id])
  expect((await live(host)).State.StartedAt).toBe(before.State.StartedAt)
  expect(await volumes()).toEqual(volumesBefore)
})

test('another PostgreSQL major is refused before anything is stopped', async () => {
  await using host = await startHost('major', onAVolume)
  const name = `${host.project}-postgres`
  const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  for (const [tag, major] of Object.entries({ '15.9.0': 15, '15.10.0': 15, '16.0.0': 16 }))
    await pushWeb(host.rig.registry, tag, 'good', { name, extra: { Env: [PATH, `PG_MAJOR=${major}`] } })
  for (const tag of ['15.9.0', '15.10.0']) {
    await host.commit({ 'desired-state/services/web.yaml': image(host, name, tag) })
    expect(ended(await host.pass())).toEqual(['web applied'])
  }
  const before = await live(host)
  await host.commit({ 'desired-state/services/web.yaml': image(host, name, '16.0.0') })
  const report = await host.pass()
  expect(ended(report)).toEqual(['web untouched'])
  expect(report.operations[0]?.reason).toBe(
    'web would go from PostgreSQL 15 to 16, which cannot read the files of 15; next: Stay on the same major, or move the data by dump and restore by hand.',
  )
  const after = await live(host)
  expect([after.Id, after.State.StartedAt]).toEqual([before.Id, before.State.StartedAt])
})

test('a name that a foreign container has is found while the old version serves', async () => {
  await using host = await startHost('name', plain)
  await host.pass()
  const before = await live(host)
  const name = `${host.project}-taken`
  const foreign = await host.rig.docker.createContainer({ name, Image: before.Image })
  try {
    await host.commit({ 'compose/compose.yaml': `${plain()}    container_name: ${name}\n` })
    const report = await host.pass()
    expect(ended(report)).toEqual(['web untouched'])
    expect(report.operations[0]?.reason).toContain('another container has that name')
    const { journal } = await host.parts()
    const steps = journal.steps(report.operations[0]?.id ?? '').map((each) => each.name)
    expect(steps).not.toContain('set aside')
    const after = await live(host)
    expect([after.Id, after.State.StartedAt]).toEqual([before.Id, before.State.StartedAt])
    expect((await foreign.inspect()).Name).toBe(`/${name}`)
  } finally {
    await foreign.remove({ force: true })
  }
})

const withJob = (command: string) => () =>
  `services:\n  job:\n    image: web\n    entrypoint: []\n    command: ["/bin/sh", "-c", "${command}"]\n    stop_grace_period: 0s\n    healthcheck: { disable: true }\n  web:\n    image: web\n    depends_on: { job: { condition: service_completed_successfully } }\n`
const patience = 'within: 4s\n  steady: 200ms'

test('who waits for a job is rolled out after the job has ended with 0, and not before', async () => {
  await using host = await startHost('job', withJob('sleep 2'))
  await host.commit({ 'desired-state/services/job.yaml': webService(host.rig, { health: short }) })
  expect(ended(await host.pass())).toEqual(['job applied', 'web applied'])
  const [job, web] = [await live(host, 'job'), await live(host)]
  expect([job.State.Status, job.State.ExitCode]).toEqual(['exited', 0])
  expect(Date.parse(web.Created)).toBeGreaterThanOrEqual(Date.parse(job.State.FinishedAt))
  expect(ended(await host.pass())).toEqual([])
})

test.each([
  ['fails', 'sleep 1; exit 4', 'code 4'],
  ['does not end in time', 'sleep 30', 'still running'],
])('a job that %s is not applied, and who waits for it is not rolled out', async (_, command, said) => {
  await using host = await startHost('job', withJob(command))
  await host.commit({ 'desired-state/services/job.yaml': webService(host.rig, { health: patience }) })
  const report = await host.pass()
  expect(ended(report)).toEqual(['job untouched'])
  expect(report.operations[0]?.reason).toContain(said)
  expect((await everything(host)).map((each) => each.service)).not.toContain('web')
})

test('a container that docker compose made comes back when its replacement fails, checked as its own tag', async () => {
  await using host = await startHost('adopted')
  const reference = host.rig.image('web', '1.0.0')
  await pull(host, reference)
  const before = await host.rig.docker.createContainer({
    name: `${host.project}-web-1`,
    Image: reference,
    Labels: {
      'com.docker.compose.project': host.project,
      'com.docker.compose.service': 'web',
      'com.docker.compose.oneoff': 'False',
      'com.docker.compose.container-number': '1',
    },
    ExposedPorts: { '8080/tcp': {} },
    HostConfig: {
      RestartPolicy: { Name: 'unless-stopped' },
      PortBindings: { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: String(host.port) }] },
    },
  })
  await before.start()
  const door = `http://127.0.0.1:${host.port}`
  const checks = `{ http: "${door}/healthz", every: 200ms }, { http: "${door}/version", json: { version: "{tag}" }, every: 200ms }`
  const health = `within: 4s\n  steady: 200ms\n  checks: [${checks}]`
  await host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version: '2.0.0', health }) })
  const report = await host.pass()
  expect(report.operations.map((each) => [each.result, each.from?.tag, each.to?.tag])).toEqual([
    ['reverted', '1.0.0', '2.0.0'],
  ])
  expect((await everything(host)).map((each) => each.instance)).toEqual([before.id])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
})

const listType = 'application/vnd.docker.distribution.manifest.list.v2+json'
const manifestType = 'application/vnd.docker.distribution.manifest.v2+json'

/** An index with an image for this platform and one for another, under the tag 1.0.0. */
async function pushIndex(host: TestHost, name: string, digests: [string, string]): Promise<void> {
  const base = `http://${host.rig.registry}/v2/${name}/manifests`
  const here = process.arch === 'x64' ? 'amd64' : process.arch
  const manifests = await Promise.all(
    digests.map(async (digest, at) => {
      const seen = await fetch(`${base}/${digest}`, { method: 'HEAD', headers: { accept: manifestType } })
      const platform = { architecture: at === 0 ? here : 'riscv64', os: 'linux' }
      return { mediaType: manifestType, size: Number(seen.headers.get('content-length')), digest, platform }
    }),
  )
  const answer = await fetch(`${base}/1.0.0`, {
    method: 'PUT',
    headers: { 'content-type': listType },
    body: JSON.stringify({ schemaVersion: 2, mediaType: listType, manifests }),
  })
  expect(answer.status).toBe(201)
}

test('a tag that moved for another platform only is applied without replacing anything', async () => {
  await using host = await startHost('index', plain)
  const name = `${host.project}-index`
  const push = (tag: string, behaviour: 'good' | 'slow') =>
    pushWeb(host.rig.registry, tag, behaviour, { name })
  const mine = await push('mine', 'good')
  await pushIndex(host, name, [mine, await push('other', 'good')])
  const note = (text: string) => `${image(host, name, '1.0.0')}x-note: ${text}\n`
  await host.commit({ 'desired-state/services/web.yaml': note('one') })
  await host.pass()
  const before = await live(host)
  await pushIndex(host, name, [mine, await push('other', 'slow')])
  await host.commit({ 'desired-state/services/web.yaml': note('two') })
  const report = await host.pass()
  expect(report.operations.map((each) => [each.kind, each.result, each.reason])).toEqual([
    ['replace', 'applied', 'the same image for this platform: nothing was replaced'],
  ])
  expect(report.operations[0]?.to?.digest).not.toBe(report.operations[0]?.from?.digest)
  const after = await live(host)
  expect([after.Id, after.State.StartedAt]).toEqual([before.Id, before.State.StartedAt])
  expect((await everything(host)).length).toBe(1)
  for (const next of [await host.pass(), await freshPass(host)]) {
    expect(next.operations).toEqual([])
    expect(next.plan?.changes.map((each) => each.action)).toEqual(['none'])
  }
})

test('a secret that this host lacks and no service uses holds nothing back', async () => {
  await using host = await startHost('no-secret')
  await host.pass()
  const commit = await host.commit({
    'desired-state/host.yaml': hostYaml(
      host.project,
      'variables:\n  X: { secret: "env:NOT_ON_THIS_HOST" }\n',
    ),
    'desired-state/services/web.yaml': webService(host.rig, { version: '1.1.0' }),
  })
  const report = await host.pass({ now: true })
  expect(report).toMatchObject({ commit, findings: [] })
  expect(report.operations).toMatchObject([{ kind: 'replace', result: 'applied' }])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.1.0' } })
})

test('what was asked of a daemon that died is answered by the next one, and done by nobody', async () => {
  await using host = await startHost('asked')
  await bumped(host)
  const { journal } = await host.parts()
  const taken = journal.ask('rollback', 'web', Date.now())
  journal.takeRequests(Date.now())
  const waiting = journal.ask('rollback', 'web', Date.now())
  await using daemon = await startDaemon(host)
  await until('it is ready', async () => (await daemon.get('/readyz')).status === 200, { withinMs: 20_000 })
  for (const id of [taken, waiting]) {
    const answer = JSON.parse(journal.requestResult(id) ?? 'null')
    expect(answer).toMatchObject({ problem: { code: 'interrupted', next: 'Ask again.' } })
  }
  expect(journal.history(10).map((each) => each.kind)).toEqual(['replace', 'create'])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.1.0' } })
})
