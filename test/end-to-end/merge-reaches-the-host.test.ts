import { expect, test } from 'vitest'
import { startHost, webService } from './test-host.ts'

const digestThatRuns = async (host: Awaited<ReturnType<typeof startHost>>): Promise<string> => {
  const containers = await host.rig.docker.listContainers({
    filters: { label: [`com.docker.compose.project=${host.project}`] },
  })
  expect(containers.map((each) => each.Names[0])).toEqual([`/${host.project}-web-1`])
  return String(containers[0]?.Image)
}

test('a first commit starts the service, a bump replaces it, and the next pass finds nothing to do', async () => {
  await using host = await startHost('bump')
  const first = await host.pass()
  expect(first.operations.map((each) => [each.service, each.kind, each.result])).toEqual([
    ['web', 'create', 'applied'],
  ])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })

  await host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version: '1.1.0' }) })
  const second = await host.pass()
  expect(second.operations.map((each) => [each.kind, each.result, each.reason])).toEqual([
    ['replace', 'applied', ''],
  ])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.1.0' } })
  expect(await digestThatRuns(host)).toContain('web:1.1.0@sha256:')

  const third = await host.pass()
  expect(third.operations).toEqual([])
  expect(third.plan?.changes.map((change) => [change.action, change.reasons])).toEqual([['none', []]])
})

test('a version that fails its health check is put back, and is not tried again', async () => {
  await using host = await startHost('revert')
  await host.pass()
  const health = `within: 4s\n  steady: 200ms\n  checks:\n    - { http: "http://127.0.0.1:${host.port}/healthz", every: 200ms }`
  await host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version: '2.0.0', health }) })
  const report = await host.pass()
  expect(report.operations).toMatchObject([
    { result: 'reverted', from: { tag: '1.0.0' }, to: { tag: '2.0.0' } },
  ])
  expect(report.operations[0]?.reason).toContain('HTTP 503')
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
  expect(await digestThatRuns(host)).toContain('web:1.0.0@sha256:')

  const again = await host.pass()
  expect(again.operations).toEqual([])
  expect(again.plan?.changes[0]?.held).toContain('quarantined')

  // Somebody removes what was put back: the version that held comes again, not the one in quarantine, and not none.
  const [web] = await (await host.parts()).engine.observe(host.project)
  await host.rig.docker.getContainer(String(web?.instance)).remove({ force: true })
  const restored = await host.pass()
  expect(restored.operations).toMatchObject([{ kind: 'create', result: 'applied', to: { tag: '1.0.0' } }])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
  expect((await host.pass()).operations).toEqual([])
})

test('what was changed by hand is corrected, with the field that differed', async () => {
  await using host = await startHost('drift')
  await host.pass()
  const parts = await host.parts()
  const current = async () =>
    (await parts.engine.observe(host.project)).find((each) => each.service === 'web')
  const before = await current()
  await host.rig.docker.getContainer(String(before?.instance)).stop({ t: 1 })
  const stopped = await host.pass({ now: true })
  expect(stopped.operations).toMatchObject([{ kind: 'start', result: 'applied' }])
  expect((await current())?.instance).toBe(before?.instance)

  await host.rig.docker.getContainer(String(before?.instance)).remove({ force: true })
  const removed = await host.pass({ now: true })
  expect(removed.operations).toMatchObject([{ kind: 'create', result: 'applied' }])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
})
