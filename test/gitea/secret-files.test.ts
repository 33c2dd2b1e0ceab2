import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { secretFiles } from '../../reconciler/gitea/secret-files.ts'
import { tempFolder } from '../rig/temp-folder.ts'

describe('files with secrets', () => {
  test('only their owner may read them, also when they were open before; nothing else is left beside them', async () => {
    await using folder = await tempFolder('secret-files')
    const file = join(folder.path, 'state', 'token')
    secretFiles.write(file, 'first')
    writeFileSync(file, 'open to all', { mode: 0o644 })
    secretFiles.write(file, 'second')
    expect([secretFiles.read(file), statSync(file).mode & 0o777]).toEqual(['second', 0o600])
    expect([statSync(join(file, '..')).mode & 0o777, readdirSync(join(file, '..'))]).toEqual([
      0o700,
      ['token'],
    ])
  })

  test('none and an empty one are no secret; one that cannot be used says which and what to do', async () => {
    await using folder = await tempFolder('secret-files')
    expect(secretFiles.read(join(folder.path, 'none'))).toBeNull()
    writeFileSync(join(folder.path, 'empty'), '\n')
    expect(secretFiles.read(join(folder.path, 'empty'))).toBeNull()
    mkdirSync(join(folder.path, 'folder'))
    expect(() => secretFiles.read(join(folder.path, 'folder'))).toThrow('folder cannot be read: EISDIR')
    expect(() => secretFiles.write(join(folder.path, 'empty', 'x'), 'secret')).toThrow(/cannot be written: E/)
  })
})
