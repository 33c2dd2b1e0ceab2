import { describe, expect, test } from 'vitest'
import { refusalStatus } from '../../reconciler/gitea/refusal.ts'
import {
  alice,
  bob,
  bot,
  onBranch,
  owner,
  proposed,
  repository,
  untilMergeable,
  type World,
} from './forge-world.ts'

const pulls = `/repos/${owner}/host/pulls`
const refused = (status: number) =>
  expect.toSatisfy((error: unknown) => refusalStatus(error) === status, `refused with ${status}`)

export function pullRequestContract(world: () => World): void {
  describe('pull requests', () => {
    test('one is opened with its labels, and asking again gives the same', async () => {
      const { forge } = world()
      const { sha } = await onBranch(forge, 'samovar/bump/web', { 'web.yaml': 'tag: 1.1.0\n' })
      const label = (await forge.labels()).find((each) => each.name === 'samovar/01')
      const wanted = {
        head: 'samovar/bump/web',
        base: 'main',
        title: 'Bump web to 1.1.0',
        body: 'What is **new**\n\n<!-- samovar:bump web -->',
        labels: [label?.id ?? 0],
      }
      const made = await forge.createPullRequest(wanted)
      expect(made).toMatchObject({
        state: 'open',
        merged: false,
        mergeCommit: null,
        title: wanted.title,
        body: wanted.body,
        author: bot.login,
        draft: false,
        base: { branch: 'main' },
        head: { branch: wanted.head, sha, fork: false },
        labels: ['samovar/01'],
        url: `${forge.webUrl}/pulls/${made.number}`,
      })
      expect(made.updatedAt).toBeGreaterThan(0)
      const again = await forge.createPullRequest({ ...wanted, title: 'another' })
      expect(again).toMatchObject({ number: made.number, title: wanted.title })
    })

    test('the open ones of a branch are listed, oldest first', async () => {
      const { forge } = world()
      const one = (await forge.openPullRequests('main'))[0]?.number ?? 0
      const two = await proposed(forge, 'samovar/bump/db', { 'db.yaml': 'tag: 1\n' })
      await onBranch(forge, 'other-base', { 'other.yaml': 'x' })
      const head = 'samovar/bump/db'
      await forge.createPullRequest({
        head,
        base: 'other-base',
        title: 'WIP: elsewhere',
        body: '',
        labels: [],
      })
      expect((await forge.openPullRequests('main')).map((each) => each.number)).toEqual([one, two.number])
      expect(await forge.openPullRequests('other-base')).toMatchObject([{ draft: true }])
    })

    test('a push to its branch moves its head', async () => {
      const { forge } = world()
      const { number } = await proposed(forge, 'samovar/moves', { 'moves.yaml': 'one' })
      const file = await forge.file('moves.yaml', 'samovar/moves')
      const files = [{ path: 'moves.yaml', sha: file?.sha ?? '', bytes: Buffer.from('two') }]
      const { sha } = await forge.commit({ branch: 'samovar/moves', newBranch: null, message: 'two', files })
      await untilMergeable(forge, number)
      expect((await forge.pullRequest(number)).head.sha).toBe(sha)
    })

    test('paths that it changes are named, old and new, and no more than asked for', async () => {
      const { forge } = world()
      const text = 'long enough to be recognised\n'.repeat(20)
      const { sha } = await onBranch(forge, 'renames', { 'before.txt': text })
      const file = await forge.file('before.txt', sha)
      const files = [
        { path: 'before.txt', sha: file?.sha ?? '', bytes: null },
        { path: 'after.txt', sha: null, bytes: Buffer.from(text) },
      ]
      await forge.commit({ branch: 'renames', newBranch: 'renamed', message: 'rename it', files })
      const wanted = { head: 'renamed', base: 'renames', title: 'Rename', body: '', labels: [] }
      const { number } = await forge.createPullRequest(wanted)
      const all = await forge.changedPaths(number, 10)
      expect(all.paths.sort()).toEqual(['after.txt', 'before.txt'])
      expect(all.more).toBe(false)
      expect(await forge.changedPaths(number, 1)).toMatchObject({ paths: [expect.any(String)], more: true })
      await forge.editPullRequest(number, { state: 'closed' })
    })

    test('title, body and state are changed, each by itself', async () => {
      const { forge } = world()
      const { number } = await proposed(forge, 'samovar/edited', { 'edited.yaml': 'x' })
      await forge.editPullRequest(number, { title: 'Another title' })
      await forge.editPullRequest(number, { body: 'Another body' })
      await forge.editPullRequest(number, { state: 'closed' })
      const closed = await forge.pullRequest(number)
      expect(closed).toMatchObject({
        title: 'Another title',
        body: 'Another body',
        state: 'closed',
        merged: false,
      })
      expect((await forge.closedPullRequests('main', 1)).map((each) => each.number)).toEqual([number])
      expect(await forge.closedPullRequests('missing', 5)).toEqual([])
      await forge.editPullRequest(number, { state: 'open' })
      expect(await forge.pullRequest(number)).toMatchObject({ state: 'open' })
    })

    test('labels are added to those that are there', async () => {
      const { forge } = world()
      const { number } = await proposed(forge, 'samovar/labelled', { 'labelled.yaml': 'x' })
      const ids = (await forge.labels()).flatMap((each) =>
        ['samovar/02', 'samovar/03'].includes(each.name) ? [each.id] : [],
      )
      await forge.addLabels(number, ids.slice(0, 1))
      await forge.addLabels(number, ids)
      expect((await forge.pullRequest(number)).labels.sort()).toEqual(['samovar/02', 'samovar/03'])
    })

    test('who cannot review is left out: the author, a stranger, nobody', async () => {
      const { forge } = world()
      const { number } = await proposed(forge, 'samovar/reviewed', { 'reviewed.yaml': 'x' })
      const logins = [bot.login, bob.login, 'nobody', alice.login]
      expect(await forge.requestReviewers(number, logins)).toEqual([alice.login])
      expect(await forge.requestReviewers(number, [alice.login])).toEqual([alice.login])
    })

    test('comments are made, listed in their order and edited', async () => {
      const { forge, person } = world()
      const { number } = await proposed(forge, 'samovar/commented', { 'commented.yaml': 'x' })
      expect(await forge.comments(number)).toEqual([])
      const plan = await forge.comment(number, '<!-- samovar:plan -->\n| größer | 😀 |')
      expect(plan).toMatchObject({ author: bot.login, body: '<!-- samovar:plan -->\n| größer | 😀 |' })
      const path = `/repos/${owner}/host/issues/${number}/comments`
      await person(alice, { method: 'POST', path, body: { body: 'fine' } })
      await forge.editComment(plan.id, 'the second plan')
      expect(await forge.comments(number)).toMatchObject([
        { id: plan.id, author: bot.login, body: 'the second plan' },
        { author: alice.login, body: 'fine' },
      ])
    })

    test('what is not there is refused with 404', async () => {
      const { forge } = world()
      await expect(forge.pullRequest(9999)).rejects.toEqual(refused(404))
      await expect(forge.comments(9999)).rejects.toEqual(refused(404))
      await expect(forge.editComment(999_999, 'x')).rejects.toEqual(refused(404))
      const wanted = { head: 'missing', base: 'main', title: 'x', body: '', labels: [] }
      await expect(forge.createPullRequest(wanted)).rejects.toEqual(refused(404))
    })
  })
}

