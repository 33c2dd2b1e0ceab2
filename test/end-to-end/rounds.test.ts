import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { OperationDocument } from '../../reconciler/documents.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import { openState } from '../../reconciler/parts.ts'
import { momentBefore, type RoundName } from '../../reconciler/plan/rounds.ts'
import type { Status } from '../../reconciler/status.ts'
import { until } from '../rig/until.ts'
import { type Daemon, documentOf, samovar, startDaemon } from './samovar.ts'
import { hostYaml, startHost, type TestHost, webService } from './test-host.ts'

const nightly = { expression: '0 2 * * *', timezone: 'UTC' }
const day = 86_400_000

/** A web server with one volume, and a store. Its schedules have been seen before. */
async function hostWithSchedules(purpose: string, schedules: string): Promise<TestHost> {
  const host = await startHost(purpose, (port) =>
    [
      'services:',
      '  web:',
      '    image: web',
      '    restart: unless-stopped',
      '    stop_grace_period: 5s',
      `    ports: ["127.0.0.1:${port}:8080"]`,
      '    volumes: ["pages:/pages"]',
      'volumes:',
      '  pages:',
    ].join('\n'),
  )
  const backup = `backup:\n  ${schedules}\n  stores: [{ file: ${host.stateDir}/store, keep: { last: 1 } }]\n`
  await push(host, '1.0.0')
  await host.commit({ 'desired-state/host.yaml': hostYaml(host.project, backup) })
  return host
}

const push = (host: TestHost, version: string, health?: string) =>
  host.commit({
    'desired-state/services/web.yaml': webService(host.rig, {
      version,
      extra: 'data: [{ volume: pages }]\n',
      ...(health !== undefined && { health }),
    }),
  })

/** As if the machine had been off for three of its moments. */
function miss(host: TestHost, name: RoundName = 'backup'): void {
  const journal = openState(host.stateDir)
  const now = Date.now()
  const dueAt = momentBefore(nightly, now - 3 * day)
  journal.beginRound({ name, dueAt, schedule: nightly }, { now: dueAt, again: false })
  journal.endRound(name, 'done', dueAt)
  journal.close()
}

function journalOf<T>(host: TestHost, read: (journal: ReturnType<typeof openState>) => T): T {
  const journal = openState(host.stateDir)
  try {
    return read(journal)
  } finally {
    journal.close()
  }
}

const operations = (host: TestHost, kind: Operation['kind']): Operation[] =>
  journalOf(host, (journal) => journal.history(50).filter((each) => each.kind === kind))

const roundOf = (host: TestHost, name: RoundName = 'backup') =>
  journalOf(host, (journal) => journal.rounds().find((each) => each.name === name))

/** Passes that ended from now on: what a due round would have been done in. */
async function morePasses(daemon: Daemon, count = 2): Promise<void> {
  const ended = () => daemon.log().filter((line) => line.includes('debug pass: ended')).length
  const before = ended()
  await until('more passes have ended', () => ended() >= before + count, { withinMs: 30_000 })
}

const debug = { LOG_LEVEL: 'debug' }

