import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { refusalStatus } from '../../reconciler/gitea/refusal.ts'
import { mergingContract, pullRequestContract } from './forge-pull-requests.ts'
import { setupContract } from './forge-setup.ts'
import {
  alice,
  type GiteaUnderTest,
  makeWorld,
  onBranch,
  owner,
  repository,
  type World,
} from './forge-world.ts'

const nowhere = '1'.repeat(40)
const refused = (status: number) =>
  expect.toSatisfy((error: unknown) => refusalStatus(error) === status, `refused with ${status}`)

/** The promises of reconciler/gitea/forge.ts and setup-calls.ts; every Gitea keeps them. In this order, for recordings. */
export function forgeContract(name: string, open: () => Promise<GiteaUnderTest>): void {
  describe(`forge contract: ${name}`, () => {
    let under: GiteaUnderTest
    let made: World
    beforeAll(async () => {
      under = await open()
      made = await makeWorld(under)
    })
    afterAll(() => under?.cleanUp())

    setupContract(() => ({ ...made, under }))
    repositoryContract(() => ({ ...made, under }))
    fileContract(() => made)
    statusContract(() => made)
    pullRequestContract(() => made)
    mergingContract(() => made)
    refusalContract(() => made)
  })
}

function repositoryContract(world: () => World & { under: GiteaUnderTest }): void {
  describe('repository', () => {
    test('version and account are those of the server and the token', async () => {
      const { forge, under } = world()
      expect(await forge.version()).toBe(under.version)
      expect(await forge.login()).toBe('samovar-bot')
    })

    test('what may be done there is said, the preferred way of merging first', async () => {
      const found = await world().forge.repository()
      expect(found).toMatchObject({
        fullName: 'samovar-contract/host',
        defaultBranch: 'main',
        private: true,
        archived: false,
        permissions: { admin: false, push: true, pull: true },
      })
      expect(found.mergeStyles[0]).toBe('merge')
      expect(found.mergeStyles).toEqual(expect.arrayContaining(['merge', 'squash', 'rebase', 'rebase-merge']))
    })

    test('more labels than a page has are all listed', async () => {
      const { forge } = world()
      const before = await forge.labels()
      const names = Array.from({ length: 52 }, (_, at) => `samovar/${String(at).padStart(2, '0')}`)
      for (const label of names)
        await forge.createLabel({ name: label, color: '#00aabb', description: 'ours' })
      const labels = await forge.labels()
      expect(labels).toHaveLength(before.length + 52)
      expect(labels.map((label) => label.name)).toEqual(expect.arrayContaining(names))
      expect(labels.find((label) => label.name === 'samovar/07')).toMatchObject({
        color: '#00aabb',
        description: 'ours',
      })
    })
  })
}

function fileContract(world: () => World): void {
  describe('files and branches', () => {
    const path = 'desired-state/services/größe #1 100%.yaml'
    const bytes = Buffer.from([0, 255, 10, 13, 195, 40])

    test('what is not there is null, and so are folders and unknown branches', async () => {
      const { forge } = world()
      expect(await forge.file('missing/file.yaml', 'main')).toBeNull()
      expect(await forge.branch('missing/branch')).toBeNull()
      expect(await forge.file('README.md', 'missing/branch')).toBeNull()
      expect(await forge.file('README.md', 'main')).not.toBeNull()
    })

    test('a commit makes a branch with slashes, and every byte comes back', async () => {
      const { forge } = world()
      const message = 'Add what is odd\n\nwith a body'
      const files = [{ path, sha: null, bytes }]
      const { sha } = await forge.commit({ branch: 'main', newBranch: 'samovar/odd/1', message, files })
      expect(await forge.branch('samovar/odd/1')).toEqual({ sha, requiredStatuses: null })
      expect((await forge.file(path, 'samovar/odd/1'))?.bytes).toEqual(bytes)
      expect((await forge.file(path, sha))?.bytes).toEqual(bytes)
      expect(await forge.file(path, 'main')).toBeNull()
      expect(await forge.file('desired-state/services', 'samovar/odd/1')).toBeNull()
    })

    test('a branch that exists is not made again', async () => {
      const files = [{ path, sha: null, bytes }]
      const again = { branch: 'main', newBranch: 'samovar/odd/1', message: 'again', files }
      await expect(world().forge.commit(again)).rejects.toEqual(refused(422))
    })

    test('a file is replaced when it is the one that was read, and not when it changed since', async () => {
      const { forge } = world()
      const branch = 'samovar/odd/1'
      const sha = (await forge.file(path, branch))?.sha ?? ''
      const change = (text: string, from: string | null) =>
        forge.commit({
          branch,
          newBranch: null,
          message: text,
          files: [{ path, sha: from, bytes: Buffer.from(text) }],
        })
      const head = await change('second', sha)
      expect(await forge.branch(branch)).toMatchObject({ sha: head.sha })
      await expect(change('third', sha)).rejects.toEqual(refused(422))
      await expect(change('third', null)).rejects.toEqual(refused(422))
      expect((await forge.file(path, branch))?.bytes.toString()).toBe('second')
    })

    test('a file is removed', async () => {
      const { forge } = world()
      const branch = 'samovar/odd/1'
      const sha = (await forge.file(path, branch))?.sha ?? ''
      const files = [{ path, sha, bytes: null }]
      await forge.commit({ branch, newBranch: null, message: 'remove it', files })
      expect(await forge.file(path, branch)).toBeNull()
    })

    test('a branch is deleted once, and not being there is no error', async () => {
      const { forge } = world()
      expect(await forge.deleteBranch('samovar/odd/1')).toBe(true)
      expect(await forge.deleteBranch('samovar/odd/1')).toBe(false)
      expect(await forge.branch('samovar/odd/1')).toBeNull()
      await expect(forge.deleteBranch('main')).rejects.toEqual(refused(403))
    })
  })
}

