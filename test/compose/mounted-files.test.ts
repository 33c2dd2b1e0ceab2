import { execFileSync } from 'node:child_process'
import { chmod, lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MountedSource } from '../../reconciler/compose/mounted-sources.ts'
import { materialise } from '../../reconciler/mounted-files.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'

let folder: TempFolder
let directory: string
let stateDir: string
const site: MountedSource = { key: 'path site', name: 'site', from: { path: 'site' } }

beforeEach(async () => {
  folder = await tempFolder('mounted')
  directory = join(folder.path, 'checkout')
  stateDir = join(folder.path, 'state')
  await mkdir(join(directory, 'site/deep'), { recursive: true })
  await writeFile(join(directory, 'site/a.conf'), 'one')
  await writeFile(join(directory, 'site/deep/run.sh'), '#!/bin/sh')
  await chmod(join(directory, 'site/deep/run.sh'), 0o755)
})
afterEach(() => folder[Symbol.asyncDispose]())

const write = async (...sources: MountedSource[]) =>
  await materialise(sources, { directory, stateDir, secretsDir: join(stateDir, 'secrets'), key: 'k' })

describe('files of the repository', () => {
  test('stand read-only in a folder that only root enters', async () => {
    const { 'path site': path = '' } = await write(site)
    expect(await readFile(join(path, 'a.conf'), 'utf8')).toBe('one')
    expect((await lstat(join(path, 'a.conf'))).mode & 0o777).toBe(0o444)
    expect((await lstat(join(path, 'deep/run.sh'))).mode & 0o777).toBe(0o555)
    expect((await lstat(path)).mode & 0o777).toBe(0o555)
    expect((await lstat(join(stateDir, 'files'))).mode & 0o777).toBe(0o700)
  })

  test('keep their place while they are the same, and get a new one with any change; the old one stays', async () => {
    const before = (await write(site))['path site'] ?? ''
    expect((await write(site))['path site']).toBe(before)
    await writeFile(join(directory, 'site/a.conf'), 'two')
    const changed = (await write(site))['path site'] ?? ''
    expect(changed).not.toBe(before)
    await chmod(join(directory, 'site/a.conf'), 0o755)
    expect((await write(site))['path site']).not.toBe(changed)
    expect(await readFile(join(before, 'a.conf'), 'utf8')).toBe('one')
  })

  test('what a killed process left is removed and never taken for finished', async () => {
    await mkdir(join(stateDir, 'files/.unfinished-0123/site'), { recursive: true })
    const { 'path site': path = '' } = await write(site)
    expect(await readdir(join(stateDir, 'files'))).toEqual([dirname(path).split('/').at(-1)])
  })

  test('links within the folder are kept, also ones that were absolute', async () => {
    await symlink(join(directory, 'site/a.conf'), join(directory, 'site/deep/link'))
    const { 'path site': path = '' } = await write(site)
    expect(await readFile(join(path, 'deep/link'), 'utf8')).toBe('one')
  })
})

describe('refused with a sentence', () => {
  const refusal = (source: MountedSource) => expect(write(source)).rejects

  test('what is not there', () =>
    refusal({ ...site, from: { path: 'none' } }).toThrow('none is not in the repository'))

  test('a path that leads out', async () => {
    await refusal({ ...site, from: { path: '../../..' } }).toThrow('it leads out of the repository')
  })

  test('a link that leads out of the repository or of its folder', async () => {
    await symlink('/etc/passwd', join(directory, 'passwd'))
    await refusal({ ...site, from: { path: 'passwd' } }).toThrow('passwd cannot be mounted: it leads out')
    await writeFile(join(directory, 'beside'), '')
    await symlink('../beside', join(directory, 'site/link'))
    await refusal(site).toThrow('site/link cannot be mounted: the link leaves its folder')
  })

  test('a pipe', async () => {
    execFileSync('mkfifo', [join(directory, 'site/pipe')])
    await refusal(site).toThrow('site/pipe cannot be mounted: it is neither a file nor a folder')
  })
})
