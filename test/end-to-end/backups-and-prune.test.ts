import { join } from 'node:path'
import { expect, test } from 'vitest'
import { newBackupId } from '../../reconciler/backup/backup-id.ts'
import { fileStore } from '../../reconciler/backup/file-store.ts'
import { keysIn, manifestOf, storeBackup } from '../backup/stored.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { documentOf, samovar } from './samovar.ts'
import { hostYaml, startHost } from './test-host.ts'

const day = 86_400_000

test('backups and prune: listed, judged, removed, for people and for programs', async () => {
  await using host = await startHost('prune')
  await using folder = await tempFolder('prune-store')
  expect((await samovar(host, ['backups'])).stdout).toContain(
    'host.yaml names no store: no backups are taken',
  )
  expect(await documentOf(host, ['backups'])).toEqual([])

  const backup = `backup: { stores: [{ file: ${join(folder.path, 'a')}, keep: { daily: 2 } }] }\n`
  await host.commit({ 'desired-state/host.yaml': hostYaml(host.project, backup) })
  await samovar(host, ['plan'])
  const store = fileStore({ folder: join(folder.path, 'a') })
  const ids = [1, 2, 3].map((ago) => newBackupId(Date.now() - ago * day, 9 - ago))
  for (const id of ids) await storeBackup(store, manifestOf(id, { host: 'host.example.com' }))

  const listed = await samovar(host, ['backups'])
  expect([listed.exitCode, listed.stderr]).toEqual([0, ''])
  expect(
    listed.stdout
      .split('\n')
      .slice(1, 4)
      .map((line) => line.split(' ')[0]),
  ).toEqual(ids)
  expect(await documentOf(host, ['backups'])).toMatchObject(
    ids.map((id) => ({
      id,
      service: 'gitea',
      kind: 'scheduled',
      stores: [store.name],
      verified: null,
      bytes: 34,
    })),
  )

  const look = await samovar(host, ['prune', '--dry-run'])
  expect([look.exitCode, look.stdout]).toEqual([
    0,
    expect.stringMatching(/\n1 backup would be removed \(34 B\), 2 kept\n$/),
  ])
  expect(await documentOf(host, ['backups'])).toHaveLength(3)

  const pruned = await documentOf<{ id: string; action: string }[]>(host, ['prune'])
  expect(pruned.map(({ id, action }) => [id, action])).toEqual([
    [ids[0], 'kept'],
    [ids[1], 'kept'],
    [ids[2], 'removed'],
  ])
  expect(await keysIn(store)).toHaveLength(8)

  // A store on a disk that is not there is told; what is known is shown all the same.
  const away = `backup: { stores: [{ file: ${join(folder.path, 'a')} }, { s3: nowhere/x, region: eu-central-1 }] }\n`
  await host.commit({ 'desired-state/host.yaml': hostYaml(host.project, away) })
  await samovar(host, ['plan'])
  const noAnswer = await samovar(host, ['backups'], {
    SAMOVAR_S3_ENDPOINT: 'http://127.0.0.1:9',
    AWS_ACCESS_KEY_ID: 'a',
    AWS_SECRET_ACCESS_KEY: 'b',
    SAMOVAR_STORE_TIMEOUT: '2s',
  })
  expect(noAnswer.exitCode).toBe(1)
  expect(noAnswer.stderr).toContain('s3 nowhere/x')
  expect(noAnswer.stdout).toContain(ids[0])
})