function statusContract(world: () => World): void {
  describe('statuses', () => {
    const status = { state: 'success', description: 'applied', targetUrl: '' } as const

    test('a commit that is not there has none and gets none', async () => {
      const { forge } = world()
      expect(await forge.statuses(nowhere)).toEqual([])
      await expect(forge.postStatus(nowhere, { context: 'samovar/web', ...status })).rejects.toEqual(
        refused(404),
      )
    })

    test('the latest of each context counts, on all pages', async () => {
      const { forge } = world()
      const { sha } = await onBranch(forge, 'samovar/statuses', { 'statuses.txt': 'x' })
      expect(await forge.statuses(sha)).toEqual([])
      const contexts = Array.from({ length: 51 }, (_, at) => `samovar/${String(at).padStart(2, '0')}`)
      for (const context of contexts) await forge.postStatus(sha, { context, ...status })
      const last = {
        context: 'samovar/00',
        state: 'failure',
        description: 'größer als erlaubt',
        targetUrl: 'https://samovar.example.com/operations/7',
      } as const
      await forge.postStatus(sha, { ...last, state: 'pending' })
      await forge.postStatus(sha, last)
      const found = await forge.statuses(sha)
      expect(found.map((each) => each.context).sort()).toEqual(contexts)
      expect(found.find((each) => each.context === 'samovar/00')).toEqual(last)
      expect(found.find((each) => each.context === 'samovar/50')).toEqual({
        context: 'samovar/50',
        ...status,
      })
    })
  })
}

function refusalContract(world: () => World): void {
  describe('what is refused', () => {
    test('a token that is none makes Gitea unreachable, and the setting is named', async () => {
      const { connect } = world()
      for (const token of [() => 'f'.repeat(40), () => undefined])
        await expect(connect({ token }).login()).rejects.toMatchObject({
          code: 'forge-unreachable',
          message: expect.stringMatching(/^Gitea does not accept SAMOVAR_GITEA_TOKEN \(GET \/user: HTTP 401/),
        })
    })

    test('a token without the scope is refused, and neither it nor more than a line is in the message', async () => {
      const { setup, connect } = world()
      const wanted = { name: 'too little', scopes: ['read:repository'] }
      const token = (await setup.createToken('samovar-bot', wanted)) ?? ''
      const error: unknown = await connect({ token: () => token })
        .comment(1, 'hello')
        .catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'forge-refused', status: 403 })
      const { message } = error as Error
      expect(message).toMatch(
        /^Gitea refused POST \/repos\/samovar-contract\/host\/issues\/1\/comments: HTTP 403, .*write:issue/,
      )
      expect(message).not.toContain(token)
      expect(message).not.toContain('\n')
    })

    test('a repository that the account does not see is refused with 404', async () => {
      await expect(
        world()
          .connect({ repository: `${owner}/other` })
          .repository(),
      ).rejects.toEqual(refused(404))
    })

    test('a repository that was renamed is still reached, to read and to write', async () => {
      const { forge, setup, person } = world()
      await setup.putCollaborator(repository, alice.login, 'admin')
      await person(alice, { method: 'PATCH', path: `/repos/${owner}/host`, body: { name: 'renamed' } })
      expect((await forge.repository()).fullName).toBe(`${owner}/renamed`)
      await forge.createLabel({ name: 'after the renaming', color: '#112233', description: '' })
      expect((await forge.labels()).map((label) => label.name)).toContain('after the renaming')
    })
  })
}
