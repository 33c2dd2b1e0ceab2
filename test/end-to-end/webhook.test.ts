import { expect, test } from 'vitest'
import { call, delivery, pushBody, secret } from '../http/hook-caller.ts'
import { type Daemon, startDaemon } from './samovar.ts'
import { hostYaml, startHost, type TestHost, webService } from './test-host.ts'

/** Polling alone would find nothing within the test. */
async function startSlowHost(purpose: string): Promise<TestHost> {
  const host = await startHost(purpose)
  await host.commit({
    'desired-state/host.yaml': hostYaml(host.project).replace('poll: 1s', 'poll: 1h'),
  })
  Object.assign(host.environment, {
    SAMOVAR_WEBHOOK_SECRET: secret,
    SAMOVAR_GITEA_REPOSITORY: 'ops/host',
    LOG_LEVEL: 'debug',
  })
  return host
}

const merge = (host: TestHost, version: string) =>
  host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version }) })

/** Passes that a push was a reason for. */
const passesOf = (daemon: Daemon): number =>
  daemon.log().filter((line) => /debug pass: begins: .*a push/.test(line)).length

test('with a signed webhook a merge is rolled out at once, and the operation can be linked to', async () => {
  await using host = await startSlowHost('webhook')
  await using daemon = await startDaemon(host)
  await daemon.line('web: applied: create 1.0.0')
  const before = await merge(host, '1.1.0')
  const unsigned = delivery(pushBody(), { 'x-gitea-signature': '' })
  expect((await call(daemon.url, unsigned)).status).toBe(401)
  await daemon.line('warn webhooks: a webhook without a signature was refused')
  const tried = delivery(pushBody({ before, after: before }))
  const deleted = delivery(pushBody({ before, after: '0'.repeat(40) }))
  const other = delivery(pushBody({ ref: 'refs/heads/other' }))
  for (const each of [tried, deleted, other]) expect((await call(daemon.url, each)).status).toBe(202)
  const push = delivery(pushBody({ after: before }))
  expect(await call(daemon.url, push)).toMatchObject({ status: 202 })
  await daemon.line('web: applied: replace 1.0.0')
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.1.0' } })
  expect(passesOf(daemon)).toBe(1)
  expect(await daemon.metric('samovar_webhooks_total{hook="gitea",result="ignored"}')).toBe(3)

  const [operation] = JSON.parse((await daemon.get('/api/history?limit=1')).text) as { id: string }[]
  const page = await daemon.get(`/operations/${operation?.id}`)
  expect(page.status).toBe(200)
  expect(page.text).toMatch(/^web: replace 1\.0\.0 .* -> 1\.1\.0 .*: applied\n/)
  expect(daemon.log().join('\n')).not.toContain(secret)
})

test('1,000 deliveries at once make a few passes, and one that was replayed makes none after a restart', async () => {
  await using host = await startSlowHost('webhook-burst')
  const again = delivery(pushBody())
  {
    await using daemon = await startDaemon(host)
    await daemon.line('web: applied: create 1.0.0')
    await merge(host, '1.1.0')
    const burst = [again, ...Array.from({ length: 999 }, () => delivery(pushBody()))]
    const answers = await Promise.all(burst.map((each) => call(daemon.url, each)))
    expect(answers.filter(({ status }) => status !== 202)).toEqual([])
    await daemon.line('web: applied: replace 1.0.0')
    expect(passesOf(daemon)).toBeLessThanOrEqual(4)
    expect((await daemon.get('/readyz')).status).toBe(200)
    daemon.signal('SIGTERM')
    expect(await daemon.ended).toBe(0)
  }
  await using daemon = await startDaemon(host)
  await daemon.line('debug pass: ended')
  const { body } = await call(daemon.url, again)
  expect(JSON.parse(body)).toMatchObject({ accepted: false, why: expect.stringContaining('replay') })
})