export function mergingContract(world: () => World): void {
  describe('merging', () => {
    test('a protected branch says what it requires and takes no commit', async () => {
      const { forge, setup } = world()
      await setup.createProtection(repository, {
        rule: 'main',
        directPush: false,
        requiredStatuses: ['samovar/plan'],
        requiredApprovals: 1,
        blockOnRejectedReviews: true,
        dismissStaleApprovals: true,
        protectedPaths: [],
      })
      expect(await forge.branch('main')).toMatchObject({ requiredStatuses: ['samovar/plan'] })
      const files = [{ path: 'direct.txt', sha: null, bytes: Buffer.from('x') }]
      const direct = forge.commit({ branch: 'main', newBranch: null, message: 'direct', files })
      await expect(direct).rejects.toEqual(refused(403))
    })

    test('nothing is merged before statuses and approvals are there, nor another head; then it is, once', async () => {
      const { forge, person } = world()
      const branch = 'samovar/merged'
      const { number, sha } = await proposed(forge, branch, { 'merged.yaml': 'tag: 2\n' })
      const wanted = { sha, style: 'squash', title: `Bump it (#${number})`, deleteBranch: true } as const
      await untilMergeable(forge, number)
      expect(await forge.merge(number, wanted)).toBe('later')
      const status = { context: 'samovar/plan', state: 'success', description: '', targetUrl: '' } as const
      await forge.postStatus(sha, status)
      expect(await forge.merge(number, wanted)).toBe('later')
      const body = { event: 'APPROVED', body: 'good', commit_id: sha }
      await person(alice, { method: 'POST', path: `${pulls}/${number}/reviews`, body })
      const before = (await forge.branch('main'))?.sha ?? ''
      expect(await forge.merge(number, { ...wanted, sha: before })).toBe('moved')
      expect(await forge.branch('main')).toMatchObject({ sha: before })

      // After an attempt that failed, Gitea looks for conflicts anew.
      await untilMergeable(forge, number)
      expect(await forge.merge(number, wanted)).toBe('merged')
      const head = (await forge.branch('main'))?.sha ?? ''
      expect(head).not.toBe(before)
      expect(await forge.pullRequest(number)).toMatchObject({
        state: 'closed',
        merged: true,
        mergeCommit: head,
      })
      expect(await forge.pullRequestOfMerge(head)).toMatchObject({ number })
      expect(await forge.pullRequestOfMerge(before)).toBeNull()
      expect((await forge.file('merged.yaml', 'main'))?.bytes.toString()).toBe('tag: 2\n')
      expect(await forge.branch(branch)).toBeNull()
      expect(await forge.merge(number, wanted)).toBe('merged')
    })

    test('what does not fit any more is not merged', async () => {
      const { forge, setup } = world()
      const free = { requiredStatuses: [], requiredApprovals: 0 }
      await setup.editProtection(repository, 'main', free)
      const one = await proposed(forge, 'samovar/conflict/1', { 'conflict.yaml': 'one\n' })
      const two = await proposed(forge, 'samovar/conflict/2', { 'conflict.yaml': 'two\n' })
      await untilMergeable(forge, one.number)
      await untilMergeable(forge, two.number)
      const how = { style: 'merge', title: 'Merge it', deleteBranch: false } as const
      expect(await forge.merge(one.number, { sha: one.sha, ...how })).toBe('merged')
      expect(await forge.merge(two.number, { sha: two.sha, ...how })).toBe('later')
      expect(await forge.pullRequest(two.number)).toMatchObject({ merged: false, head: { sha: two.sha } })
      expect(await forge.branch('samovar/conflict/1')).not.toBeNull()
    })

    test('what was merged or closed last comes first', async () => {
      const { forge } = world()
      const closed = await forge.closedPullRequests('main', 2)
      expect(closed.map((each) => each.merged)).toEqual([true, true])
      expect(closed[0]?.head.branch).toBe('samovar/conflict/1')
      expect(closed[1]?.head.branch).toBe('samovar/merged')
    })
  })
}
