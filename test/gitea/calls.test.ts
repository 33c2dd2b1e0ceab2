import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { connectForge } from '../../reconciler/gitea/connect.ts'
import { connectSetup } from '../../reconciler/gitea/setup-calls.ts'

type Said = { status: number; body?: unknown }

/** A Gitea that says these things, by `METHOD /path` below the repository, and 404 to all else. */
async function startSaying(said: Record<string, Said>) {
  const asked: { call: string; authorization: string | undefined }[] = []
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace(/^\/api\/v1(\/repos\/ops\/host)?/, '').replace(/\?.*$/, '')
    const call = `${request.method} ${path}`
    asked.push({ call, authorization: request.headers.authorization })
    const { status, body } = said[call] ?? { status: 404, body: { message: 'not found' } }
    const total = Array.isArray(body) ? { 'x-total-count': String(body.length) } : {}
    response
      .writeHead(status, { 'content-type': 'application/json', ...total })
      .end(JSON.stringify(body ?? null))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let token = 'first'
  const options = { url, repository: 'ops/host', token: () => token, patience: { pausesMs: [1] } }
  const authorization = { user: 'root-admin', password: 'secret' }
  return {
    asked,
    forge: connectForge(options),
    setup: connectSetup({ url, authorization, patience: { pausesMs: [1] } }),
    useToken: (next: string) => {
      token = next
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const sha = 'a'.repeat(40)
const end = { label: 'bump', ref: 'bump', sha, repo_id: 1, repo: { id: 1 } }
const pull = {
  number: 7,
  state: 'open',
  merged: false,
  base: { ...end, ref: 'main' },
  head: end,
  labels: null,
}
const place = { owner: 'ops', name: 'host' }

describe('what the forge answers where Gitea is ambiguous', () => {
  const wanted = { sha, style: 'merge', title: 'Merge it', deleteBranch: false } as const

  test('a conflict while merging is no moved head', async () => {
    const conflict = { status: 409, body: { Style: 'merge', StdOut: 'CONFLICT (content)' } }
    await using gitea = await startSaying({
      'POST /pulls/7/merge': conflict,
      'GET /pulls/7': { status: 200, body: pull },
    })
    expect(await gitea.forge.merge(7, wanted)).toBe('later')
  })

  test('what another one merged meanwhile is only merged when it was this head', async () => {
    const merged = { ...pull, state: 'closed', merged: true, merge_commit_sha: 'b'.repeat(40) }
    const other = { ...merged, head: { ...end, sha: 'c'.repeat(40) } }
    const refused = { status: 405, body: { message: '' } }
    await using same = await startSaying({
      'POST /pulls/7/merge': refused,
      'GET /pulls/7': { status: 200, body: merged },
    })
    expect(await same.forge.merge(7, wanted)).toBe('merged')
    await using moved = await startSaying({
      'POST /pulls/7/merge': refused,
      'GET /pulls/7': { status: 200, body: other },
    })
    expect(await moved.forge.merge(7, wanted)).toBe('moved')
  })

  test('a pull request that exists but cannot be found again is refused', async () => {
    await using gitea = await startSaying({
      'POST /pulls': { status: 409, body: { message: 'exists' } },
      'GET /pulls': { status: 200, body: [] },
    })
    const wish = { head: 'bump', base: 'main', title: 'x', body: '', labels: [] }
    await expect(gitea.forge.createPullRequest(wish)).rejects.toMatchObject({
      code: 'forge-refused',
      status: 409,
    })
  })

  test('one from a fork with the same branch name is not ours', async () => {
    const fork = { ...pull, head: { ...end, repo_id: 2 } }
    const gone = { ...pull, number: 8, head: { ...end, repo_id: -1, repo: null } }
    await using gitea = await startSaying({
      'POST /pulls': { status: 409, body: { message: 'exists' } },
      'GET /pulls': { status: 200, body: [fork, gone] },
    })
    const wish = { head: 'bump', base: 'main', title: 'x', body: '', labels: [] }
    await expect(gitea.forge.createPullRequest(wish)).rejects.toMatchObject({ status: 409 })
    expect((await gitea.forge.openPullRequests('main')).map((each) => each.head.fork)).toEqual([true, true])
  })

  test('a status that fails for a commit that is there waits, and one for a commit that is not does not', async () => {
    const status = { context: 'samovar/web', state: 'success', description: '', targetUrl: '' } as const
    const failing = { [`POST /statuses/${sha}`]: { status: 500, body: { message: '' } } }
    await using ill = await startSaying({
      ...failing,
      [`GET /git/commits/${sha}`]: { status: 200, body: {} },
    })
    await expect(ill.forge.postStatus(sha, status)).rejects.toMatchObject({ code: 'forge-unreachable' })
    await using without = await startSaying(failing)
    await expect(without.forge.postStatus(sha, status)).rejects.toMatchObject({
      code: 'forge-refused',
      status: 404,
    })
  })

  test('comments that fail for a pull request that is there wait', async () => {
    await using gitea = await startSaying({
      'GET /issues/7/comments': { status: 500, body: { message: '' } },
      'GET /issues/7': { status: 200, body: {} },
    })
    await expect(gitea.forge.comments(7)).rejects.toMatchObject({ code: 'forge-unreachable' })
  })

  test('a file whose content is left out is an error, not an empty file', async () => {
    const file = { type: 'file', sha, content: null, encoding: null }
    await using gitea = await startSaying({ 'GET /contents/big.bin': { status: 200, body: file } })
    await expect(gitea.forge.file('big.bin', 'main')).rejects.toThrow(
      'the content of big.bin: it is too large',
    )
  })

  test('only what is required is required', async () => {
    const branch = { commit: { id: sha }, enable_status_check: false, status_check_contexts: ['old'] }
    await using gitea = await startSaying({ 'GET /branches/main': { status: 200, body: branch } })
    expect(await gitea.forge.branch('main')).toEqual({ sha, requiredStatuses: null })
  })

  test('a token that is replaced counts at the next request', async () => {
    await using gitea = await startSaying({ 'GET /user': { status: 200, body: { login: 'bot' } } })
    await gitea.forge.login()
    gitea.useToken('second')
    await gitea.forge.login()
    expect(gitea.asked.map((each) => each.authorization)).toEqual(['token first', 'token second'])
  })
})

describe('what bootstrap is told where Gitea is ambiguous', () => {
  test('a protection that may not be made is an error, not one that exists', async () => {
    await using gitea = await startSaying({
      'POST /branch_protections': { status: 403, body: { message: 'no' } },
    })
    const rule = { rule: 'main', directPush: false, requiredStatuses: [], requiredApprovals: 0 }
    const wanted = { ...rule, blockOnRejectedReviews: true, dismissStaleApprovals: true, protectedPaths: [] }
    const error = { code: 'forge-refused', status: 403 }
    await expect(gitea.setup.createProtection(place, wanted)).rejects.toMatchObject(error)
  })

  test('an organisation with an impossible name is an error', async () => {
    await using gitea = await startSaying({
      'POST /orgs': { status: 422, body: { message: 'name is reserved' } },
    })
    const wanted = { name: 'api', private: true }
    await expect(gitea.setup.createOrganisation(wanted)).rejects.toThrow('HTTP 422, name is reserved')
  })
})
