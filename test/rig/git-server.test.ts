import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startGitServer } from './git-server.ts'
import { mustRun, run } from './process.ts'
import { tempFolder } from './temp-folder.ts'

const env = { ...process.env, GIT_TERMINAL_PROMPT: '0', GIT_ASKPASS: 'true', GIT_CONFIG_GLOBAL: '/dev/null' }
const clone = (url: string, to: string) => run('git', ['clone', '-q', url, to], { env })

test('a clone has the files of the last commit and its id, also after history was rewritten', async () => {
  await using server = await startGitServer()
  await using folder = await tempFolder('clone')
  const url = await server.createRepository('host')
  const first = await server.commit('host', { 'a/b.yaml': 'one', c: 'x' })
  const second = await server.commit('host', { 'a/b.yaml': 'two', c: null })
  await mustRun('git', ['clone', '-q', url, folder.path], { env })
  expect(await readFile(join(folder.path, 'a/b.yaml'), 'utf8')).toBe('two')
  expect((await mustRun('git', ['-C', folder.path, 'rev-parse', 'HEAD'])).trim()).toBe(second)
  await server.forcePush('host', first)
  await mustRun('git', ['-C', folder.path, 'fetch', '-q'], { env })
  expect((await mustRun('git', ['-C', folder.path, 'rev-parse', 'origin/main'])).trim()).toBe(first)
})

test('a push over HTTP arrives, compressed requests and large files included', async () => {
  await using server = await startGitServer()
  await using folder = await tempFolder('push')
  const url = await server.createRepository('host')
  await server.commit('host', { big: 'line\n'.repeat(400_000) })
  await mustRun('git', ['clone', '-q', url, folder.path], { env })
  const identity = ['-c', 'user.name=o', '-c', 'user.email=o@example.com']
  await mustRun('git', ['-C', folder.path, ...identity, 'commit', '-q', '--allow-empty', '-m', 'pushed'], {
    env,
  })
  await mustRun('git', ['-C', folder.path, 'push', '-q', 'origin', 'HEAD:main'], { env })
  const log = await mustRun('git', [
    '-C',
    join(server.folder, 'host.git'),
    'log',
    '-1',
    '--format=%s',
    'main',
  ])
  expect(log.trim()).toBe('pushed')
})

test('a token is asked for and accepted as password and as bearer', async () => {
  await using server = await startGitServer()
  await using folder = await tempFolder('token')
  const url = await server.createRepository('host')
  await server.commit('host', { a: '1' })
  server.require('s3cret')
  expect((await clone(url, join(folder.path, 'none'))).exitCode).not.toBe(0)
  expect((await clone(url.replace('//', '//bot:wrong@'), join(folder.path, 'wrong'))).exitCode).not.toBe(0)
  expect((await clone(url.replace('//', '//bot:s3cret@'), join(folder.path, 'password'))).exitCode).toBe(0)
  const bearer = (token: string) => [
    '-c',
    `http.extraHeader=Authorization: Bearer ${token}`,
    'ls-remote',
    '-q',
    url,
  ]
  expect((await run('git', bearer('s3cret'), { env })).exitCode).toBe(0)
  expect((await run('git', bearer('wrong'), { env })).exitCode).not.toBe(0)
})

test.each(['unreachable', 'answers-500', 'corrupt'] as const)(
  'a server that is %s fails a clone, and heals',
  async (fault) => {
    await using server = await startGitServer()
    await using folder = await tempFolder('fault')
    const url = await server.createRepository('host')
    await server.commit('host', { a: '1' })
    server.fail(fault)
    expect((await clone(url, join(folder.path, 'bad'))).exitCode).not.toBe(0)
    server.fail('none')
    expect((await clone(url, join(folder.path, 'good'))).exitCode).toBe(0)
  },
)
