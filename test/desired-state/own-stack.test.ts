import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { readDesiredState } from '../../reconciler/desired-state/read.ts'
import type { DesiredState } from '../../reconciler/desired-state.ts'
import { unitOf } from '../../reconciler/plan/data-unit.ts'

/** What the desired state of this repository says about what Gitea stands on. */

let own: DesiredState
beforeAll(async () => {
  const { state } = await readDesiredState({ root: join(import.meta.dirname, '../..') })
  if (state === null) throw new Error('the desired state of this repository has findings')
  own = state
})

test('the proxy is judged through the proxy: by its name from outside, and through TLS to Gitea', () => {
  const checks = own.services['nginx']?.health.checks ?? []
  const addresses = checks.flatMap((check) => (check.kind === 'http' ? new URL(check.url).hostname : []))
  expect(addresses).toContain(own.host.name)
  const commands = checks.flatMap((check) => (check.kind === 'command' ? check.command.join(' ') : []))
  expect(commands.join()).toMatch(/https:\/\/\S+\/api\/healthz/)
})

test('Gitea is judged through the proxy, with the version that the user sees', () => {
  const checks = own.services['gitea']?.health.checks ?? []
  const seen = checks.filter(
    (check) => check.kind === 'http' && new URL(check.url).hostname === own.host.name,
  )
  expect(JSON.stringify(seen)).toContain('{tag}')
})

test('an update of PostgreSQL stops Gitea, and its data goes back with it', () => {
  const unit = unitOf('postgres', own.services, {
    volumeUsers: { 'gitea-data': ['gitea'], 'postgres-data': ['postgres'] },
    dependsOn: { gitea: ['postgres'] },
  })
  expect(unit).toMatchObject({ owners: ['gitea', 'postgres'], stop: ['gitea'], servers: ['postgres'] })
  expect(own.services['postgres']?.backup.before).toBe('update')
  expect(own.services['postgres']?.revert.data).toBe('restore')
})

test('what Gitea does not need waits for no person, what it stands on does', () => {
  const policies = Object.entries(own.services).map(([service, { update }]) => [service, update.policy])
  expect(Object.fromEntries(policies)).toMatchObject({
    ...{ gitea: 'manual', postgres: 'manual', nginx: 'automatic', diun: 'automatic' },
    ...{ 'runner-1': 'automatic', 'runner-2': 'automatic' },
  })
})
