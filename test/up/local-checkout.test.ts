import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkCheckout, localCheckout, pushCommit } from '../../reconciler/up/local-checkout.ts'
import { quietGit, startGitServer } from '../rig/git-server.ts'
import { mustRun } from '../rig/process.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const branch = { branch: 'main', directory: 'desired-state' }

async function stage() {
  const [temp, server] = await Promise.all([tempFolder('checkout'), startGitServer()])
  const folder = join(temp.path, 'checkout')
  await mkdir(join(folder, 'desired-state'), { recursive: true })
  const git = async (...words: string[]) =>
    (await mustRun('git', ['-C', folder, ...words], { env: quietGit })).trim()
  await git('init', '-q', '--initial-branch=main')
  const commit = async (content: string) => {
    await writeFile(join(folder, 'desired-state', 'host.yaml'), content)
    await git('add', '-A')
    await git('commit', '-q', '-m', content)
    return git('rev-parse', 'HEAD')
  }
  const address = await server.createRepository('host')
  server.require('of-the-bot')
  const settings = { stateDir: join(temp.path, 'state'), environment: process.env }
  const checkout = localCheckout(folder, settings, new AbortController().signal)
  const to = { address, fullName: 'ops/host', branch: 'main', token: 'of-the-bot' }
  const there = () => mustRun('git', ['-C', join(server.folder, 'host.git'), 'rev-parse', 'main'])
  return {
    folder,
    git,
    commit,
    checkout,
    address,
    server,
    push: (head: string, more: Partial<typeof to> = {}) => pushCommit(checkout, head, { ...to, ...more }),
    there: async () => (await there()).trim(),
    look: () => checkCheckout(checkout, branch),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await temp[Symbol.asyncDispose]()
    },
  }
}

test('the first push brings the commit, the second one does nothing, and no token stays behind', async () => {
  await using at = await stage()
  const one = await at.commit('one')
  expect(await at.push(one)).toMatchObject({ result: 'done' })
  expect(await at.there()).toBe(one)
  expect(await at.push(one)).toMatchObject({ result: 'ok' })
  const configuration = await at.git('config', '--list', '--local')
  expect(configuration).not.toContain('of-the-bot')
  expect(configuration).not.toContain(at.address)
})

test('what is newer here is pushed, and what is newer there counts', async () => {
  await using at = await stage()
  const one = await at.commit('one')
  await at.push(one)
  const two = await at.commit('two')
  expect(await at.push(two)).toMatchObject({ result: 'done' })
  expect(await at.push(one)).toMatchObject({ result: 'ok', said: expect.stringContaining('ahead') as string })
  expect(await at.there()).toBe(two)
})

test('a repository with another history is left as it is', async () => {
  await using at = await stage()
  const theirs = await at.server.commit('host', { 'README.md': 'theirs' })
  const one = await at.commit('one')
  await expect(at.push(one)).rejects.toMatchObject({
    code: 'forge-refused',
    message: expect.stringContaining('another history') as string,
  })
  expect(await at.there()).toBe(theirs)
})

test('a token that is refused is a sentence without the token', async () => {
  await using at = await stage()
  const failed = await at
    .push(await at.commit('one'), { token: 'wrong-token' })
    .catch((error: unknown) => error)
  expect(failed).toMatchObject({ code: 'forge-refused' })
  expect(String(failed)).not.toContain('wrong-token')
})

test('a checkout is looked at before anything is done with it', async () => {
  await using at = await stage()
  expect(await at.look()).toMatchObject({
    result: 'problem',
    next: expect.stringContaining('main') as string,
  })
  await at.commit('one')
  expect(await at.look()).toMatchObject({ result: 'ok' })
  await writeFile(join(at.folder, 'README.md'), 'notes')
  expect(await at.look()).toMatchObject({ result: 'ok' })
  await writeFile(join(at.folder, 'desired-state', 'host.yaml'), 'two')
  expect(await at.look()).toMatchObject({
    result: 'problem',
    said: expect.stringContaining('desired-state/host.yaml') as string,
  })
  // As it stands there, on a machine where nobody told Git who he is.
  const { next } = await at.look()
  const env = { PATH: process.env['PATH'] ?? '', GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' }
  await mustRun('sh', ['-c', next ?? ''], { env })
  expect(await at.look()).toMatchObject({ result: 'ok' })
  await writeFile(join(at.folder, 'desired-state', 'host.yaml'), 'three')
  await at.git('checkout', '-q', '--', '.')
  await at.git('switch', '-q', '-c', 'other')
  expect(await at.look()).toMatchObject({ result: 'problem', next: 'git switch main' })
})

test('a folder that is none, and a clone without its history, are problems', async () => {
  await using at = await stage()
  await at.commit('one')
  await at.commit('two')
  const shallow = join(at.folder, '..', 'shallow')
  await mustRun('git', ['clone', '-q', '--depth', '1', `file://${at.folder}`, shallow], { env: quietGit })
  const settings = { stateDir: join(at.folder, '..', 'state'), environment: process.env }
  const { signal } = new AbortController()
  expect(await checkCheckout(localCheckout(shallow, settings, signal), branch)).toMatchObject({
    result: 'problem',
    next: 'git fetch --unshallow',
  })
  expect(await checkCheckout(localCheckout(join(at.folder, '..'), settings, signal), branch)).toMatchObject({
    result: 'problem',
    said: expect.stringContaining('not the top') as string,
  })
})
