import { Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { SamovarError } from '../../reconciler/errors.ts'
import { type MetricsSource, makeMetrics } from '../../reconciler/http/metrics.ts'
import { type HttpSource, startHttp } from '../../reconciler/http/server.ts'
import type { BackupRecord } from '../../reconciler/journal/data-records.ts'
import type { JobRun } from '../../reconciler/journal/job-records.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import type { ServiceStatus, Status } from '../../reconciler/status.ts'

const service = (name: string, other: Partial<ServiceStatus> = {}): ServiceStatus => ({
  name,
  sync: 'synced',
  health: 'healthy',
  state: 'idle',
  reason: '',
  startsAt: null,
  desired: { image: 'web', tag: '1.0.0', digest: 'sha256:aa' },
  operation: null,
  running: null,
  ...other,
})

const status: Status = {
  host: 'git.example.com',
  commit: 'c'.repeat(40),
  lastPass: '2026-11-22T03:00:00.000Z',
  services: [service('web'), service('db', { sync: 'out-of-sync', state: 'quarantined' })],
  jobs: [],
  summary: '',
  problems: [],
  findings: [],
  fetchedAt: '2026-11-22T02:59:30.000Z',
  seenAt: null,
  daemon: null,
  outbox: { waiting: 2, since: '2026-11-22T03:00:00.000Z', problem: 'HTTP 502' },
  notifications: {
    waiting: 3,
    since: '2026-11-22T03:00:00.000Z',
    problem: 'it does not answer',
    lastSent: '2026-11-22T02:00:00.000Z',
    sent: 7,
    failed: 5,
    givenUp: 1,
  },
}

/** As without SAMOVAR_WEBHOOK_SECRET and SAMOVAR_DIUN_TOKEN. */
const noHooks: HttpSource['hooks'] = {
  secret: null,
  diunToken: null,
  repository: null,
  branch: 'main',
  firstDelivery: () => true,
  hint: () => {},
  pullRequestHint: () => {},
  hintRepository: () => {},
  bumpHint: () => {},
  refused: () => {},
  now: Date.now,
}

const sourceOf = (other: Partial<HttpSource> = {}): HttpSource => ({
  version: '1.2.3',
  registry: new Registry(),
  status: () => status,
  plan: () => ({ commit: null, changes: [], foreign: [] }),
  history: () => [],
  operation: () => {
    throw new SamovarError('not-found', 'there is no such operation')
  },
  backups: async () => ({ backups: [], at: Date.now(), problems: [] }),
  notReady: () => null,
  hooks: noHooks,
  ...other,
})

async function serve(other: Partial<HttpSource> = {}) {
  const server = await startHttp({ host: '127.0.0.1', port: 0 }, sourceOf(other))
  const get = async (path: string, init?: RequestInit) => {
    const answer = await fetch(server.url + path, init)
    return { status: answer.status, body: await answer.text() }
  }
  return { ...server, get, [Symbol.asyncDispose]: () => server.close() }
}

describe('what others may look at', () => {
  test('it lives, and is ready when a pass has ended well', async () => {
    await using server = await serve()
    expect(await server.get('/livez')).toEqual({ status: 200, body: '{"alive":true,"version":"1.2.3"}' })
    expect((await server.get('/readyz')).status).toBe(200)
    await using waiting = await serve({ notReady: () => 'the first pass is not over yet' })
    const { status: code, body } = await waiting.get('/readyz')
    expect([code, JSON.parse(body)]).toEqual([
      503,
      { ready: false, version: '1.2.3', reason: 'the first pass is not over yet' },
    ])
    expect((await waiting.get('/livez')).status).toBe(200)
  })

  test('the documents of the reading verbs are there', async () => {
    const asked: unknown[] = []
    await using server = await serve({
      history: (limit, name) => {
        asked.push([limit, name])
        return []
      },
    })
    expect(JSON.parse((await server.get('/api/status')).body)).toEqual(status)
    expect(JSON.parse((await server.get('/api/plan')).body)).toEqual({
      commit: null,
      changes: [],
      foreign: [],
    })
    expect((await server.get('/api/backups')).body).toBe('[]')
    await server.get('/api/history')
    await server.get('/api/history?limit=5&service=web')
    expect(asked).toEqual([
      [20, undefined],
      [5, 'web'],
    ])
    expect((await server.get('/api/history?limit=all')).status).toBe(400)
  })

  test('backups come with their age, with what is wrong with a store, or not at all when none has answered', async () => {
    const backups = [{ id: '20261122T020000Z-0003-cccccc' }]
    await using server = await serve({
      backups: async () => ({ backups, at: Date.now() - 12_000, problems: ['file /a: gone\nfor good'] }),
    })
    const answer = await fetch(`${server.url}/api/backups`)
    expect(await answer.json()).toEqual(backups)
    expect(Number(answer.headers.get('age'))).toBe(12)
    expect(answer.headers.get('samovar-problems')).toBe('file /a: gone | for good')
    await using silent = await serve({ backups: async () => ({ backups: null, at: null, problems: [] }) })
    const none = await fetch(`${silent.url}/api/backups`)
    expect([none.status, none.headers.get('retry-after'), await none.json()]).toEqual([
      503,
      '5',
      { error: 'the stores have not answered yet' },
    ])
  })

  test('nothing can be changed through it', async () => {
    await using server = await serve()
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
      for (const path of ['/api/status', '/api/plan', '/api/history', '/api/backups', '/livez', '/metrics'])
        expect((await server.get(path, { method })).status, `${method} ${path}`).toBe(404)
  })

  test('a port that is taken is told with the setting to change', async () => {
    await using server = await serve()
    const port = Number(new URL(server.url).port)
    await expect(startHttp({ host: '127.0.0.1', port }, sourceOf())).rejects.toMatchObject({
      code: 'settings-invalid',
      message: `127.0.0.1:${port} cannot be listened at: EADDRINUSE`,
    })
  })
})

describe('metrics', () => {
  const backup = (id: string, other: Partial<BackupRecord> = {}): BackupRecord => ({
    id,
    class: 'scheduled',
    services: ['web'],
    operation: 'operation',
    at: Date.parse('2026-11-22T02:00:00.000Z'),
    bytes: 1_000,
    plainBytes: 4_000,
    ms: 2_500,
    ...other,
  })
  const data: MetricsSource['data'] = {
    provenBackups: () => [
      backup('b4'),
      backup('b3', { at: Date.parse('2026-11-21T02:00:00.000Z'), bytes: 900 }),
      backup('b2', { class: 'before-update', at: Date.parse('2026-11-20T02:00:00.000Z') }),
      backup('b1', { services: ['left the desired state'] }),
    ],
    verifications: () => [
      { level: 2, at: Date.parse('2026-11-15T05:00:00.000Z'), good: true },
      { level: 2, at: Date.parse('2026-11-22T02:30:00.000Z'), good: false },
    ],
    dataCounts: () => ({
      backups: { good: 3, failed: 1 },
      verifications: { good: 1, failed: 1 },
      restores: { applied: 0, untouched: 0, stuck: 1 },
    }),
    atWork: () => 0,
  }
  const metrics = (about: Partial<MetricsSource['data']> = {}, jobs: JobRun[] = []) =>
    makeMetrics(
      {
        status: () => status,
        lastPassMs: () => 1_500,
        lastPassOk: () => true,
        rollingOut: () => 1,
        now: () => Date.parse('2026-11-22T03:01:00.000Z'),
        data: { ...data, ...about },
        jobs: () => jobs,
      },
      '1.2.3',
    )
  const line = (text: string, name: string): string | undefined =>
    text
      .split('\n')
      .find((each) => each.startsWith(`${name} `))
      ?.slice(name.length + 1)

  test('staleness, services and the last pass are what they are at the moment of the scrape', async () => {
    const text = await metrics().registry.metrics()
    expect(line(text, 'samovar_source_staleness_seconds')).toBe('90')
    expect(line(text, 'samovar_last_pass_timestamp_seconds')).toBe(String(Date.UTC(2026, 10, 22, 3) / 1000))
    expect(line(text, 'samovar_pass_duration_seconds')).toBe('1.5')
    expect(line(text, 'samovar_gitea_messages_waiting')).toBe('2')
    expect(line(text, 'samovar_gitea_oldest_message_seconds')).toBe('60')
    expect(line(text, 'samovar_update_in_progress')).toBe('1')
    expect(line(text, 'samovar_services{sync="synced",state="idle"}')).toBe('1')
    expect(line(text, 'samovar_services{sync="out-of-sync",state="quarantined"}')).toBe('1')
    expect(line(text, 'samovar_services{sync="out-of-sync",state="stuck"}')).toBe('0')
    expect(line(text, 'samovar_build_info{version="1.2.3"}')).toBe('1')
    expect(text).toContain('process_resident_memory_bytes')
  })

  test('operations are counted by result, rollbacks and corrections of drift for themselves', async () => {
    const made = metrics()
    const ended = (result: string, kind = 'replace', drift = false) =>
      made.operationEnded({ result, kind, intent: { drift } } as Operation)
    ended('applied')
    ended('applied', 'start', true)
    ended('applied', 'rollback')
    ended('reverted')
    ended('running')
    const text = await made.registry.metrics()
    expect(line(text, 'samovar_operations_total{result="applied"}')).toBe('3')
    expect(line(text, 'samovar_operations_total{result="reverted"}')).toBe('1')
    expect(line(text, 'samovar_rollbacks_total')).toBe('2')
    expect(line(text, 'samovar_drift_corrections_total')).toBe('1')
  })

  test('a job is alerted on by its last success, which is known after a restart; its runs are no roll-outs', async () => {
    const success = { job: 'renew', finishedAt: Date.UTC(2026, 10, 22, 3) }
    const made = metrics({}, [success as JobRun])
    const ended = (result: string) =>
      made.operationEnded({ result, kind: 'job', intent: { job: { name: 'renew' } } } as Operation)
    ended('applied')
    ended('untouched')
    ended('untouched')
    ended('running')
    const text = await made.registry.metrics()
    expect(line(text, 'samovar_job_last_success_timestamp_seconds{job="renew"}')).toBe(
      String(Date.UTC(2026, 10, 22, 3) / 1000),
    )
    expect(line(text, 'samovar_job_runs_total{job="renew",result="succeeded"}')).toBe('1')
    expect(line(text, 'samovar_job_runs_total{job="renew",result="failed"}')).toBe('2')
    expect(line(text, 'samovar_operations_total{result="applied"}')).toBe('0')
    expect(line(text, 'samovar_operations_total{result="untouched"}')).toBe('0')
  })

  test('of each class the newest good backup counts, of services that are still there', async () => {
    const text = await metrics().registry.metrics()
    const of = (name: string) => line(text, `samovar_backup_${name}{service="web",class="scheduled"}`)
    expect(of('last_success_timestamp_seconds')).toBe(String(Date.UTC(2026, 10, 22, 2) / 1000))
    expect(of('age_seconds')).toBe('3660')
    expect(of('bytes')).toBe('1000')
    expect(of('duration_seconds')).toBe('2.5')
    expect(line(text, 'samovar_backup_age_seconds{service="web",class="before-update"}')).toBe('176460')
    expect(text).not.toContain('left the desired state')
    expect(line(text, 'samovar_backups_total{result="good"}')).toBe('3')
    expect(line(text, 'samovar_backups_total{result="failed"}')).toBe('1')
    expect(line(text, 'samovar_restores_total{result="stuck"}')).toBe('1')
  })

  test('the last verification and its level, and when one last was good, are there', async () => {
    const text = await metrics().registry.metrics()
    const good = Date.UTC(2026, 10, 15, 5) / 1000
    expect(line(text, 'samovar_verify_last_success_timestamp_seconds{level="2"}')).toBe(String(good))
    expect(line(text, 'samovar_verify_last_success')).toBe('0')
    expect(line(text, 'samovar_verify_last_level')).toBe('2')
  })

  test('without a backup there is no age, rather than one of 0', async () => {
    const text = await metrics({ provenBackups: () => [], verifications: () => [] }).registry.metrics()
    expect(text.split('\n').filter((each) => /^samovar_(backup|verify)_/.test(each))).toEqual([])
  })

  test('a backup, a verification and a restore are no roll-outs', async () => {
    const made = metrics()
    for (const kind of ['backup', 'verify', 'restore'])
      made.operationEnded({ result: 'applied', kind, intent: { drift: false } } as unknown as Operation)
    const text = await made.registry.metrics()
    expect(line(text, 'samovar_operations_total{result="applied"}')).toBe('0')
    expect(line(text, 'samovar_rollbacks_total')).toBe('0')
  })
})
