import { expect, test } from 'vitest'
import { fileStore } from '../reconciler/backup/file-store.ts'
import { chooseBackups } from '../reconciler/empty-host.ts'
import { host, manifestOf, opened, storeBackup } from './backup/stored.ts'
import { tempFolder } from './rig/temp-folder.ts'

const monday = '20261116T020000Z-0001-aaaaaa'
const tuesday = '20261117T020000Z-0002-bbbbbb'
const thrownAway = '20261118T100000Z-0003-cccccc'

async function chosen(backup: string | null): Promise<string[]> {
  await using folder = await tempFolder('choose')
  const store = fileStore({ folder: `${folder.path}/store` })
  await storeBackup(store, manifestOf(monday))
  await storeBackup(store, manifestOf(tuesday))
  await storeBackup(store, manifestOf(thrownAway, { class: 'before-restore' }))
  const choice = await chooseBackups([opened(store)], { host: null, backup, stateDir: folder.path })
  expect(choice.host).toBe(host)
  return choice.backups.map(({ manifest }) => manifest.id)
}

test('a fresh machine gets the newest backup, and not what a person had thrown away by a restore', async () => {
  expect(await chosen(null)).toEqual([tuesday])
})

test('it gets that too when it is named', async () => {
  expect(await chosen('cccccc')).toEqual([thrownAway])
})

test('an older one that is named is not overruled by a newer one', async () => {
  expect(await chosen(monday)).toEqual([monday])
})
