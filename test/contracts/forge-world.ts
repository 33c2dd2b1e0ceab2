import { connectForge, type ForgeOptions } from '../../reconciler/gitea/connect.ts'
import type { Forge, NewCommit } from '../../reconciler/gitea/forge.ts'
import { connectSetup, type Setup } from '../../reconciler/gitea/setup-calls.ts'
import { until } from '../rig/until.ts'

/** A Gitea under test, without anything of the suite in it. */
export type GiteaUnderTest = {
  url: string
  admin: { user: string; password: string }
  version: string
  cleanUp: () => PromiseLike<void>
}

/** Fixed names and passwords, since a recording is only replayed to those who ask the same. */
export const owner = 'samovar-contract'
export const repository = { owner, name: 'host' }
export const bot = { login: 'samovar-bot', email: 'samovar-bot@example.com', password: 'contract-password-1' }
export const alice = { login: 'alice', email: 'alice@example.com', password: 'contract-password-2' }
export const bob = { login: 'bob', email: 'bob@example.com', password: 'contract-password-3' }
export const scopes = ['read:user', 'write:issue', 'write:repository']

/** So that a recording does not wait where Gitea answered 5xx. */
export const patience = { pausesMs: [5, 10] }

export type World = {
  setup: Setup
  forge: Forge
  token: string
  connect: (options: Partial<ForgeOptions>) => Forge
  /** A call that Samovar never makes, of a person. */
  person: (who: { login: string; password: string }, call: PersonCall) => Promise<unknown>
}
type PersonCall = { method: string; path: string; body?: unknown }

/** An organisation with a private repository, a bot that may write there, alice who may, and bob who may not. */
export async function makeWorld(under: GiteaUnderTest): Promise<World> {
  const setup = connectSetup({ url: under.url, authorization: under.admin, patience })
  for (const account of [bot, alice, bob]) await setup.createUser(account)
  await setup.createOrganisation({ name: owner, private: true })
  const wanted = { description: 'a host', private: true, autoInit: true, defaultBranch: 'main' }
  await setup.createRepository({ ...repository, ...wanted })
  for (const { login } of [bot, alice]) await setup.putCollaborator(repository, login, 'write')
  const token = (await setup.createToken(bot.login, { name: 'samovar', scopes })) ?? ''
  const connect = (options: Partial<ForgeOptions>) =>
    connectForge({
      url: under.url,
      repository: `${owner}/${repository.name}`,
      token: () => token,
      patience,
      ...options,
    })
  return { setup, forge: connect({}), token, connect, person: (who, call) => askAs(under.url, who, call) }
}

async function askAs(
  url: string,
  who: { login: string; password: string },
  { method, path, body }: PersonCall,
): Promise<unknown> {
  const authorization = `Basic ${Buffer.from(`${who.login}:${who.password}`).toString('base64')}`
  const answer = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return text === '' ? null : JSON.parse(text)
}

/** Commits to a branch that is made from main. */
export function onBranch(
  forge: Forge,
  newBranch: string,
  files: Record<string, string>,
): Promise<{ sha: string }> {
  const made = Object.entries(files).map(([path, text]) => ({ path, sha: null, bytes: Buffer.from(text) }))
  return forge.commit({
    branch: 'main',
    newBranch,
    message: `change ${newBranch}`,
    files: made,
  } satisfies NewCommit)
}

/** A branch with a commit and its pull request. */
export async function proposed(
  forge: Forge,
  branch: string,
  files: Record<string, string>,
): Promise<{ number: number; sha: string }> {
  const { sha } = await onBranch(forge, branch, files)
  const wanted = { head: branch, base: 'main', title: `Bump ${branch}`, body: 'A body', labels: [] }
  return { number: (await forge.createPullRequest(wanted)).number, sha }
}

/** Gitea looks whether there is a conflict after a push and after a merge of another one; so long nothing can be merged. */
export async function untilMergeable(forge: Forge, number: number): Promise<void> {
  await until(
    `pull request ${number} is mergeable`,
    async () => (await forge.pullRequest(number)).mergeable,
    {
      withinMs: 20_000,
      everyMs: 200,
    },
  )
}
