import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CommitStatus, PullRequest } from '../../reconciler/gitea/forge.ts'
import { until } from '../rig/until.ts'
import { commandLines, type GiteaHost, type GiteaInUse, startGiteaHost, webFile } from './gitea-story.ts'
import { type Daemon } from './samovar.ts'

const soon = { withinMs: 40_000 }
const automatic = (tags: string) => `{ policy: automatic, accept: major, tags: '${tags}' }`

/**
 * What an engineer sees in Gitea, from an empty server to a version that was taken back by itself. The steps are one
 * story: each goes on where the one before ended.
 */
export function giteaPromises(gitea: () => Promise<GiteaInUse>, name: string): void {
  let host: GiteaHost
  let daemon: Daemon
  let inUse: GiteaInUse
  beforeAll(async () => {
    inUse = await gitea()
    host = await startGiteaHost(inUse, name)
    daemon = await host.startDaemon()
    await until('the first version serves', async () => (await host.serves()) === '1.0.0', soon)
  }, 120_000)
  afterAll(async () => {
    if (process.env['SHOW']) console.info(daemon.log().join('\n'))
    await daemon?.[Symbol.asyncDispose]()
    await host?.[Symbol.asyncDispose]()
  })

  const statusOf = async (sha: string, context: string): Promise<CommitStatus | undefined> =>
    (await host.forge.statuses(sha)).find((each) => each.context === context)
  const status = (sha: string, context: string, state: string) =>
    until(
      `${context} says ${state}`,
      async () => {
        const found = await statusOf(sha, context)
        return found?.state === state ? found : null
      },
      soon,
    )
  const planComments = async (number: number) =>
    (await host.forge.comments(number)).filter((each) => each.body.startsWith('<!-- samovar:plan -->'))
  const ownPull = (title: RegExp): Promise<PullRequest> =>
    until(
      `a pull request ${title}`,
      async () => {
        return (await host.forge.openPullRequests('main')).find((each) => title.test(each.title)) ?? null
      },
      soon,
    )
  const planIsGood = (number: number) =>
    until(
      'its plan is good',
      async () => {
        const { head } = await host.forge.pullRequest(number)
        return (await statusOf(head.sha, 'samovar/plan'))?.state === 'success'
      },
      soon,
    )
  const file = async () =>
    (await host.forge.file('desired-state/services/web.yaml', 'main'))?.bytes.toString('utf8') ?? ''

  test('bootstrap run again changes nothing', async () => {
    const { steps } = await host.bootstrap()
    expect(steps.filter((each) => each.result !== 'already so')).toEqual([])
  })

  test('a pull request says what it would do on the host before anybody merges it', async () => {
    const number = await host.propose('to-1.1.0', {
      'desired-state/services/web.yaml': webFile(host.rig, { tag: '1.1.0' }),
    })
    const { head } = await host.forge.pullRequest(number)
    await status(head.sha, 'samovar/plan', 'success')
    const [comment, ...more] = await until(
      'the plan is told',
      async () => {
        const found = await planComments(number)
        return found[0]?.body.includes('1.0.0') === true ? found : null
      },
      soon,
    )
    expect(more).toEqual([])
    expect(comment?.body).toContain('1.1.0')
    expect(await host.serves()).toBe('1.0.0')
  })

  test('a merge is heard of, rolled out, and told on its commit', async () => {
    const [pull] = await host.forge.openPullRequests('main')
    await host.validated(pull?.number ?? 0)
    const commit = await host.merge(pull?.number ?? 0)
    await until('the new version serves', async () => (await host.serves()) === '1.1.0', soon)
    const said = await status(commit, 'samovar/web', 'success')
    expect(said.description).toMatch(/^1\.1\.0 runs and is healthy/)
    expect((await fetch(said.targetUrl)).status).toBe(200)
    await status(commit, 'samovar/host', 'success')
    await until(
      'the comment tells how it went',
      async () => {
        const [comment] = await planComments(pull?.number ?? 0)
        return comment?.body.includes(commit.slice(0, 8)) && comment.body.includes('applied')
      },
      soon,
    )
  })

  test('a pull request that is not valid says where, and never what stands there', async () => {
    const number = await host.propose('not-valid', {
      'desired-state/services/web.yaml': `${webFile(host.rig, { tag: '1.1.0' })}nonsense: hunter2\n`,
    })
    const { head } = await host.forge.pullRequest(number)
    await status(head.sha, 'samovar/plan', 'failure')
    const [comment] = await planComments(number)
    expect(comment?.body).toMatch(/desired-state\/services\/web\.yaml:\d+:\d+/)
    // Whoever may write can set any status; a plan that is not good must not look good for long.
    const path = `/repos/${host.fullName}/statuses/${head.sha}`
    await host.admin('POST', path, { context: 'samovar/plan', state: 'success', description: 'fine' })
    await until(
      'it is put right',
      async () => (await statusOf(head.sha, 'samovar/plan'))?.state === 'failure',
      soon,
    )
    await host.forge.editPullRequest(number, { state: 'closed' })
  })

  test('an event of Diun leads to a pull request that merges itself when its checks passed, and is applied', async () => {
    const number = await host.propose('automatic', {
      'desired-state/services/web.yaml': webFile(host.rig, {
        tag: '1.1.0',
        update: automatic('^1\\.[012]\\.0$'),
      }),
    })
    await host.validated(number)
    await planIsGood(number)
    const commit = await host.merge(number)
    await status(commit, 'samovar/host', 'success')
    await event(host, daemon, '1.2.0')
    const pull = await ownPull(/^Bump web from 1\.1\.0 to 1\.2\.0$/)
    expect(pull.author).toBe(await host.forge.login())
    expect(pull.labels.toSorted()).toEqual(['samovar', 'samovar/automatic', 'samovar/bump'])
    const before = await file()
    await status(pull.head.sha, 'samovar/plan', 'success')
    expect((await host.forge.pullRequest(pull.number)).merged).toBe(false)
    await host.validated(pull.number)
    await until('it is merged', async () => (await host.forge.pullRequest(pull.number)).merged, soon)
    await until('the new version serves', async () => (await host.serves()) === '1.2.0', soon)
    const after = (await file()).replace(/\ndigest: sha256:[0-9a-f]{64}/, '')
    expect(after).toBe(before.replace('tag: 1.1.0', 'tag: 1.2.0'))
  }, 120_000)

  test('a bad version goes back on the host and in the repository, and is not proposed again', async () => {
    const text = (await file()).replace('^1\\.[012]\\.0$', '^(1\\.[012]\\.0|2\\.0\\.0)$')
    const number = await host.propose('also-2', { 'desired-state/services/web.yaml': text })
    await host.validated(number)
    await planIsGood(number)
    await status(await host.merge(number), 'samovar/host', 'success')
    await event(host, daemon, '2.0.0')
    const bump = await ownPull(/^Bump web from 1\.2\.0 to 2\.0\.0$/)
    await host.validated(bump.number)
    await until('it is merged', async () => (await host.forge.pullRequest(bump.number)).merged, soon)
    const revert = await ownPull(/^Revert web to 1\.2\.0$/)
    expect(await host.serves()).toBe('1.2.0')
    expect(revert.body).toContain('answering 503')
    expect(revert.body).toContain('**Failing check:**')
    const commit = (await host.forge.pullRequest(bump.number)).mergeCommit ?? ''
    expect((await status(commit, 'samovar/web', 'failure')).description).toMatch(/^reverted to 1\.2\.0/)
    await host.validated(revert.number)
    await until('it is merged', async () => (await host.forge.pullRequest(revert.number)).merged, soon)
    expect(await file()).toContain('tag: 1.2.0 # moved by the bot')
    await until(
      'host and repository agree again',
      async () => {
        const { services } = JSON.parse((await daemon.get('/api/status')).text) as {
          services: { sync: string; state: string }[]
        }
        return services[0]?.sync === 'synced' && services[0].state === 'idle'
      },
      soon,
    )
    const asked = () => daemon.log().filter((line) => line.includes('registries were asked')).length
    const before = asked()
    await event(host, daemon, '2.0.0')
    await until('the event was looked into', () => asked() > before, soon)
    await daemon.line('registries were asked: nothing newer that may be proposed')
    expect(await host.forge.openPullRequests('main')).toEqual([])
  }, 180_000)

  test('what could not be said while Gitea was away is said when it is back, once', async () => {
    const number = await host.propose('slow', {
      'desired-state/services/web.yaml': (await file()).replace(
        'health: { within: 6s',
        'x-note: slow\nhealth: { within: 7s',
      ),
      'compose/compose.yaml': (
        (await host.forge.file('compose/compose.yaml', 'main'))?.bytes.toString('utf8') ?? ''
      ).replace('restart: unless-stopped', 'restart: unless-stopped\n    environment: { GREETING: hello }'),
    })
    await host.validated(number)
    await planIsGood(number)
    const before = daemon.log().length
    const commit = await host.merge(number)
    const isBegun = (line: string) => line.includes('step "create" begins')
    await until('it is being rolled out', () => daemon.log().slice(before).some(isBegun), soon)
    if (inUse.restart !== undefined) await inUse.restart.stop()
    else host.proxy.use({ when: () => true, fault: { answer: { status: 502, body: 'away' } } })
    await until(
      'it is rolled out',
      async () => {
        const history = JSON.parse((await daemon.get('/api/history?limit=1')).text) as {
          commit: string
          result: string
        }[]
        return history[0]?.commit === commit && history[0].result === 'applied'
      },
      soon,
    )
    await until(
      'it says that Gitea is away',
      async () => {
        const { outbox } = JSON.parse((await daemon.get('/api/status')).text) as {
          outbox: { waiting: number; problem: string | null }
        }
        return outbox.waiting > 0 && outbox.problem !== null
      },
      soon,
    )
    const seen = host.proxy.seen.length
    if (inUse.restart !== undefined) await inUse.restart.start()
    else host.proxy.use()
    for (const context of ['samovar/web', 'samovar/host', 'samovar/plan'])
      await status(commit, context, 'success')
    const posted = host.proxy.seen
      .slice(seen)
      .filter((each) => each.method === 'POST' && each.url.endsWith(`/statuses/${commit}`))
    expect(posted).toHaveLength(3)
  }, 120_000)

  test('no token is in a log, in .git/config, in the arguments of a process, or in what was said', async () => {
    const secrets = [host.token, host.secret, 'token-of-diun']
    const said: string[] = [daemon.log().join('\n'), await commandLines()]
    for (const path of await readdir(host.stateDir, { recursive: true }))
      if (/(^|\/)(git)?config$/.test(path)) said.push(await readFile(join(host.stateDir, path), 'utf8'))
    for (const pull of await host.forge.closedPullRequests('main', 50)) {
      said.push(pull.title, pull.body)
      for (const comment of await host.forge.comments(pull.number)) said.push(comment.body)
    }
    expect(said.length).toBeGreaterThan(6)
    for (const secret of secrets) expect(secret.length).toBeGreaterThan(8)
    for (const secret of secrets) expect(said.filter((each) => each.includes(secret))).toEqual([])
  })
}

/** As Diun sends it: one request a tag. */
async function event(host: GiteaHost, daemon: Daemon, tag: string): Promise<void> {
  const answer = await fetch(`${daemon.url}/hooks/diun`, {
    method: 'POST',
    headers: { authorization: 'Bearer token-of-diun', 'content-type': 'application/json' },
    body: JSON.stringify({
      diun_version: 'v4.33.0',
      hostname: 'diun',
      status: 'new',
      provider: 'file',
      image: `${host.rig.registry}/web:${tag}`,
      hub_link: '',
      mime_type: 'application/vnd.oci.image.manifest.v1+json',
      digest: `sha256:${'0'.repeat(64)}`,
      created: null,
      platform: 'linux/amd64',
      metadata: null,
    }),
  })
  expect(answer.status).toBe(202)
}
