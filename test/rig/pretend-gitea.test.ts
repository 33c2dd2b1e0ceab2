import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { connectForge } from '../../reconciler/gitea/connect.ts'
import { connectSetup } from '../../reconciler/gitea/setup-calls.ts'
import { startPretendGitea } from './pretend-gitea.ts'
import { mustRun } from './process.ts'
import { tempFolder } from './temp-folder.ts'
import { until } from './until.ts'

const fullName = 'ops/host'
const place = { owner: 'ops', name: 'host' }

type Received = { headers: IncomingHttpHeaders; body: string }

/** Where webhooks go. */
async function startReceiver() {
  const received: Received[] = []
  const server = createServer((incoming, outgoing) => {
    void text(incoming).then((body) => {
      received.push({ headers: incoming.headers, body })
      outgoing.writeHead(202).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/gitea`,
    of: (type: string) => received.filter((each) => each.headers['x-gitea-event-type'] === type),
    [Symbol.asyncDispose]: async () => void (await new Promise((resolve) => server.close(resolve))),
  }
}

async function started() {
  const gitea = await startPretendGitea()
  const { token } = gitea.addAccount('bot')
  const address = await gitea.addRepository(fullName, ['bot'])
  const forge = connectForge({ url: gitea.url, repository: fullName, token: () => token })
  return { gitea, token, address, forge }
}

test('what Git pushes moves its pull request, is fetched as refs/pull/N/head and is told to the hook, signed', async () => {
  const { gitea, token, address, forge } = await started()
  await using _ = gitea
  await using receiver = await startReceiver()
  await using folder = await tempFolder('pretend-gitea')
  const setup = connectSetup({ url: gitea.url, authorization: gitea.admin })
  const events = ['push', 'pull_request']
  const wanted = { url: receiver.url, secret: 'of the hook', events, branchFilter: '*', active: true }
  await setup.createHook(place, wanted)

  const clone = join(folder.path, 'clone')
  const asBot = address.replace('://', `://bot:${token}@`)
  const git = (...args: string[]) =>
    mustRun('git', ['-C', clone, '-c', 'user.name=bot', '-c', 'user.email=bot@example.com', ...args])
  await mustRun('git', ['clone', '-q', asBot, clone])
  await git('switch', '-q', '-c', 'bump/web')
  await git('commit', '-q', '--allow-empty', '-m', 'one')
  await git('push', '-q', 'origin', 'bump/web')
  const wish = { head: 'bump/web', base: 'main', title: 'Bump web', body: '', labels: [] }
  const { number } = await forge.createPullRequest(wish)
  for (const each of ['2', '3', '4', '5', '6', '7', '8'])
    await git('commit', '-q', '--allow-empty', '-m', each)
  await git('push', '-q', 'origin', 'bump/web')
  const head = (await git('rev-parse', 'HEAD')).trim()

  const isToldTwice = () => receiver.of('push').length === 2 && receiver.of('pull_request_sync').length === 1
  await until('both pushes are told', isToldTwice, { withinMs: 5000 })
  expect((await forge.pullRequest(number)).head.sha).toBe(head)
  await git('fetch', '-q', 'origin', `refs/pull/${number}/head`)
  expect((await git('rev-parse', 'FETCH_HEAD')).trim()).toBe(head)
  const [, second] = receiver.of('push')
  const push = JSON.parse(second?.body ?? '') as { commits: unknown[] }
  expect(push).toMatchObject({ ref: 'refs/heads/bump/web', after: head, total_commits: 7 })
  expect(push.commits).toHaveLength(5)
  expect(second?.body).toBe(JSON.stringify(push, null, 2))
  const signature = createHmac('sha256', 'of the hook')
    .update(second?.body ?? '')
    .digest('hex')
  expect(second?.headers).toMatchObject({
    'x-gitea-signature': signature,
    'x-hub-signature-256': `sha256=${signature}`,
    'x-gitea-event': 'push',
  })
  expect(receiver.of('pull_request_sync')[0]?.headers['x-gitea-event']).toBe('pull_request')
})

test('Git is refused without a token, with one of nobody, and on a protected branch', async () => {
  const { gitea, token, address } = await started()
  await using _ = gitea
  await using folder = await tempFolder('pretend-gitea')
  const clone = join(folder.path, 'clone')
  const env = { ...process.env, GIT_TERMINAL_PROMPT: '0' }
  await expect(mustRun('git', ['clone', '-q', address, clone], { env })).rejects.toThrow()
  const asNobody = address.replace('://', '://bot:wrong@')
  await expect(mustRun('git', ['clone', '-q', asNobody, clone], { env })).rejects.toThrow()
  await mustRun('git', ['clone', '-q', address.replace('://', `://bot:${token}@`), clone])
  const setup = connectSetup({ url: gitea.url, authorization: gitea.admin })
  await setup.createProtection(place, {
    rule: 'main',
    directPush: false,
    requiredStatuses: [],
    requiredApprovals: 0,
    blockOnRejectedReviews: false,
    dismissStaleApprovals: false,
    protectedPaths: [],
  })
  const git = (...args: string[]) =>
    mustRun('git', ['-C', clone, '-c', 'user.name=bot', '-c', 'user.email=bot@example.com', ...args])
  await git('commit', '-q', '--allow-empty', '-m', 'direct')
  await expect(git('push', '-q', 'origin', 'HEAD:main')).rejects.toThrow('protected branch')
})

test('a failure is what was asked for, and its end too', async () => {
  const { gitea, token } = await started()
  await using _ = gitea
  const forge = connectForge({
    url: gitea.url,
    repository: fullName,
    token: () => token,
    patience: { pausesMs: [] },
  })
  gitea.fail('unreachable')
  await expect(forge.repository()).rejects.toMatchObject({ code: 'forge-unreachable' })
  gitea.fail('500')
  await expect(forge.repository()).rejects.toThrow('HTTP 500')
  gitea.fail('none')
  await forge.repository()
  expect(gitea.asked.map(({ method, path, login }) => [method, path, login])).toEqual([
    ['GET', '/repos/ops/host', 'bot'],
  ])
})

test("a person's push to main closes nothing and is seen by the forge", async () => {
  const { gitea, forge } = await started()
  await using _ = gitea
  const sha = await gitea.push(fullName, { 'desired-state/services/web.yaml': 'tag: 1.0.0\n' })
  expect(await forge.branch('main')).toMatchObject({ sha })
  expect((await forge.file('desired-state/services/web.yaml', sha))?.bytes.toString()).toBe('tag: 1.0.0\n')
})
