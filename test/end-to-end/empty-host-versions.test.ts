import { expect, test } from 'vitest'
import { tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { startNotesHost, withNotes } from './notes-host.ts'
import { samovar } from './samovar.ts'
import { clean } from './test-host.ts'

test('a fresh machine gets the version that the data is of, not the one that had been taken back', async () => {
  await using host = await startNotesHost('empty-after')
  await withNotes(host)
  const failed = await host.update({ notes: '2.0.0', within: '4s' })
  expect(failed).toMatchObject({ result: 'reverted' })
  expect(await host.backUp()).toMatchObject({ result: 'applied' })
  const contents = await until('it serves', () => host.contents(), { withinMs: 30_000 })
  await clean(host.rig, host.project)
  await using state = await tempFolder('empty-after-state')
  const { SAMOVAR_REPOSITORY: _, ...rest } = host.environment
  const environment = { ...rest, SAMOVAR_STATE_DIR: state.path }
  const words = ['restore', '--to-empty-host', '--from', `${host.stateDir}/store`]
  const { exitCode, stdout, stderr } = await samovar({ environment }, words)
  expect([exitCode, stdout + stderr]).toEqual([0, expect.stringContaining('is back as of')])
  await until('it serves', async () => (await host.contents()) !== null, { withinMs: 30_000 })
  expect([await host.version(), await host.contents()]).toEqual(['1.0.0', contents])
  const later = { environment: { ...environment, SAMOVAR_REPOSITORY: host.repository } }
  const plan = await samovar(later, ['plan', '--json'])
  expect(JSON.parse(plan.stdout)).toMatchObject({
    changes: [
      { service: 'postgres', action: 'none' },
      { service: 'notes', held: expect.stringContaining('did not run when backup') },
    ],
  })
})

test('a server whose file names the data of the application comes up first, and everything after it', async () => {
  await using host = await startNotesHost('empty-owner')
  const postgresExtra =
    'data:\n  - { postgres: postgres, database: notes, user: notes }\n  - { volume: notes-data, exclude: [cache] }\n'
  await host.want({ postgresExtra })
  await withNotes(host)
  expect(await host.backUp()).toMatchObject({ result: 'applied' })
  const contents = await until('it serves', () => host.contents(), { withinMs: 30_000 })
  await clean(host.rig, host.project)
  await using state = await tempFolder('empty-owner-state')
  const environment = { ...host.environment, SAMOVAR_STATE_DIR: state.path }
  const words = ['restore', '--to-empty-host', '--from', `${host.stateDir}/store`]
  const { exitCode, stdout, stderr } = await samovar({ environment }, words)
  expect([exitCode, stdout + stderr]).toEqual([0, expect.stringContaining('is back as of')])
  await until('it serves', async () => (await host.contents()) !== null, { withinMs: 30_000 })
  expect(await host.contents()).toBe(contents)
})
