import { expect, test } from 'vitest'
import { statusNow } from '../reconciler/current-status.ts'
import { takeLock } from '../reconciler/journal/lock.ts'
import type { Journal } from '../reconciler/journal.ts'
import type { Outlook } from '../reconciler/look.ts'
import type { ServiceStatus } from '../reconciler/status.ts'
import { openedJournal, told } from './journal/told-operations.ts'

const seen = (name: string): ServiceStatus => ({
  name,
  sync: 'synced',
  health: 'healthy',
  state: 'idle',
  reason: '',
  startsAt: null,
  operation: null,
  desired: { image: name, tag: '1', digest: 'sha256:1' },
  running: null,
})

/** As a pass left it behind. */
function remember(journal: Journal): void {
  const services = [seen('gitea'), seen('proxy'), seen('wiki')]
  const status = { host: 'host', commit: 'c'.repeat(40), services, seenAt: '2026-11-22T03:00:00.000Z' }
  journal.writeNote('last-status', JSON.stringify(status))
}

const statusOf = (
  { journal, folder }: { journal: Journal; folder: string },
  seenNow: Outlook | null = null,
) =>
  statusNow(
    { journal, now: () => 13_000, source: null, settings: { stateDir: folder } },
    { outlook: seenNow, problems: [], findings: [] },
  )

/** A look that found gitea to be replaced. */
const outlook = {
  commit: 'c'.repeat(40),
  lookedAt: 12_000,
  loaded: { state: { host: { name: 'host', timezone: 'UTC', jobs: {} } } },
  running: [],
  targets: {
    list: [{ service: 'gitea', image: { name: 'gitea', tag: '2', digest: 'sha256:2' }, problem: null }],
  },
  plan: { changes: [{ service: 'gitea', action: 'replace', reasons: [], held: null, startsAt: null }] },
} as unknown as Outlook

test('a stuck backup is no stuck roll-out, and a good one does not hide a stuck roll-out', async () => {
  await using about = await openedJournal('status-stuck')
  const { journal } = about
  const state = () => statusOf(about, outlook).services[0]?.state
  told(journal, { result: 'stuck', reason: 'proxy could not be started again' })
  expect(state()).toBe('idle')
  expect(statusOf(about, outlook).problems).toMatchObject([
    { about: 'backup of gitea', message: 'proxy could not be started again' },
  ])
  told(journal, { kind: 'replace', result: 'stuck' })
  told(journal, { result: 'applied' })
  expect(state()).toBe('stuck')
  expect(statusOf(about, outlook).problems).toEqual([])
})

test('everybody who stands still for a backup shows it, and nobody else', async () => {
  await using about = await openedJournal('status-backup')
  const { journal, folder } = about
  remember(journal)
  const { id } = told(journal, {
    result: 'running',
    steps: [['back up', 'running']],
    data: { stop: ['proxy', 'gitea'] },
  })
  using _lock = takeLock(folder, 'samovar backup')
  const words = {
    reason: `backup: back up for 12 s (${id})`,
    operation: { id, kind: 'backup', step: 'back up' },
  }
  expect(statusOf(about)).toMatchObject({
    services: [words, words, { name: 'wiki', reason: '', operation: null }],
    problems: [],
  })
})

test('a restore that was cut says who goes on with it; a service whose data is half there says how it ends', async () => {
  await using about = await openedJournal('status-dirty')
  const { journal } = about
  remember(journal)
  const restore = told(journal, { kind: 'restore', result: 'running', steps: [['put back data', 'running']] })
  journal.markDirty(['gitea'], { operation: restore.id, backup: 'b1', at: 1 })
  const [gitea] = statusOf(about).services
  expect(gitea).toMatchObject({ state: 'rolling-out' })
  expect(gitea?.reason).toBe(
    `restore: cut short at put back data (${restore.id}); next: samovar run, or samovar apply, goes on with it`,
  )
  journal.saveOperation({ ...restore, result: 'stuck', finishedAt: 2 })
  expect(statusOf(about).services[0]).toMatchObject({
    state: 'stuck',
    reason: expect.stringMatching(/only half put back from backup b1.*; next: samovar restore b1$/),
  })
  expect(statusOf(about).summary).toMatch(/gitea is stuck\. The other 2 services run/)
})
