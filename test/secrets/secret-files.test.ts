import { chmod, link, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MountedSource } from '../../reconciler/compose/mounted-sources.ts'
import { codeOf } from '../../reconciler/errors.ts'
import { removeUnusedSecrets, secretPath, writeSecret } from '../../reconciler/secrets/secret-files.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'

let folder: TempFolder
let secretsDir: string
beforeEach(async () => {
  folder = await tempFolder('secret-files')
  secretsDir = join(folder.path, 'secrets')
})
afterEach(() => folder[Symbol.asyncDispose]())

const token: MountedSource = { key: 'secret token', name: 'token', from: { content: 'sesame' }, mode: 0o600 }
const write = (source = token, key = 'k') => writeSecret(source, { secretsDir, key })

describe('a secret', () => {
  test('stands with its mode in folders that only root enters', async () => {
    const path = await write()
    expect(await readFile(path, 'utf8')).toBe('sesame')
    const modes = [path, dirname(path), secretsDir].map(async (each) => (await stat(each)).mode & 0o777)
    expect(await Promise.all(modes)).toEqual([0o600, 0o700, 0o700])
  })

  test('has an address of its own for each value, mode and owner, which tells nothing without the key', async () => {
    const place = { secretsDir, key: 'k' }
    const paths = [
      token,
      { ...token, from: { content: 'other' } },
      { ...token, mode: 0o440 },
      { ...token, uid: 7 },
      { ...token, gid: 7 },
      { ...token, name: 'other' },
    ].map((source) => secretPath(source, place))
    paths.push(secretPath(token, { secretsDir, key: 'another' }))
    expect(new Set(paths).size).toBe(paths.length)
    expect(secretPath(token, place)).toBe(await write())
  })

  test('that is there is left alone, and one that was changed, cut or opened to others is put right', async () => {
    const path = await write()
    const { ino } = await stat(path)
    await write()
    expect((await stat(path)).ino).toBe(ino)
    await writeFile(path, 'ses')
    await write()
    expect(await readFile(path, 'utf8')).toBe('sesame')
    await rm(path)
    await mkdir(path)
    await write()
    expect(await readFile(path, 'utf8')).toBe('sesame')
    await rm(path)
    await writeFile(path, 'sesame', { mode: 0o644 })
    await write()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  test('is replaced as a whole: a container that mounts the former file keeps it', async () => {
    const path = await write()
    const mounted = join(folder.path, 'mounted')
    await link(path, mounted)
    await chmod(path, 0o644)
    await write()
    expect((await stat(path)).ino).not.toBe((await stat(mounted)).ino)
    expect(await readFile(mounted, 'utf8')).toBe('sesame')
    expect(await readdir(dirname(path))).toEqual(['token'])
  })

  test('that cannot be written is an error that names the folder and the setting', async () => {
    await writeFile(secretsDir, 'in the way')
    const failure = await write().catch((error: unknown) => error)
    expect(codeOf(failure)).toBe('settings-invalid')
    expect(String(failure)).toContain(`secrets cannot be written below ${secretsDir} (`)
    expect(String(failure)).not.toContain('sesame')
  })
})

describe('secrets that nobody needs', () => {
  const later = () => Date.now() + 60_000

  test('stay for a moment, since another process may be writing one', async () => {
    const path = await write()
    await removeUnusedSecrets(secretsDir, { mounts: [], wanted: '', now: Date.now() })
    expect(await readFile(path, 'utf8')).toBe('sesame')
    await removeUnusedSecrets(secretsDir, { mounts: [], wanted: '', now: later() })
    expect(await readdir(secretsDir)).toEqual([])
  })

  test('are removed, unless a container mounts them or the desired state asks for them', async () => {
    const [wanted, mounted, unused] = [
      await write(),
      await write({ ...token, uid: 0, mode: 0o400 }),
      await write({ ...token, from: { content: 'former' } }),
    ]
    await removeUnusedSecrets(secretsDir, {
      mounts: [mounted],
      wanted: JSON.stringify({ file: wanted }),
      now: later(),
    })
    const folders = [wanted, mounted].map((path) => dirname(path).split('/').at(-1) ?? '')
    expect((await readdir(secretsDir)).sort()).toEqual(folders.sort())
    expect(unused).not.toBe(wanted)
  })

  test('what a killed process left beside one goes, and nothing that has another name', async () => {
    const path = await write()
    await writeFile(join(dirname(path), '.unfinished-0123'), 'ses')
    await mkdir(join(secretsDir, 'of-somebody-else'))
    await removeUnusedSecrets(secretsDir, { mounts: [path], wanted: '', now: later() })
    expect(await readdir(dirname(path))).toEqual(['token'])
    expect(await readdir(secretsDir)).toContain('of-somebody-else')
    await removeUnusedSecrets(join(folder.path, 'nowhere'), { mounts: [], wanted: '', now: later() })
  })
})
