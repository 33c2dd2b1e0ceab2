import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BootstrapStep, type BootstrapWanted, bootstrap } from '../../reconciler/gitea/bootstrap.ts'
import { secretFiles } from '../../reconciler/gitea/secret-files.ts'
import { connectSetup } from '../../reconciler/gitea/setup-calls.ts'
import type { Exchange } from '../rig/exchange.ts'
import { type Finished, run } from '../rig/process.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { startLossyProxy } from './lossy-proxy.ts'

/** A Gitea with nothing of the story in it, real or recorded. What is asked of it is kept in `exchanges`. */
export type GiteaForBootstrap = {
  url: string
  exchanges: Exchange[]
  admin: { user: string; password: string }
  version: string
  /** The first push to `main`, by somebody. */
  push(repository: string): Promise<void>
  cleanUp(): PromiseLike<void>
}

/** Fixed names, since a recording is only replayed to those who ask the same. */
export const owners = ['samovar-bootstrap', 'samovar-cut-before', 'samovar-cut-after']
export const people = ['samovar-bootstrap-bot', 'samovar-bootstrap-bob']
const [owner = ''] = owners
const [bot = '', bob = ''] = people
const bobPassword = 'bootstrap-password-1'
const hookUrl = 'https://samovar.example.com/hooks/gitea'
const publicKey =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH6O27iYczkK5tmrOLI9RRmEvS5UQXcX18mYFkNcLYWO samovar@example.com\n'
const labelNames = ['samovar', 'samovar/automatic', 'samovar/bump', 'samovar/revert']

/** The lines of a run: result, what, name. Details are for people. */
const linesOf = (text: string): string[][] =>
  text
    .split('\n')
    .map((line) => /^(made|changed|already so|left out|would be \w+) +(\S+(?: \S+)?) {2,}(.+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, result = '', what = '', name = '']) => [result, what, name])

