import { expect, test } from 'vitest'
import { daemonLog } from '../../reconciler/daemon-log.ts'
import { openJournal } from '../../reconciler/journal.ts'
import { makeLog } from '../../reconciler/log.ts'
import type { PassReport } from '../../reconciler/reconcile.ts'
import { tempFolder } from '../rig/temp-folder.ts'

test('an outage of Secrets Manager is said once, and its end', async () => {
  await using folder = await tempFolder('told-outage')
  const lines: string[] = []
  const now = () => Date.UTC(2026, 10, 22, 12)
  const journal = openJournal(folder.path)
  const log = makeLog({ level: 'info', now, write: (line) => lines.push(line) })
  const told = daemonLog({ log, journal, now })
  const report = (secretOutages: string[]): PassReport => ({
    commit: null,
    findings: [],
    findingsCommit: null,
    sourceProblem: null,
    secretOutages,
    plan: { commit: 'c', changes: [], foreign: [] },
    operations: [],
    discarded: [],
    lookedAt: 0,
    at: 0,
  })
  const outage = 'gitea/keys: Secrets Manager does not answer; the value of 12:00 stays in use; next: wait'
  for (const outages of [[], [outage], [outage], [], []]) told.passEnded(report(outages))
  journal.close()
  expect(lines.map((line) => line.replace(/^\S+ +/, ''))).toEqual([
    expect.stringContaining(outage),
    expect.stringContaining('they can be read again'),
  ])
})
