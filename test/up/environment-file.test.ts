import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  environmentText,
  readEnvironment,
  withValues,
  writeEnvironment,
} from '../../reconciler/up/environment-file.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const file = `# Every setting
SAMOVAR_REPOSITORY=https://git.example.com/ops/host.git
#SAMOVAR_BRANCH=main

SMTP_FROM="Samovar <samovar@example.com>"
export IGNORED=1
; another comment
SAMOVAR_LISTEN = 127.0.0.1:9797
`

describe('the file of settings', () => {
  test('is read as systemd reads it', () => {
    expect(readEnvironment(file)).toEqual({
      SAMOVAR_REPOSITORY: 'https://git.example.com/ops/host.git',
      SMTP_FROM: 'Samovar <samovar@example.com>',
      SAMOVAR_LISTEN: '127.0.0.1:9797',
    })
    expect(readEnvironment('A=a#b #c  \nB= x"y" \nC=\'# no comment\' # but this is none either\n')).toEqual({
      A: 'a#b #c',
      B: 'x"y"',
      C: '# no comment# but this is none either',
    })
    expect(readEnvironment('A=a\\ b\\\\\nB=one\\\n two\nC="x\nD=y" z\nE=\nF="\\d"\r\n')).toEqual({
      A: 'a b\\',
      B: 'one two',
      C: 'x\nD=yz',
      E: '',
      F: '\\d',
    })
    expect(readEnvironment(`A='it "is"'\nB="a \\"b\\" \\$c"\nA=last`)).toEqual({ A: 'last', B: 'a "b" $c' })
  })

  test('keeps every other line, comments too, and gets new names at its end', () => {
    expect(
      withValues(file, { SAMOVAR_REPOSITORY: 'https://git.lan/ops/host.git', SAMOVAR_BRANCH: 'live' }),
    ).toBe(`${file.replace('git.example.com/ops', 'git.lan/ops')}SAMOVAR_BRANCH=live\n`)
  })

  test('is not touched by values that it has', () => {
    expect(
      withValues(file, { SAMOVAR_LISTEN: '127.0.0.1:9797', SMTP_FROM: 'Samovar <samovar@example.com>' }),
    ).toBe(file)
    expect(withValues('A=1', { A: '1' })).toBe('A=1\n')
  })

  test('changes the last of two lines with one name, which is the one that counts', () => {
    expect(withValues('A=1\nA=2\n', { A: '3' })).toBe('A=1\nA=3\n')
  })

  test('changes a value that goes on over lines as a whole', () => {
    expect(withValues('A="1\nB=2"\nC=3\n', { A: '4', C: '5' })).toBe('A=4\nC=5\n')
    expect(withValues('A="1\nB=2"\n', { B: '4' })).toBe('A="1\nB=2"\nB=4\n')
  })

  test('reads back what was written, whatever is in it', () => {
    const values = { A: 'a b', B: `q"uo'te\\s $HOME \`x\``, C: '', D: '#no comment' }
    expect(readEnvironment(withValues('', values))).toEqual(values)
  })

  test('takes no value with a line end, which would be another setting', () => {
    expect(() => withValues('', { A: 'x\nSAMOVAR_BACKUP_KEY=y' })).toThrow('line end')
  })
})

describe('on the disk', () => {
  test('a new file may be read by its owner alone', async () => {
    await using folder = await tempFolder('environment')
    const path = join(folder.path, 'etc', 'samovar', 'environment')
    expect(environmentText(path)).toBe('')
    writeEnvironment(path, 'A=1\n')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readFile(path, 'utf8')).toBe('A=1\n')
    expect(await readdir(join(folder.path, 'etc', 'samovar'))).toEqual(['environment'])
  })

  test('one that is there keeps its mode, without what everybody may', async () => {
    await using folder = await tempFolder('environment')
    const path = join(folder.path, 'environment')
    await writeFile(path, 'A=1\n')
    await chmod(path, 0o644)
    writeEnvironment(path, 'A=2\n')
    expect((await stat(path)).mode & 0o777).toBe(0o640)
  })

  test('one that cannot be written is a sentence with the next step', async () => {
    await using folder = await tempFolder('environment')
    const path = join(folder.path, 'file')
    await writeFile(path, '')
    expect(() => writeEnvironment(join(path, 'environment'), '')).toThrow(
      expect.objectContaining({ code: 'settings-invalid', next: expect.stringContaining('--environment') }),
    )
  })
})
