import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { documentOf, samovar } from './samovar.ts'
import { hostYaml, startHost, webService } from './test-host.ts'

type Doctor = { ok: boolean; checks: { name: string; ok: boolean; said: string; next: string | null }[] }

const compose = (port: number): string =>
  [
    'services:',
    '  web:',
    '    image: web',
    `    ports: ["127.0.0.1:${port}:8080"]`,
    '    volumes: ["pages:/pages"]',
    '  database:',
    '    image: web',
    'volumes:',
    '  pages:',
  ].join('\n')

test('doctor finds what a backup would lack: a store, a running database server, the key of the newest backup', async () => {
  await using host = await startHost('doctor-backups', compose)
  const own = 'data: [{ volume: pages }]\n'
  await host.commit({
    'desired-state/services/web.yaml': webService(host.rig, { extra: own }),
    'desired-state/services/database.yaml': webService(host.rig),
  })
  const bad = async (more: Record<string, string> = {}) => {
    const environment = { ...host.environment, ...more }
    const { checks, ok } = await documentOf<Doctor>({ environment }, ['doctor'])
    const problems = checks.filter((each) => !each.ok)
    expect(ok).toBe(problems.length === 0)
    return problems
  }
  expect(await bad()).toMatchObject([
    {
      name: 'data',
      said: expect.stringMatching(/web has data .*host\.yaml names no store/),
      next: expect.stringMatching(/^add `backup: /),
    },
  ])

  const key = { SAMOVAR_BACKUP_KEY: randomBytes(32).toString('base64') }
  const stores = `backup:\n  stores: [{ file: ${host.stateDir}/store }]\n`
  await host.commit({ 'desired-state/host.yaml': hostYaml(host.project, stores) })
  expect((await samovar(host, ['apply'], key)).exitCode).toBe(0)
  expect((await samovar(host, ['backup'], key)).exitCode).toBe(0)
  expect(await bad(key)).toEqual([])
  const other = { SAMOVAR_BACKUP_KEY: randomBytes(32).toString('base64') }
  expect(await bad(other)).toMatchObject([
    {
      name: 'backup key',
      said: expect.stringMatching(
        /^the newest backup is encrypted with key [0-9a-f]{8}, and .* is key [0-9a-f]{8}$/,
      ),
    },
  ])
  expect(await bad()).toMatchObject([{ name: 'backup key', said: expect.stringMatching(/is not set$/) }])
  const malformed = await samovar(host, ['doctor'], { SAMOVAR_BACKUP_KEY: 'secret-but-short' })
  expect(malformed.stdout).toMatch(/problem {2}settings +SAMOVAR_BACKUP_KEY is not a key; expected/)
  expect(malformed.stdout).not.toContain('secret-but-short')

  await host.commit({
    'desired-state/services/web.yaml': webService(host.rig, {
      extra: 'data: [{ volume: pages }, { postgres: database, database: pages, user: pages }]\n',
    }),
  })
  const filters = {
    label: [`com.docker.compose.project=${host.project}`, 'com.docker.compose.service=database'],
  }
  const [database] = await host.rig.docker.listContainers({ filters })
  await host.rig.docker.getContainer(database?.Id ?? '').kill()
  expect(await bad(key)).toMatchObject([
    {
      name: 'database server',
      said: expect.stringContaining('database is exited'),
      next: expect.stringContaining('samovar status'),
    },
  ])
})
