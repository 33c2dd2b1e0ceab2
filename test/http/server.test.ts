import { Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { makeMetrics } from '../../reconciler/http/metrics.ts'
import { type HttpSource, startHttp } from '../../reconciler/http/server.ts'
import type { Operation } from '../../reconciler/journal/operations.ts'
import type { ServiceStatus, Status } from '../../reconciler/status.ts'

const service = (name: string, other: Partial<ServiceStatus> = {}): ServiceStatus => ({
  name,
  sync: 'synced',
  health: 'healthy',
  state: 'idle',
  reason: '',
  desired: { image: 'web', tag: '1.0.0', digest: 'sha256:aa' },
  running: null,
  ...other,
})

const status: Status = {
  host: 'git.example.com',
  commit: 'c'.repeat(40),
  lastPass: '2026-11-22T03:00:00.000Z',
  services: [service('web'), service('db', { sync: 'out-of-sync', state: 'quarantined' })],
  summary: '',
  problems: [],
  findings: [],
  fetchedAt: '2026-11-22T02:59:30.000Z',
  seenAt: null,
  daemon: null,
}

async function serve(other: Partial<HttpSource> = {}) {
  const server = await startHttp(
    { host: '127.0.0.1', port: 0 },
    {
      version: '1.2.3',
      registry: new Registry(),
      status: () => status,
      plan: () => ({ commit: null, changes: [], foreign: [] }),
      history: () => [],
      notReady: () => null,
      ...other,
    },
  )
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

  test('nothing can be changed through it', async () => {
    await using server = await serve()
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
      for (const path of ['/api/status', '/api/plan', '/api/history', '/livez', '/metrics'])
        expect((await server.get(path, { method })).status, `${method} ${path}`).toBe(404)
  })

  test('a port that is taken is told with the setting to change', async () => {
    await using server = await serve()
    const port = Number(new URL(server.url).port)
    await expect(startHttp({ host: '127.0.0.1', port }, {} as HttpSource)).rejects.toMatchObject({
      code: 'settings-invalid',
      message: `127.0.0.1:${port} cannot be listened at: EADDRINUSE`,
    })
  })
})

describe('metrics', () => {
  const metrics = () =>
    makeMetrics(
      {
        status: () => status,
        lastPassMs: () => 1_500,
        lastPassOk: () => true,
        rollingOut: () => 1,
        now: () => Date.parse('2026-11-22T03:01:00.000Z'),
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
})
