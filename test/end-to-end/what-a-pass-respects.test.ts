import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Progress } from '../../reconciler/rollout/step.ts'
import { until } from '../rig/until.ts'
import { hostYaml, silent, startHost, type TestHost, webService } from './test-host.ts'

const everything = async (host: TestHost) => (await host.parts()).engine.observe(host.project)

const twoServices = (ports: string, extra = ''): string =>
  `services:\n  web:\n    image: web\n    ports: ["${ports}:8080"]\n${extra}  second:\n    image: web\n`

test('a bad commit changes nothing, says where it is bad, and the last good one stays in force', async () => {
  await using host = await startHost('bad-commit')
  await host.pass()
  await host.commit({
    'desired-state/services/web.yaml': `image: ${host.rig.registry}/web\ntag: latest\nhealht: {}\n`,
  })
  const [web] = await everything(host)
  await host.rig.docker.getContainer(String(web?.instance)).stop({ t: 1 })
  const report = await host.pass({ now: true })
  expect(report.findings.map((finding) => `${finding.file}:${finding.line}:${finding.column}`)).toEqual([
    'desired-state/services/web.yaml:2:6',
    'desired-state/services/web.yaml:3:1',
  ])
  expect(report.operations).toMatchObject([{ kind: 'start', result: 'applied' }])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
})

test('an empty desired state removes nothing', async () => {
  await using host = await startHost('empty')
  await host.pass()
  await host.commit({ 'desired-state/services/web.yaml': null })
  const report = await host.pass()
  expect(report.operations).toEqual([])
  expect(report.findings).not.toEqual([])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
})

test('while Git is away the last good commit stays in force, and the report says so', async () => {
  await using host = await startHost('git-away')
  await host.pass()
  host.git.fail('unreachable')
  const [web] = await everything(host)
  await host.rig.docker.getContainer(String(web?.instance)).remove({ force: true })
  const report = await host.pass({ now: true })
  expect(report.sourceProblem).not.toBeNull()
  expect(report.operations).toMatchObject([{ kind: 'create', result: 'applied' }])
})

test('a service that left the desired state is stopped and kept; with prune it is removed, its volumes never', async () => {
  await using host = await startHost('leaving')
  const compose = (services: string) => `${services}volumes: { data: {} }\n`
  const both = compose(twoServices(`127.0.0.1:${host.port}`, '    volumes: [data:/data]\n'))
  await host.commit({
    'compose/compose.yaml': both,
    'desired-state/services/second.yaml': webService(host.rig),
  })
  await host.pass()
  const one = compose(
    `services:\n  web:\n    image: web\n    ports: ["127.0.0.1:${host.port}:8080"]\n    volumes: [data:/data]\n`,
  )
  await host.commit({ 'compose/compose.yaml': one, 'desired-state/services/second.yaml': null })
  const stopped = await host.pass()
  expect(stopped.operations).toMatchObject([{ service: 'second', kind: 'remove', result: 'applied' }])
  expect((await everything(host)).find((each) => each.service === 'second')?.state).toBe('exited')
  expect((await host.pass()).operations).toEqual([])

  await host.commit({ 'desired-state/host.yaml': hostYaml(host.project, 'prune: true\n') })
  await host.pass()
  expect((await everything(host)).map((each) => each.service)).toEqual(['web'])
  await host.rig.docker.getVolume(`${host.project}_data`).inspect()
})

test('what Samovar did not create it does not touch, also when it has the name of a service', async () => {
  await using host = await startHost('foreign')
  const image = `${host.rig.registry}/tools:1.0.0`
  const pull = await host.rig.docker.pull(image)
  await new Promise((resolve) => host.rig.docker.modem.followProgress(pull, resolve))
  const name = `${host.project}-web-1`
  const foreign = await host.rig.docker.createContainer({ name, Image: image })
  try {
    await foreign.start()
    const report = await host.pass()
    expect(report.operations).toMatchObject([{ service: 'web', kind: 'create' }])
    expect(report.operations[0]?.result).not.toBe('applied')
    expect(report.operations[0]?.reason).toContain('another container has that name')
    const seen = await foreign.inspect()
    expect([seen.State.Running, seen.Name]).toEqual([true, `/${name}`])
    expect(await everything(host)).toEqual([])
  } finally {
    await foreign.remove({ force: true })
  }
})