describe('what is scheduled runs inside the daemon', () => {
  test('nights that were missed are made up once, also when the daemon starts again; old backups go after it', async () => {
    await using host = await hostWithSchedules('missed', 'schedule: "0 2 * * *"')
    miss(host)
    {
      await using daemon = await startDaemon(host, debug)
      await daemon.line('backup of web: done', 45_000)
      await morePasses(daemon)
      expect(operations(host, 'backup')).toMatchObject([
        { result: 'applied', intent: { data: { class: 'scheduled' } } },
      ])
      const [backup] = JSON.parse((await daemon.get('/api/backups')).text) as {
        id: string
        verified: number
      }[]
      expect(backup).toMatchObject({ kind: 'scheduled', services: ['web'], verified: 1 })
      const seconds = await daemon.metric('samovar_backup_age_seconds{service="web",class="scheduled"}')
      expect(seconds).toBeLessThan(60)
      expect(await daemon.metric('samovar_backups_total{result="good"}')).toBe(1)
      expect(await daemon.metric('samovar_operations_total{result="applied"}')).toBe(1)
      daemon.signal('SIGTERM')
      expect(await daemon.ended).toBe(0)
    }
    {
      await using daemon = await startDaemon(host, debug)
      await morePasses(daemon)
      expect(operations(host, 'backup')).toHaveLength(1)
      expect(await daemon.metric('samovar_backups_total{result="good"}')).toBe(1)
    }
    miss(host)
    await using daemon = await startDaemon(host, debug)
    await daemon.line('backup of web: done', 45_000)
    await until('the round is over', () => roundOf(host)?.result === 'done', { withinMs: 10_000 })
    const listed = JSON.parse((await daemon.get('/api/backups')).text) as { id: string }[]
    expect(listed.map((each) => each.id)).toEqual([operations(host, 'backup')[0]?.backup])
    expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
  })

  test('the verification proves the newest backup at level 2', async () => {
    await using host = await hostWithSchedules('verify', 'verify: "0 2 * * *"')
    expect((await samovar(host, ['apply'])).exitCode).toBe(0)
    expect((await samovar(host, ['backup', 'web'])).exitCode).toBe(0)
    miss(host, 'verify')
    await using daemon = await startDaemon(host, debug)
    await daemon.line('is good at level 2', 45_000)
    await until('it can be seen', async () => (await daemon.metric('samovar_verify_last_level')) === 2, {
      withinMs: 5_000,
    })
    const at = await daemon.metric('samovar_verify_last_success_timestamp_seconds{level="2"}')
    expect(Date.now() / 1000 - at).toBeLessThan(60)
    await morePasses(daemon)
    expect(operations(host, 'verify')).toHaveLength(1)
  })

  test('one that fails is told once, comes again at its next moment, and its recovery is told', async () => {
    await using host = await hostWithSchedules('fails', 'schedule: "0 2 * * *"')
    expect((await samovar(host, ['apply'])).exitCode).toBe(0)
    const store = join(host.stateDir, 'store')
    await rm(store, { recursive: true, force: true })
    await writeFile(store, 'a file where the folder of the store should be')
    miss(host)
    await using daemon = await startDaemon(host, debug)
    const told = await daemon.line('error backup of web: ')
    expect(told).toMatch(/error backup of web: file .*store: .*; next: /)
    await morePasses(daemon)
    expect(daemon.log().filter((line) => line.includes(' error '))).toHaveLength(1)
    expect(operations(host, 'backup')).toMatchObject([{ result: 'untouched' }])
    expect(await daemon.metric('samovar_backups_total{result="failed"}')).toBe(1)
    expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
    const status = await documentOf<Status>(host, ['status'])
    expect(status.services[0]).toMatchObject({ state: 'idle', sync: 'synced' })
    expect(status.problems).toMatchObject([{ about: 'backup of web' }])
    const doctor = await samovar(host, ['doctor'])
    expect(doctor.exitCode).toBe(1)
    expect(doctor.stdout).toMatch(/problem {2}store .*store: .*\n +next: /)
    await rm(store)
    await mkdir(store)
    miss(host)
    await daemon.line('info backup of web: done', 45_000)
    await daemon.line('info backup of web: it is well again')
    expect((await documentOf<Status>(host, ['status'])).problems).toEqual([])
  })
})

describe('a round and other work', () => {
  test('a new schedule waits for its next moment, and a round that becomes due during a roll-out for its end', async () => {
    await using host = await hostWithSchedules('waits', 'schedule: "0 2 * * *"')
    await using daemon = await startDaemon(host, debug)
    await daemon.line('web: applied')
    await morePasses(daemon)
    expect(operations(host, 'backup')).toEqual([])
    expect(roundOf(host)).toMatchObject({ result: 'first seen', dueAt: momentBefore(nightly, Date.now()) })
    await push(host, '1.1.0', 'within: 20s\n  steady: 4s\n  soak: 0s')
    await until(
      'the new version is being checked',
      () => daemon.log().filter((line) => line.includes('step "check health" begins')).length === 2,
      { withinMs: 20_000 },
    )
    miss(host)
    await daemon.line('backup of web: done', 45_000)
    const [backup] = operations(host, 'backup')
    const [rollOut] = operations(host, 'replace')
    expect(rollOut?.result).toBe('applied')
    expect(backup?.startedAt).toBeGreaterThanOrEqual(rollOut?.finishedAt ?? Number.POSITIVE_INFINITY)
  })

  test('a round that was cut by a kill is made up once, and a second kill ends that', async () => {
    await using host = await hostWithSchedules('killed', 'schedule: "0 2 * * *"')
    expect((await samovar(host, ['apply'])).exitCode).toBe(0)
    const engine = (await host.parts()).engine
    const [web] = await engine.observe(host.project)
    const fill = ['dd', 'if=/dev/urandom', 'of=/pages/large', 'bs=1M', 'count=60']
    await engine.run(web?.instance ?? '', fill, 60_000)
    miss(host)
    for (const expected of [1, 2]) {
      await using daemon = await startDaemon(host, debug)
      await daemon.line('web: step "back up" begins', 30_000)
      if (expected === 2) await daemon.line('error backup of web: Samovar was cut short during the backup')
      daemon.signal('SIGKILL')
      await daemon.ended
      expect(operations(host, 'backup')).toHaveLength(expected)
      expect(roundOf(host)?.finishedAt).toBeNull()
    }
    await using daemon = await startDaemon(host, debug)
    await morePasses(daemon)
    expect(operations(host, 'backup').map((each) => each.result)).toEqual(['untouched', 'untouched'])
    expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
    const history = await documentOf<OperationDocument[]>(host, ['history', 'web'])
    expect(history[0]).toMatchObject({ kind: 'backup', backup: null, from: null, to: null })
    expect(await readdir(join(host.stateDir, 'store')).catch(() => [])).not.toContain('manifest.json')
  })
})
