import { execFileSync } from 'node:child_process'
import { open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { SamovarError } from '../../reconciler/errors.ts'
import { openSource } from '../../reconciler/git/checkout.ts'
import { type GitServer, startGitServer } from '../rig/git-server.ts'
import { run } from '../rig/process.ts'
import { until } from '../rig/until.ts'
import { gitIn, sourceOf, type TestSource } from './source.ts'

/** A fetched repository with one commit. */
async function fetched(): Promise<
  { server: GitServer; host: TestSource; url: string; commit: string } & AsyncDisposable
> {
  const server = await startGitServer()
  const url = await server.createRepository('host')
  const commit = await server.commit('host', { a: '1' })
  const host = await sourceOf(url)
  await host.source.fetch()
  const dispose = async () => {
    await host[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  }
  return { server, host, url, commit, [Symbol.asyncDispose]: dispose }
}

async function failureOf(work: Promise<unknown>): Promise<SamovarError> {
  const failure = await work.then(
    () => 'it worked',
    (error: unknown) => error as SamovarError,
  )
  if (typeof failure === 'string') throw new Error(failure)
  return failure
}

test.each([
  ['unreachable', /Empty reply from server|reset|closed/],
  ['answers-500', /returned error: 500/],
  ['corrupt', /invalid server response|bad line length|not valid/],
] as const)('a remote that is %s is said to be so, and the last good commit stays', async (fault, reason) => {
  await using own = await fetched()
  const before = own.host.source.lastGood()
  own.server.fail(fault)
  const failure = await failureOf(own.host.source.fetch())
  expect(failure.code).toBe('source-unreachable')
  expect(failure.message).toMatch(reason)
  expect(failure.message).toContain(own.url)
  expect(own.host.source.lastGood()).toEqual(before)
  const after = own.host.reopen()
  expect(after.lastGood()).toEqual({ commit: own.commit, fetchedAt: before?.fetchedAt })
  expect(await readFile(join((await after.checkout(own.commit)).directory, 'a'), 'utf8')).toBe('1')
  own.server.fail('none')
  const next = await own.server.commit('host', { a: '2' })
  expect(await own.host.source.fetch()).toEqual({ commit: next, changed: true })
})

test('a remote whose objects are damaged costs the last good commit nothing', async () => {
  await using own = await fetched()
  const next = await own.server.commit('host', { a: '2', b: '3' })
  const repository = join(own.server.folder, 'host.git')
  const blob = await gitIn(repository, 'rev-parse', `${next}:b`)
  await rm(join(repository, 'objects', blob.slice(0, 2), blob.slice(2)))
  const failure = await failureOf(own.host.source.fetch())
  expect(failure.code).toBe('source-unreachable')
  expect(own.host.source.lastGood()?.commit).toBe(own.commit)
  expect((await own.host.source.commitInfo(own.commit)).subject).toBe('change the desired state')
  expect(await readdir(join(own.host.stateDir, 'source'))).not.toContain('clone-anew')
})

test('a branch that does not exist is told together with the ones that do', async () => {
  await using own = await fetched()
  const missing = await failureOf(own.host.reopen({ branch: 'production' }).fetch())
  expect(missing.code).toBe('source-unreachable')
  expect(missing.message).toBe(`branch production does not exist in ${own.url}: it has main`)
  const empty = await own.server.createRepository('empty')
  await using other = await sourceOf(empty)
  expect((await failureOf(other.source.head())).message).toBe(
    `branch main does not exist in ${empty}: it has no branches yet`,
  )
})

test('a branch that was deleted changes nothing', async () => {
  await using own = await fetched()
  await gitIn(join(own.server.folder, 'host.git'), 'update-ref', '-d', 'refs/heads/main')
  const failure = await failureOf(own.host.source.fetch())
  expect(failure.message).toContain('branch main does not exist')
  expect(own.host.source.lastGood()?.commit).toBe(own.commit)
})

test('another repository or branch in the settings does not inherit the last good commit', async () => {
  await using own = await fetched()
  expect(own.host.reopen({ branch: 'other' }).lastGood()).toBeNull()
  expect(own.host.reopen({ repository: '/elsewhere' }).lastGood()).toBeNull()
  expect(own.host.reopen().lastGood()?.commit).toBe(own.commit)
})

const damages: [string, (clone: string) => Promise<void>][] = [
  ['without its HEAD', (clone) => rm(join(clone, 'HEAD'))],
  ['with rubbish in its HEAD and config', rubbish('HEAD', 'config')],
  ['with a truncated pack', truncatePack],
  ['with a damaged pack', damagePack],
  ['without its objects', (clone) => rm(join(clone, 'objects'), { recursive: true })],
  ['with the lock of a killed fetch', rubbish('refs/samovar/head.lock')],
  ['that is a file', replaceByFile],
]

test.each(damages)('a clone %s heals itself by the next fetch and checkout', async (_, damage) => {
  await using own = await fetched()
  const clone = join(own.host.stateDir, 'source/clone')
  await gitIn(clone, 'repack', '-q', '-a', '-d')
  const next = await own.server.commit('host', { a: '2' })
  await damage(clone)
  expect(await own.host.source.fetch()).toEqual({ commit: next, changed: true })
  expect(await readFile(join((await own.host.source.checkout(next)).directory, 'a'), 'utf8')).toBe('2')
  expect(await readFile(join((await own.host.source.checkout(own.commit)).directory, 'a'), 'utf8')).toBe('1')
})

function rubbish(...names: string[]) {
  return async (clone: string) => {
    for (const name of names) await writeFile(join(clone, name), 'rubbish')
  }
}

async function packOf(clone: string): Promise<string> {
  const names = await readdir(join(clone, 'objects/pack'))
  const name = names.find((each) => each.endsWith('.pack')) ?? ''
  execFileSync('chmod', ['-R', 'u+w', join(clone, 'objects')])
  return join(clone, 'objects/pack', name)
}

async function truncatePack(clone: string): Promise<void> {
  await using file = await open(await packOf(clone), 'r+')
  await file.truncate(40)
}

async function damagePack(clone: string): Promise<void> {
  const pack = await packOf(clone)
  const content = await readFile(pack)
  await writeFile(pack, content.fill(0, 12, content.length - 20))
}

async function replaceByFile(clone: string): Promise<void> {
  await rm(clone, { recursive: true })
  await writeFile(clone, 'rubbish')
}

test('a clone damaged after the fetch heals itself by the checkout', async () => {
  await using own = await fetched()
  const clone = join(own.host.stateDir, 'source/clone')
  await rm(join(clone, 'objects'), { recursive: true })
  expect(await readFile(join((await own.host.source.checkout(own.commit)).directory, 'a'), 'utf8')).toBe('1')
})

test('a token opens the repository; a wrong or missing one is said to be so', async () => {
  await using server = await startGitServer()
  const url = await server.createRepository('host')
  const commit = await server.commit('host', { a: '1' })
  server.require('geheim-123')
  let token: string | undefined
  await using host = await sourceOf(url, { token: () => token })
  expect((await failureOf(host.source.fetch())).message).toBe(
    `${url} could not be fetched: it asks for a login and no token is set`,
  )
  token = 'wrong-token'
  const refused = await failureOf(host.source.head())
  expect(refused.message).toBe(`${url} could not be fetched: the token was refused`)
  token = 'geheim-123'
  expect(await host.source.fetch()).toEqual({ commit, changed: true })
  const inAddress = url.replace('//', '//bot:geheim-123@')
  await using other = await sourceOf(inAddress)
  expect(await other.source.head()).toBe(commit)
  expect(
    (await failureOf(host.reopen({ repository: inAddress, branch: 'x' }).fetch())).message,
  ).not.toContain('geheim')
})

type Hanging = { url: string; requests: string[] } & AsyncDisposable

/** Takes every request and never answers. */
async function hangingServer(): Promise<Hanging> {
  const requests: string[] = []
  const server: Server = createServer(
    (request) => void requests.push(request.headers.authorization ?? 'none'),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/host.git`, requests, [Symbol.asyncDispose]: close }
}

/** Command lines of all processes that have these words in theirs. */
async function commandLines(words: string): Promise<string[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(
    names.map((name) => readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')),
  )
  return lines.map((line) => line.replaceAll('\0', ' ')).filter((line) => line.includes(words))
}

test('while Git talks, the token is in no command line and in no file; afterwards no Git is left', async () => {
  await using hanging = await hangingServer()
  await using host = await sourceOf(hanging.url.replace('//', '//bot:alt-geheim@'), {
    timeoutMs: 1500,
    token: () => 'neu-geheim',
  })
  const failure = failureOf(host.source.fetch())
  await until('a request', () => hanging.requests.length > 0, { withinMs: 10_000 })
  const encoded = Buffer.from('bot:neu-geheim').toString('base64')
  expect(hanging.requests[0]).toBe(`Basic ${encoded}`)
  const lines = await commandLines(hanging.url)
  expect(lines.length).toBeGreaterThan(0)
  for (const secret of ['neu-geheim', 'alt-geheim', encoded]) {
    expect(lines.join('\n')).not.toContain(secret)
    expect(() => execFileSync('grep', ['-r', secret, host.stateDir])).toThrow(/Command failed/)
    expect((await failure).message).not.toContain(secret)
  }
  expect((await failure).message).toBe(`${hanging.url} could not be fetched: no answer within 2 s`)
  await until('no Git is left', async () => (await commandLines(hanging.url)).length === 0, {
    withinMs: 5000,
  })
})

test('the debug output of libraries does not show the token', async () => {
  await using own = await fetched()
  const script = `
    import { openSource } from ${JSON.stringify(join(import.meta.dirname, '../../reconciler/git/checkout.ts'))}
    const [repository, stateDir] = process.argv.slice(1)
    const source = openSource({ repository, stateDir, branch: 'main', timeoutMs: 10000, token: () => 'geheim-123' })
    console.log((await source.fetch()).commit)`
  const words = ['--input-type=module-typescript', '-e', script, own.url, own.host.stateDir]
  const { stdout, stderr, exitCode } = await run('node', words, { env: { ...process.env, DEBUG: '*' } })
  expect(exitCode, stderr).toBe(0)
  expect(stdout).toContain(own.commit)
  expect(stderr).toContain('simple-git')
  expect(stderr).not.toContain('geheim-123')
  expect(stderr).not.toContain(Buffer.from('samovar:geheim-123').toString('base64'))
})

test('a fetch that is cut when the process is told to stop ends with interrupted', async () => {
  await using hanging = await hangingServer()
  const stop = new AbortController()
  await using host = await sourceOf(hanging.url, { signal: stop.signal, timeoutMs: 60_000 })
  const failure = failureOf(host.source.fetch())
  await until('a request', () => hanging.requests.length > 0, { withinMs: 10_000 })
  stop.abort()
  expect((await failure).code).toBe('interrupted')
  await until('no Git is left', async () => (await commandLines(hanging.url)).length === 0, {
    withinMs: 5000,
  })
})

test('with a login no redirect is followed, so the token stays with the host it is for', async () => {
  await using hanging = await hangingServer()
  const server = createServer((request, response) =>
    response.writeHead(302, { Location: `${hanging.url}${request.url ?? ''}` }).end(),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/host.git`
  await using host = await sourceOf(url, { token: () => 'geheim', timeoutMs: 10_000 })
  expect((await failureOf(host.source.head())).message).toContain('302')
  expect(hanging.requests).toEqual([])
  server.close()
})

test('the settings of the user and of a repository around do not count', async () => {
  await using own = await fetched()
  await gitIn(own.host.stateDir, 'init', '-q')
  await gitIn(own.host.stateDir, 'config', 'url.http://127.0.0.1:1/.insteadOf', own.server.url)
  await writeFile(
    join(own.host.stateDir, '.gitconfig'),
    `[url "http://127.0.0.1:1/"]\n\tinsteadOf = ${own.server.url}\n`,
  )
  const environment = {
    ...process.env,
    HOME: own.host.stateDir,
    GIT_CONFIG_PARAMETERS: "'http.proxy=http://127.0.0.1:1'",
  }
  expect(await own.host.reopen({ environment }).head()).toBe(own.commit)
})

test('passwords that lie about in the home of the user are not used', async () => {
  await using own = await fetched()
  own.server.require('geheim')
  await writeFile(join(own.host.stateDir, '.netrc'), 'machine 127.0.0.1 login bot password geheim\n', {
    mode: 0o600,
  })
  const environment = { ...process.env, HOME: own.host.stateDir }
  expect((await failureOf(own.host.reopen({ environment }).head())).message).toContain('no token is set')
})

test('addresses that run programs and names that are no branch are refused at once', async () => {
  await using own = await fetched()
  const opening =
    (repository: string, branch = 'main') =>
    () =>
      openSource({ repository, branch, stateDir: own.host.stateDir, timeoutMs: 1000 })
  for (const repository of ['ext::sh -c id', '--upload-pack=id', 'git://example.com/x', '', 'fd::3']) {
    expect(opening(repository)).toThrow('SAMOVAR_REPOSITORY is not an address')
  }
  for (const branch of ['-x', 'a..b', 'a b', 'main:refs/heads/x', '*', '', 'a.lock', 'a/']) {
    expect(opening('/x', branch)).toThrow('SAMOVAR_BRANCH is not the name of a branch')
  }
  expect(opening('git@example.com:gitea/host.git', 'feature/a-1')).not.toThrow()
})

test('a host that cannot be reached by ssh is said to be so, without a prompt', async () => {
  await using host = await sourceOf('ssh://git@127.0.0.1:1/host.git', { timeoutMs: 10_000 })
  const failure = await failureOf(host.source.head())
  expect(failure.code).toBe('source-unreachable')
  expect(failure.message).toContain('ssh://git@127.0.0.1:1/host.git could not be fetched: ')
})