test('configuration that was changed by hand is put right, and the reason names the field', async () => {
  await using host = await startHost('by-hand')
  await host.pass()
  const [web] = await everything(host)
  await host.rig.docker.getContainer(String(web?.instance)).update({ Memory: 64 * 1024 ** 2, MemorySwap: -1 })
  // A new process has not seen the event; it looks at every container once.
  const parts = await host.parts()
  const { newMemory } = await import('../../reconciler/look.ts')
  const { pass } = await import('../../reconciler/reconcile.ts')
  const report = await pass(parts, newMemory(), {
    services: [],
    now: true,
    stopping: new AbortController().signal,
    hint: new EventTarget(),
    progress: silent,
    busy: () => {},
  })
  expect(report.operations).toMatchObject([{ kind: 'replace', result: 'applied' }])
  expect(report.operations[0]?.intent.reasons).toMatchObject([
    { field: 'mem_limit', before: '67108864', after: '' },
  ])
})

test('a newer commit that changes the service cuts the waiting roll-out and is rolled out next', async () => {
  await using host = await startHost('preempt')
  await host.pass()
  const health = `within: 100s\n  steady: 200ms\n  checks:\n    - { http: "http://127.0.0.1:${host.port}/healthz", every: 200ms }`
  await host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version: '2.0.0', health }) })
  let waiting = false
  const progress: Progress = {
    ...silent,
    health: () => {
      waiting = true
    },
  }
  const running = host.pass({ progress })
  await until('the health check waits', () => waiting, { withinMs: 20_000 })
  await host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version: '1.1.0' }) })
  const cut = await running
  expect(cut.operations).toMatchObject([
    { result: 'reverted', to: { tag: '2.0.0' } },
    { result: 'applied', to: { tag: '1.1.0' } },
  ])
  expect(cut.operations[0]?.reason).toContain('newer commit')
  expect((await host.parts()).journal.quarantined()).toEqual([])
})

test('a secret reaches the container and nothing else', async () => {
  const secret = 'correct-horse-battery'
  await using host = await startHost('secret')
  const secretFile = join(host.stateDir, 'given-secret')
  const { writeFile } = await import('node:fs/promises')
  await writeFile(secretFile, secret)
  const compose = (word: string) =>
    `services:\n  web:\n    image: web\n    ports: ["127.0.0.1:${host.port}:8080"]\n    environment: { DATABASE: "postgres://web:\${PASSPHRASE}@db/${word}" }\n`
  await host.commit({
    'desired-state/host.yaml': hostYaml(
      host.project,
      `variables:\n  PASSPHRASE: { secret: "file:${secretFile}" }\n`,
    ),
    'compose/compose.yaml': compose('one'),
  })
  const reports = [await host.pass()]
  await host.commit({ 'compose/compose.yaml': compose('two') })
  reports.push(await host.pass())
  expect(reports[1]?.operations).toMatchObject([{ kind: 'replace', result: 'applied' }])
  const [web] = await everything(host)
  const seen = await (await host.parts()).engine.inspect(String(web?.instance))
  expect(seen.configuration.Env).toContain(`DATABASE=postgres://web:${secret}@db/two`)
  expect(JSON.stringify(reports)).not.toContain(secret)
  expect(JSON.stringify(seen.configuration.Labels)).not.toContain(secret)
  const journal = (await readdir(host.stateDir)).filter((name) => name.startsWith('journal.sqlite'))
  for (const name of journal) expect((await readFile(join(host.stateDir, name))).includes(secret)).toBe(false)
})
