import { access, lstat, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { codeOf } from '../../reconciler/errors.ts'
import type { PullRequestHead } from '../../reconciler/git/pull-request.ts'
import { type GitServer, startGitServer } from '../rig/git-server.ts'
import { run } from '../rig/process.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { gitIn, sourceOf, type TestSource } from './source.ts'

type Stage = {
  server: GitServer
  host: TestSource
  base: string
  /** A clone of somebody who opens pull requests. */
  work: TempFolder
  /** Commits everything in `work` and offers it as a pull request. */
  offer(number: number): Promise<string>
} & AsyncDisposable

async function stage(): Promise<Stage> {
  const server = await startGitServer()
  const url = await server.createRepository('host')
  const base = await server.commit('host', { a: '1\n', 'desired-state/host.yaml': 'name: a\n' })
  const host = await sourceOf(url)
  await host.source.fetch()
  const work = await tempFolder('pull-request')
  await gitIn(work.path, 'clone', '-q', join(server.folder, 'host.git'), '.')
  return {
    server,
    host,
    base,
    work,
    async offer(number) {
      await gitIn(work.path, 'add', '-A')
      await gitIn(work.path, 'commit', '-q', '--allow-empty', '-m', 'offer')
      await gitIn(work.path, 'push', '-q', '-f', 'origin', `HEAD:refs/pull/${number}/head`)
      return gitIn(work.path, 'rev-parse', 'HEAD')
    },
    async [Symbol.asyncDispose]() {
      for (const each of [work, host, server]) await each[Symbol.asyncDispose]()
    },
  }
}

const failureOf = async (work: Promise<unknown>): Promise<{ code: unknown; message: string }> =>
  work.then(
    () => ({ code: 'it worked', message: '' }),
    (error: unknown) => ({ code: codeOf(error), message: error instanceof Error ? error.message : '' }),
  )

async function checkedOut(head: PullRequestHead): Promise<void> {
  try {
    await head.checkout()
  } finally {
    await head.remove()
  }
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

test('the head of a pull request is checked out, and the clone of production stays as it was', async () => {
  await using own = await stage()
  const clone = join(own.host.stateDir, 'source/clone')
  const before = await gitIn(clone, 'count-objects', '-v')
  await writeFile(join(own.work.path, 'a'), '2\n')
  const commit = await own.offer(7)
  const head = await own.host.source.pullRequest({ number: 7, base: own.base })
  expect([head.commit, head.standing]).toEqual([commit, 'current'])
  const directory = await head.checkout()
  expect(await readFile(join(directory, 'a'), 'utf8')).toBe('2\n')
  expect(await readdir(directory)).toEqual(['a', 'desired-state'])
  expect(await gitIn(clone, 'count-objects', '-v')).toBe(before)
  expect(await gitIn(clone, 'for-each-ref', '--format=%(refname)')).toBe('refs/samovar/head')
  expect((await run('git', ['-C', clone, 'cat-file', '-e', commit])).exitCode).not.toBe(0)
  expect(own.host.source.lastGood()?.commit).toBe(own.base)
  await head.remove()
  expect(await readdir(join(own.host.stateDir, 'pull-requests'))).toEqual([])
})

test('a branch that is behind is planned together with what is in force; one in conflict stands alone', async () => {
  await using own = await stage()
  await writeFile(join(own.work.path, 'b'), 'new\n')
  await own.offer(1)
  const base = await own.server.commit('host', { a: 'later\n' })
  await own.host.source.fetch()
  const head = await own.host.source.pullRequest({ number: 1, base })
  expect(head.standing).toBe('merged')
  const directory = await head.checkout()
  expect(await readFile(join(directory, 'a'), 'utf8')).toBe('later\n')
  expect(await readFile(join(directory, 'b'), 'utf8')).toBe('new\n')
  await head.remove()

  await writeFile(join(own.work.path, 'a'), 'otherwise\n')
  await own.offer(2)
  const other = await own.host.source.pullRequest({ number: 2, base })
  expect(other.standing).toBe('alone')
  expect(await readFile(join(await other.checkout(), 'a'), 'utf8')).toBe('otherwise\n')
  await other.remove()
})

test('a branch of a fork with a history of its own stands alone', async () => {
  await using own = await stage()
  await gitIn(own.work.path, 'checkout', '-q', '--orphan', 'fork')
  const commit = await own.offer(3)
  const head = await own.host.source.pullRequest({ number: 3, base: own.base })
  expect([head.commit, head.standing]).toEqual([commit, 'alone'])
  await head.remove()
})

test('a head that is too large is cut while it is fetched, and nothing of it stays', async () => {
  await using own = await stage()
  const noise = await import('node:crypto').then(({ randomBytes }) => randomBytes(3 * 1024 * 1024))
  await writeFile(join(own.work.path, 'large'), noise)
  await own.offer(4)
  const failure = await failureOf(
    own.host.source.pullRequest({ number: 4, base: own.base, limits: { fetched: 1024 * 1024 } }),
  )
  expect(failure.code).toBe('desired-state-invalid')
  expect(failure.message).toBe('pull request #4 brings more than 1 MiB')
  expect(await readdir(join(own.host.stateDir, 'pull-requests'))).toEqual([])
})

test.each([
  ['files', { files: 10 }, /has more than 10 files/],
  ['bytes', { bytes: 1024 * 1024 }, /is larger than 1 MiB/],
] as const)('a head with too many %s is not written to the disk', async (_what, limits, reason) => {
  await using own = await stage()
  for (let at = 0; at < 20; at += 1) await writeFile(join(own.work.path, `file-${at}`), '')
  // Zeros: small on the wire, large on the disk.
  await writeFile(join(own.work.path, 'zeros'), Buffer.alloc(4 * 1024 * 1024))
  await own.offer(5)
  const head = await own.host.source.pullRequest({ number: 5, base: own.base, limits })
  const failure = await failureOf(head.checkout())
  expect(failure.code).toBe('desired-state-invalid')
  expect(failure.message).toMatch(reason)
  await head.remove()
  expect(await readdir(join(own.host.stateDir, 'pull-requests'))).toEqual([])
})

test('a tree with a name that Git itself would refuse is refused', async () => {
  await using own = await stage()
  const bare = join(own.server.folder, 'host.git')
  const blob = await gitIn(bare, 'rev-parse', `${own.base}:a`)
  const listing = join(own.work.path, 'listing')
  for (const name of ['.git', '..', '.GIT']) {
    const entry = Buffer.concat([Buffer.from(`100644 ${name}\0`), Buffer.from(blob, 'hex')])
    await writeFile(listing, entry)
    const tree = await gitIn(bare, 'hash-object', '--literally', '-t', 'tree', '-w', listing)
    const commit = await gitIn(bare, 'commit-tree', tree, '-m', 'hostile', '-p', own.base)
    await gitIn(bare, 'update-ref', 'refs/pull/6/head', commit)
    const failure = await failureOf(
      own.host.source.pullRequest({ number: 6, base: own.base }).then(async (head) => {
        await checkedOut(head)
      }),
    )
    expect(['desired-state-invalid', 'source-unreachable']).toContain(failure.code)
    expect(failure.message).not.toBe('')
  }
  expect(await readdir(join(own.host.stateDir, 'pull-requests'))).toEqual([])
})

test('links come as links, and nothing is ever written through one', async () => {
  await using own = await stage()
  await symlink('/etc/passwd', join(own.work.path, 'out'))
  await own.offer(8)
  const head = await own.host.source.pullRequest({ number: 8, base: own.base })
  const directory = await head.checkout()
  expect((await lstat(join(directory, 'out'))).isSymbolicLink()).toBe(true)
  await head.remove()
})

test('hooks, submodules and settings of the branch are never used', async () => {
  await using own = await stage()
  const mark = join(own.work.path, '..', `mark-${process.pid}`)
  await writeFile(
    join(own.work.path, '.gitmodules'),
    `[submodule "x"]\n\tpath = x\n\turl = file://${mark}\n\tupdate = !touch ${mark}\n`,
  )
  await writeFile(join(own.work.path, '.gitattributes'), '* filter=x merge=x diff=x\n')
  await own.offer(9)
  const failure = await failureOf(
    own.host.source.pullRequest({ number: 9, base: own.base }).then(async (head) => {
      await checkedOut(head)
    }),
  )
  expect(['it worked', 'source-unreachable']).toContain(failure.code)
  expect(await isThere(mark)).toBe(false)
})

test.each([0, -1, 1.5, Number.NaN])('%s is no pull request', async (number) => {
  await using own = await stage()
  expect(await failureOf(own.host.source.pullRequest({ number, base: own.base }))).toMatchObject({
    code: 'not-found',
  })
})

test('a pull request that is gone, and a server that is away, are said to be so', async () => {
  await using own = await stage()
  expect((await failureOf(own.host.source.pullRequest({ number: 44, base: own.base }))).code).toBe(
    'source-unreachable',
  )
  own.server.fail('unreachable')
  expect((await failureOf(own.host.source.pullRequest({ number: 44, base: own.base }))).code).toBe(
    'source-unreachable',
  )
  expect(own.host.source.lastGood()?.commit).toBe(own.base)
})

test('only the new objects are fetched, and a token stays out of every file', async () => {
  await using own = await stage()
  own.server.require('t0ken-of-the-bot')
  await writeFile(join(own.work.path, 'a'), '2\n')
  await own.offer(10)
  const source = own.host.reopen({ token: () => 't0ken-of-the-bot' })
  const head = await source.pullRequest({ number: 10, base: own.base })
  const folder = join(own.host.stateDir, 'pull-requests')
  const [place = ''] = await readdir(folder)
  const repository = join(folder, place, 'repository')
  expect(await gitIn(repository, 'count-objects', '-v')).toContain('in-pack: 3\n')
  const found = await run('grep', ['-r', 't0ken', own.host.stateDir])
  expect(found.stdout).toBe('')
  await head.remove()
  await rm(folder, { recursive: true })
})