/** What an operator meets, one thing after the other, on one Gitea. */
export function bootstrapStory(title: string, open: () => Promise<GiteaForBootstrap>): void {
  describe(`bootstrap: ${title}`, () => {
    let gitea: GiteaForBootstrap
    let state: TempFolder
    let printed = ''
    beforeAll(async () => {
      gitea = await open()
      state = await tempFolder('bootstrap')
      writeFileSync(join(state.path, 'key.pub'), publicKey)
    })
    afterAll(async () => {
      await gitea.cleanUp()
      await state[Symbol.asyncDispose]()
    })

    const call = async (args: string[] = [], more: Record<string, string> = {}): Promise<Finished> => {
      const finished = await run(
        process.execPath,
        ['reconciler/cli.ts', 'bootstrap', '--bot', bot, ...args],
        {
          env: {
            PATH: process.env['PATH'] ?? '',
            SAMOVAR_STATE_DIR: state.path,
            SAMOVAR_GITEA_URL: gitea.url,
            SAMOVAR_GITEA_REPOSITORY: `${owner}/host`,
            SAMOVAR_GITEA_ADMIN_USER: gitea.admin.user,
            SAMOVAR_GITEA_ADMIN_PASSWORD: gitea.admin.password,
            SAMOVAR_PUBLIC_URL: 'https://samovar.example.com/',
            ...more,
          },
          timeoutMs: 60_000,
        },
      )
      printed += finished.stdout + finished.stderr
      return finished
    }
    const key = () => ['--deploy-key', join(state.path, 'key.pub')]
    const file = (name: string) => join(state.path, name)
    /** Everything that was asked during some work and was no question. */
    const changesDuring = async (work: () => Promise<unknown>): Promise<string[]> => {
      const before = gitea.exchanges.length
      await work()
      return gitea.exchanges
        .slice(before)
        .filter((each) => each.method !== 'GET')
        .map((each) => `${each.method} ${each.path}`)
    }
    const ask = async (method: string, path: string, body?: unknown): Promise<unknown> => {
      const authorization = `Basic ${Buffer.from(`${gitea.admin.user}:${gitea.admin.password}`).toString('base64')}`
      const answer = await fetch(`${gitea.url}/api/v1${path}`, {
        method,
        headers: { authorization, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
      return text === '' ? null : JSON.parse(text)
    }
    const host = `/repos/${owner}/host`
    const hooks = () =>
      ask('GET', `${host}/hooks`) as Promise<
        { id: number; active: boolean; events: string[]; config: { url: string } }[]
      >

    test('a dry run says what would be made, and makes nothing', async () => {
      let finished: Finished | undefined
      expect(await changesDuring(async () => (finished = await call(['--dry-run', ...key()])))).toEqual([])
      expect([finished?.exitCode, finished?.stderr]).toEqual([0, ''])
      const lines = linesOf(finished?.stdout ?? '')
      expect(lines.map(([result]) => result)).toEqual([
        ...Array<string>(11).fill('would be made'),
        'left out',
      ])
      expect(secretFiles.read(file('gitea-token'))).toBeNull()
      expect(secretFiles.read(file('webhook-secret'))).toBeNull()
    })

    test('a first run makes everything, and keeps what is secret in files for their owner alone', async () => {
      const { exitCode, stdout, stderr } = await call(key())
      expect([exitCode, stderr]).toEqual([0, ''])
      expect(linesOf(stdout).map(([result, what]) => [result, what])).toEqual([
        ['made', 'organisation'],
        ['made', 'repository'],
        ['made', 'bot account'],
        ['made', 'access'],
        ['made', 'token'],
        ['made', 'deploy key'],
        ['made', 'webhook'],
        ...labelNames.map(() => ['made', 'label']),
        ['left out', 'branch protection'],
      ])
      for (const name of ['gitea-token', 'webhook-secret'])
        expect(statSync(file(name)).mode & 0o777).toBe(0o600)
    })

    test('the token of the bot may do what Samovar does and no more', async () => {
      const [token] = (await ask('GET', `/users/${bot}/tokens`)) as { scopes: string[] }[]
      expect(token?.scopes.toSorted()).toEqual(['read:user', 'write:issue', 'write:repository'])
    })

    test('a second run changes nothing, and neither does one with --json', async () => {
      let finished: Finished | undefined
      expect(await changesDuring(async () => (finished = await call(key())))).toEqual([])
      expect(new Set(linesOf(finished?.stdout ?? '').map(([result]) => result))).toEqual(
        new Set(['already so', 'left out']),
      )
      expect(await changesDuring(async () => (finished = await call(['--json', ...key()])))).toEqual([])
      const document = JSON.parse(finished?.stdout ?? '') as { steps: BootstrapStep[]; environment: object }
      expect(document.steps.filter((step) => step.result !== 'already so').map((step) => step.what)).toEqual([
        'branch protection',
      ])
      expect(document.environment).toMatchObject({ SAMOVAR_GITEA_TOKEN_FILE: file('gitea-token') })
    })

    test('after the first push the branch is protected, once', async () => {
      await gitea.push(`${owner}/host`)
      expect(
        linesOf((await call()).stdout)
          .at(-1)
          ?.slice(0, 2),
      ).toEqual(['made', 'branch protection'])
      const protection = await ask('GET', `${host}/branch_protections/main`)
      expect(protection).toMatchObject({
        enable_push: false,
        enable_status_check: true,
        status_check_contexts: ['samovar/plan', 'validate / validate (pull_request)'],
        required_approvals: 0,
        block_on_rejected_reviews: true,
        dismiss_stale_approvals: true,
        protected_file_patterns: '.gitea/**',
      })
      expect(await changesDuring(call)).toEqual([])
    })

    test('what people added or made stricter is kept; what is missing again comes back', async () => {
      await ask('POST', `${host}/labels`, { name: 'urgent', color: '#ff0000' })
      const known = (await ask('GET', `${host}/labels`)) as { id: number; name: string }[]
      await ask('DELETE', `${host}/labels/${known.find((label) => label.name === 'samovar/bump')?.id}`)
      const config = { url: 'https://chat.example.com/', content_type: 'json' }
      await ask('POST', `${host}/hooks`, { type: 'gitea', active: true, events: ['push'], config })
      const ours = (await hooks()).find((hook) => hook.config.url === hookUrl)
      await ask('PATCH', `${host}/hooks/${ours?.id}`, { active: false, events: ['push', 'release'] })
      await ask('PATCH', `${host}/branch_protections/main`, {
        enable_push: true,
        required_approvals: 2,
        require_signed_commits: true,
        status_check_contexts: ['lint / *', 'samovar/plan'],
        protected_file_patterns: 'secrets/**',
      })

      const { stdout } = await call(['--approvals', '1'])
      const done = linesOf(stdout).filter(([result]) => result !== 'already so')
      expect(done.map(([result, what]) => [result, what])).toEqual([
        ['changed', 'webhook'],
        ['made', 'label'],
        ['changed', 'branch protection'],
      ])
      expect(await ask('GET', `${host}/branch_protections/main`)).toMatchObject({
        enable_push: false,
        required_approvals: 2,
        require_signed_commits: true,
        status_check_contexts: ['lint / *', 'samovar/plan', 'validate / validate (pull_request)'],
        protected_file_patterns: 'secrets/**;.gitea/**',
      })
      const labels = ((await ask('GET', `${host}/labels`)) as { name: string }[]).map((label) => label.name)
      expect(labels.toSorted()).toEqual([...labelNames, 'urgent'])
      const after = await hooks()
      expect(after.map((hook) => [hook.config.url, hook.active])).toEqual(
        expect.arrayContaining([
          [hookUrl, true],
          [config.url, true],
        ]),
      )
      expect(after.find((hook) => hook.config.url === hookUrl)?.events).toEqual(
        expect.arrayContaining(['push', 'pull_request', 'pull_request_sync', 'release']),
      )
      expect(await changesDuring(() => call(['--approvals', '1']))).toEqual([])
    })

    test.each([
      ['was switched off', { active: false }, 'active'],
      ['hears of one branch only', { branch_filter: 'release/*' }, 'all branches instead of release/*'],
    ])('a hook that %s is put right', async (_, change, detail) => {
      const ours = (await hooks()).find((hook) => hook.config.url === hookUrl)
      const { events } = ours ?? {}
      await ask('PATCH', `${host}/hooks/${ours?.id}`, { active: true, branch_filter: '*', events, ...change })
      expect((await call()).stdout).toContain(`${hookUrl}  (${detail})`)
      expect(await changesDuring(call)).toEqual([])
    })

    test('a lost token is made anew beside the old one; --renew takes every older one back', async () => {
      const tokens = async () => ((await ask('GET', `/users/${bot}/tokens`)) as unknown[]).length
      writeFileSync(file('gitea-token'), `${'f'.repeat(40)}\n`)
      expect(linesOf((await call()).stdout).find(([, what]) => what === 'token')?.[0]).toBe('changed')
      expect(await tokens()).toBe(2)
      expect(await changesDuring(call)).toEqual([])
      const hook = (await hooks()).find((each) => each.config.url === hookUrl)?.id
      const renewed = linesOf((await call(['--renew'])).stdout).filter(([result]) => result !== 'already so')
      expect(renewed.map(([result, what]) => [result, what])).toEqual([
        ['changed', 'token'],
        ['changed', 'webhook'],
      ])
      expect(await tokens()).toBe(1)
      expect((await hooks()).find((each) => each.config.url === hookUrl)?.id).not.toBe(hook)
      expect(await changesDuring(call)).toEqual([])
    })

    test('a hook whose secret is lost is replaced, since Gitea never gives it back', async () => {
      writeFileSync(file('webhook-secret'), '')
      {
        // Were a new secret kept before the old hook is gone, the next run would take the two for a pair.
        await using proxy = await startLossyProxy(gitea.url)
        proxy.lose('request', { afterChanges: 0 })
        expect((await call([], { SAMOVAR_GITEA_URL: proxy.url })).exitCode).toBe(1)
        expect(secretFiles.read(file('webhook-secret'))).toBeNull()
      }
      const changes = await changesDuring(call)
      expect(changes.map((change) => change.replace(/\d+$/, 'N'))).toEqual([
        `DELETE /api/v1${host}/hooks/N`,
        `POST /api/v1${host}/hooks`,
      ])
      expect(secretFiles.read(file('webhook-secret'))).toMatch(/^[0-9a-f]{64}$/)
      expect(await changesDuring(call)).toEqual([])
    })

    test('who is no administrator is told so, and nothing is done', async () => {
      await ask('POST', '/admin/users', {
        username: bob,
        email: 'bob-of-bootstrap@example.com',
        password: bobPassword,
        must_change_password: false,
      })
      const as = { SAMOVAR_GITEA_ADMIN_USER: bob, SAMOVAR_GITEA_ADMIN_PASSWORD: bobPassword }
      let finished: Finished | undefined
      expect(await changesDuring(async () => (finished = await call([], as)))).toEqual([])
      expect([finished?.exitCode, finished?.stderr]).toEqual([
        1,
        expect.stringMatching(/bob is not an administrator of Gitea\nnext: Set SAMOVAR_GITEA_ADMIN_USER/),
      ])
    })

    test('an administrator who must change the password, or has another, is told that', async () => {
      await ask('PATCH', `/admin/users/${bob}`, {
        source_id: 0,
        login_name: bob,
        admin: true,
        password: bobPassword,
        must_change_password: true,
      })
      const as = { SAMOVAR_GITEA_ADMIN_USER: bob, SAMOVAR_GITEA_ADMIN_PASSWORD: bobPassword }
      const { exitCode, stderr } = await call([], as)
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining('must change its password')])
    })

    test.each([
      ['its requests are lost', 1],
      ['the answers to them are lost', 2],
    ] as const)('a run that is cut short anywhere is completed by the next ones: %s', async (_, at) => {
      await using proxy = await startLossyProxy(gitea.url)
      await using folder = await tempFolder('cut')
      const wanted = wantedFor(owners[at] ?? '', folder.path)
      const results: string[] = []
      let runs = 0
      for (let ended = false; !ended && runs < 20; runs += 1) {
        // One change more than the last time gets through.
        proxy.lose(at === 1 ? 'request' : 'answer', { afterChanges: 1 })
        ended = await runOnce(proxy.url, gitea.admin, wanted, results)
      }
      expect(runs).toBeGreaterThan(4)
      proxy.lose(null)
      expect(await changesDuring(() => runOnce(proxy.url, gitea.admin, wanted, []))).toEqual([])
      const labels = (await ask('GET', `/repos/${wanted.owner}/host/labels`)) as { name: string }[]
      expect(labels.map((label) => label.name).toSorted()).toEqual(labelNames)
      expect(((await ask('GET', `/repos/${wanted.owner}/host/hooks`)) as unknown[]).length).toBe(1)
    })

    test('nothing secret was ever printed', () => {
      const secrets = ['gitea-token', 'webhook-secret'].map((name) => secretFiles.read(file(name)) ?? '')
      expect(secrets.map((secret) => secret.length)).toEqual([40, 64])
      for (const secret of [...secrets, gitea.admin.password, bobPassword])
        expect(printed).not.toContain(secret)
      expect(printed).not.toMatch(/\b[0-9a-f]{40}\b|\b[0-9a-f]{64}\b/)
    })
  })
}

const wantedFor = (name: string, folder: string): BootstrapWanted => ({
  owner: name,
  name: 'host',
  branch: 'main',
  bot,
  approvals: 0,
  requiredStatuses: [],
  hookUrl,
  deployKey: publicKey,
  renew: false,
  tokenFile: join(folder, 'token'),
  secretFile: join(folder, 'secret'),
  token: null,
  webhookSecret: null,
})

/** True when it came to its end. */
async function runOnce(
  url: string,
  admin: { user: string; password: string },
  wanted: BootstrapWanted,
  results: string[],
): Promise<boolean> {
  const patience = { pausesMs: [] }
  const parts = {
    setup: connectSetup({ url, authorization: admin, patience }),
    withToken: (token: string) => connectSetup({ url, authorization: { token }, patience }),
    files: secretFiles,
  }
  try {
    for await (const step of bootstrap(parts, wanted)) results.push(`${step.result} ${step.what}`)
    return true
  } catch {
    return false
  }
}
