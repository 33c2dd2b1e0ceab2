import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { commitOf, makeCommit, nobody, setRef } from './pretend-gitea/git.ts'
import { branchMoved } from './pretend-gitea/moves.ts'
import { addRepository } from './pretend-gitea/repositories.ts'
import { type Asked, type Failure, listenAsGitea } from './pretend-gitea/serve.ts'
import { type Account, type Delivery, newWorld, type World } from './pretend-gitea/world.ts'
import { tempFolder } from './temp-folder.ts'

export type PretendGitea = {
  /** `http://127.0.0.1:PORT`; its own links name another host, as those of a Gitea behind a proxy do. */
  url: string
  version: string
  /** May do everything. */
  admin: { user: string; password: string }
  /** What the API was asked so far, without the part `/api/v1`. Empty the array to look at what follows. */
  asked: Asked[]
  /** What webhooks were sent: `status` is null until there is an answer, and 0 when there was none. */
  deliveries: Delivery[]
  fail(how: Failure): void
  /** An account with a token for everything, which is also its password for Git. */
  addAccount(login: string): { token: string; password: string }
  /**
   * A repository with a first commit on `main`; an owner that is no account becomes an organisation.
   * @param writers accounts that may write there
   * @returns the address to clone it from
   */
  addRepository(fullName: string, writers?: string[]): Promise<string>
  /**
   * What a person's push does. Another branch than `main` is made from it when it is not there.
   * @param files path -> content; null removes the file
   * @returns the id of the commit
   */
  push(
    fullName: string,
    files: Record<string, string | null>,
    how?: { branch?: string; message?: string; login?: string },
  ): Promise<string>
} & AsyncDisposable

/** Behaves as Gitea does for the calls that Samovar makes, traps included, over real bare repositories. */
export async function startPretendGitea(options: { version?: string } = {}): Promise<PretendGitea> {
  const temp = await tempFolder('pretend-gitea')
  const world = newWorld(
    options.version ?? '1.28.0',
    join(temp.path, 'repositories'),
    'https://git.example.com',
  )
  await mkdir(world.folder)
  const admin = addAccount(world, 'root-admin', true)
  const state = { failure: 'none' as Failure }
  const asked: Asked[] = []
  const { listener, inTurn } = listenAsGitea(world, { asked, failure: () => state.failure })
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    version: world.version,
    admin: { user: admin.login, password: admin.password },
    asked,
    deliveries: world.deliveries,
    fail: (how) => {
      state.failure = how
    },
    addAccount: (login) => {
      const account = addAccount(world, login, false)
      const token = {
        id: world.nextId(),
        login,
        name: 'rig',
        scopes: ['all'],
        value: randomBytes(20).toString('hex'),
      }
      world.tokens.push(token)
      return { token: token.value, password: account.password }
    },
    addRepository: async (fullName, writers = []) => {
      await addRepositoryWithCommit(world, fullName, writers)
      return `${url}/${fullName}.git`
    },
    push: (fullName, files, how = {}) => inTurn(() => push(world, fullName, files, how)),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await inTurn(async () => {})
      await temp[Symbol.asyncDispose]()
    },
  }
}

function addAccount(world: World, login: string, admin: boolean): Account {
  const password = `${login}-${randomBytes(8).toString('hex')}`
  const email = `${login}@example.com`
  const account = { id: world.nextId(), login, email, password, admin, mustChangePassword: false }
  world.accounts.push(account)
  return account
}

async function addRepositoryWithCommit(world: World, fullName: string, writers: string[]): Promise<void> {
  const [owner = '', name = ''] = fullName.split('/')
  const isThere = [
    ...world.accounts.map((each) => each.login),
    ...world.organisations.map((each) => each.name),
  ]
  if (!isThere.includes(owner))
    world.organisations.push({ id: world.nextId(), name: owner, owners: ['root-admin'] })
  const wanted = { owner, name, description: '', private: true, defaultBranch: 'main' }
  const repository = await addRepository(world, wanted)
  for (const login of writers) repository.collaborators.set(login, 'write')
  const changes = [{ path: 'README.md', content: Buffer.from(`# ${name}\n`) }]
  const writer = { name: owner, email: `${owner}@example.com` }
  const first = await makeCommit(repository.bare, {
    parent: null,
    changes,
    message: 'Initial commit',
    writer,
  })
  await setRef(repository.bare, 'refs/heads/main', first)
}

async function push(
  world: World,
  fullName: string,
  files: Record<string, string | null>,
  how: { branch?: string; message?: string; login?: string },
): Promise<string> {
  const repository = world.repositories.find((each) => `${each.owner}/${each.name}` === fullName)
  if (repository === undefined) throw new Error(`There is no repository ${fullName}.`)
  const { branch = 'main', message = 'change the desired state', login = 'root-admin' } = how
  const before = await commitOf(repository.bare, `refs/heads/${branch}`)
  const parent = before ?? (await commitOf(repository.bare, 'refs/heads/main'))
  const changes = Object.entries(files).map(([path, content]) => ({
    path,
    content: content === null ? null : Buffer.from(content),
  }))
  const writer = { name: login, email: `${login}@example.com` }
  const after = await makeCommit(repository.bare, { parent, changes, message, writer })
  await setRef(repository.bare, `refs/heads/${branch}`, after)
  await branchMoved(world, repository, { branch, before: before ?? nobody, after, login })
  return after
}
