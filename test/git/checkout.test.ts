import { chmod, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { codeOf } from '../../reconciler/errors.ts'
import { startGitServer } from '../rig/git-server.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { gitIn, sourceOf } from './source.ts'

const textOf = (directory: string, path: string) => readFile(join(directory, path), 'utf8')

/** A repository in a folder, with one commit of what `fill` puts there. */
async function pathRepository(fill: (folder: string) => Promise<void>) {
  const folder = await tempFolder('git-path')
  await gitIn(folder.path, 'init', '-q', '--initial-branch=main')
  await fill(folder.path)
  await gitIn(folder.path, 'add', '-A')
  await gitIn(folder.path, 'commit', '-q', '--allow-empty', '-m', 'begin')
  const commit = await gitIn(folder.path, 'rev-parse', 'HEAD')
  return { path: folder.path, commit, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

test('the first fetch and every new commit bring the files of exactly that commit', async () => {
  await using server = await startGitServer()
  await using host = await sourceOf(await server.createRepository('host'))
  const first = await server.commit('host', {
    'desired-state/host.yaml': 'name: a\n',
    'compose/compose.yaml': 'x',
  })
  expect(host.source.lastGood()).toBeNull()
  expect(await host.source.fetch()).toEqual({ commit: first, changed: true })
  expect(await host.source.fetch()).toEqual({ commit: first, changed: false })
  const second = await server.commit('host', {
    'desired-state/host.yaml': 'name: b\n',
    'compose/compose.yaml': null,
  })
  expect(await host.source.head()).toBe(second)
  expect(await host.source.fetch()).toEqual({ commit: second, changed: true })
  const [old, now] = await Promise.all([host.source.checkout(first), host.source.checkout(second)])
  expect(await textOf(old.directory, 'desired-state/host.yaml')).toBe('name: a\n')
  expect(await textOf(now.directory, 'desired-state/host.yaml')).toBe('name: b\n')
  expect(await readdir(now.directory)).toEqual(['desired-state'])
})

test('a force-push is followed, and the commit it removed can still be checked out', async () => {
  await using server = await startGitServer()
  await using host = await sourceOf(await server.createRepository('host'))
  const first = await server.commit('host', { a: '1' })
  const removed = await server.commit('host', { a: '2' })
  await host.source.fetch()
  await server.forcePush('host', first)
  expect(await host.source.fetch()).toEqual({ commit: first, changed: true })
  const other = await server.commit('host', { a: '3' })
  expect(await host.source.fetch()).toEqual({ commit: other, changed: true })
  expect(await textOf((await host.source.checkout(removed)).directory, 'a')).toBe('2')
})

test('files come byte for byte: modes, links, odd names, no filters, no line ends, no keywords, no .git', async () => {
  await using repository = await pathRepository(async (folder) => {
    await mkdir(join(folder, 'ordner'))
    await writeFile(join(folder, 'ordner/Grüße 🫖 "x".yaml'), 'tee\r\n')
    await writeFile(join(folder, 'run.sh'), '#!/bin/sh\n')
    await chmod(join(folder, 'run.sh'), 0o755)
    await symlink('../outside', join(folder, 'ordner/link'))
    await writeFile(join(folder, 'empty'), '')
    await writeFile(join(folder, 'version'), '$Format:%H$ $Id$\n')
    await writeFile(join(folder, 'binary'), Buffer.from([0, 255, 10, 13, 10, 0]))
    await writeFile(
      join(folder, '.gitattributes'),
      'version export-subst ident\nempty export-ignore\n* eol=crlf\n',
    )
  })
  await using host = await sourceOf(repository.path)
  await host.source.fetch()
  const umask = process.umask(0o077)
  const { directory } = await host.source.checkout(repository.commit)
  process.umask(umask)
  expect((await readdir(directory)).toSorted()).toEqual(
    ['.gitattributes', 'binary', 'empty', 'ordner', 'run.sh', 'version'].toSorted(),
  )
  expect(await textOf(directory, 'ordner/Grüße 🫖 "x".yaml')).toBe('tee\n')
  expect(await textOf(directory, 'version')).toBe('$Format:%H$ $Id$\n')
  expect(await readlink(join(directory, 'ordner/link'))).toBe('../outside')
  expect((await stat(join(directory, 'run.sh'))).mode & 0o777).toBe(0o755)
  expect((await stat(join(directory, 'empty'))).mode & 0o777).toBe(0o644)
})

test('a submodule is left out', async () => {
  await using repository = await pathRepository(async (folder) => {
    const commit = 'a'.repeat(40)
    await writeFile(join(folder, 'a'), '1')
    await gitIn(folder, 'update-index', '--add', '--cacheinfo', `160000,${commit},sub`)
    await mkdir(join(folder, 'sub'))
  })
  await using host = await sourceOf(`file://${repository.path}`)
  await host.source.fetch()
  expect(await readdir((await host.source.checkout(repository.commit)).directory)).toEqual(['a'])
})

test('a repository that belongs to another user is read', async ({ skip }) => {
  if (process.getuid?.() !== 0) skip('only root can give files away')
  await using repository = await pathRepository((folder) => writeFile(join(folder, 'a'), '1'))
  const { execFileSync } = await import('node:child_process')
  execFileSync('chown', ['-R', '65534:65534', repository.path])
  await using host = await sourceOf(repository.path)
  expect(await host.source.fetch()).toEqual({ commit: repository.commit, changed: true })
})

test('two checkouts of one commit at once give one folder, and nothing half-made is left', async () => {
  await using repository = await pathRepository((folder) => writeFile(join(folder, 'a'), '1'))
  await using host = await sourceOf(repository.path)
  await host.source.fetch()
  const other = host.reopen()
  const made = await Promise.all(
    [host.source, host.source, other, other].map((each) => each.checkout(repository.commit)),
  )
  expect(new Set(made.map(({ directory }) => directory)).size).toBe(1)
  expect(await readdir(join(host.stateDir, 'checkouts'))).toEqual([repository.commit])
})

test('what a killed process left half-made is removed, and other checkouts only when told', async () => {
  await using server = await startGitServer()
  await using host = await sourceOf(await server.createRepository('host'))
  const commits = [await server.commit('host', { a: '1' }), await server.commit('host', { a: '2' })]
  await host.source.fetch()
  for (const commit of commits) await host.source.checkout(commit)
  await mkdir(join(host.stateDir, 'checkouts/.new-killed/a'), { recursive: true })
  const again = host.reopen()
  const names = async () => (await readdir(join(host.stateDir, 'checkouts'))).toSorted()
  expect(await names()).toEqual(commits.toSorted())
  await again.keepOnly([commits[1] ?? ''])
  expect(await names()).toEqual([commits[1]])
})

test('a commit with too many files or too many bytes is refused with a sentence and leaves nothing', async () => {
  await using repository = await pathRepository(async (folder) => {
    for (const name of ['a', 'b', 'c', 'd']) await writeFile(join(folder, name), 'x'.repeat(1024 * 1024))
  })
  await using host = await sourceOf(repository.path, { limits: { files: 3, bytes: 1e9 } })
  await host.source.fetch()
  const short = repository.commit.slice(0, 10)
  await expect(host.source.checkout(repository.commit)).rejects.toMatchObject({
    code: 'desired-state-invalid',
    message: `commit ${short} has more than 3 files; it is not checked out`,
  })
  const small = host.reopen({ limits: { files: 10, bytes: 3 * 1024 * 1024 } })
  await expect(small.checkout(repository.commit)).rejects.toThrow(`commit ${short} is larger than 3 MiB`)
  expect(await readdir(join(host.stateDir, 'checkouts'))).toEqual([])
})

test('a tree made to explode is refused before it is listed to its end', async () => {
  await using repository = await pathRepository(async (folder) => {
    await writeFile(join(folder, 'a'), 'boom')
  })
  const tree = await bomb(repository.path)
  const commit = await gitIn(repository.path, 'commit-tree', '-m', 'boom', tree)
  await gitIn(repository.path, 'update-ref', 'refs/heads/main', commit)
  await using host = await sourceOf(repository.path)
  await host.source.fetch()
  await expect(host.source.checkout(commit)).rejects.toThrow('has more than 20000 files')
})

/** Ten levels of ten folders that are all the same folder: 10^10 files in a few hundred bytes. */
async function bomb(folder: string): Promise<string> {
  const { mustRun } = await import('../rig/process.ts')
  const blob = await gitIn(folder, 'rev-parse', 'HEAD:a')
  let [kind, object] = ['100644 blob', blob]
  for (let level = 0; level < 10; level++) {
    const lines = Array.from({ length: 10 }, (_, at) => `${kind} ${object}\\tf${at}\\n`).join('')
    object = (await mustRun('sh', ['-c', `printf '${lines}' | git -C '${folder}' mktree`])).trim()
    kind = '040000 tree'
  }
  return object
}

test('a file name that leads out of the checkout is refused', async () => {
  await using repository = await pathRepository((folder) => writeFile(join(folder, 'a'), 'x'))
  const { mustRun } = await import('../rig/process.ts')
  const blob = await gitIn(repository.path, 'rev-parse', 'HEAD:a')
  const make = `git hash-object -w -t tree --literally --stdin`
  const escaped = blob.replaceAll(/../g, '\\x$&')
  const script = `bash -c 'printf "100644 ..\\0${escaped}"' | git -C '${repository.path}' ${make.slice(4)}`
  const tree = (await mustRun('sh', ['-c', script])).trim()
  const commit = await gitIn(repository.path, 'commit-tree', '-m', 'out', tree)
  await gitIn(repository.path, 'update-ref', 'refs/heads/main', commit)
  await using host = await sourceOf(repository.path)
  await host.source.fetch()
  const failure = await host.source.checkout(commit).catch((error: unknown) => error)
  expect(codeOf(failure)).toBe('desired-state-invalid')
  expect(failure).toHaveProperty(
    'message',
    expect.stringContaining('has a file name that cannot be used: ".."'),
  )
})

test('a commit tells its subject, author and time, and what changed since another', async () => {
  await using server = await startGitServer()
  await using host = await sourceOf(await server.createRepository('host'))
  const first = await server.commit('host', { 'a b': '1', c: '1' })
  const second = await server.commit(
    'host',
    { 'a b': '2', c: null, 'd/ü': '1' },
    'gitea: 1.22.5 -> 1.22.6 ☕',
  )
  await host.source.fetch()
  const info = await host.source.commitInfo(second)
  expect(info).toMatchObject({ subject: 'gitea: 1.22.5 -> 1.22.6 ☕', author: 'Operator' })
  expect(Math.abs(info.at - Date.now())).toBeLessThan(60_000)
  expect(await host.source.changedFiles(first, second)).toEqual(['a b', 'c', 'd/ü'])
  await expect(host.source.commitInfo('b'.repeat(40))).rejects.toMatchObject({ code: 'not-found' })
  await expect(host.source.checkout('b'.repeat(40))).rejects.toMatchObject({ code: 'not-found' })
  await expect(host.source.checkout('--output=x')).rejects.toMatchObject({ code: 'not-found' })
})
