import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ServiceFile } from '../../reconciler/desired-state/policies.ts'
import type { ImageReference } from '../../reconciler/engine/engine.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import { mergeOwn } from '../../reconciler/pull-requests/merge-own.ts'
import { revertMessage, wantRevert } from '../../reconciler/pull-requests/want-revert.ts'
import { policyOf } from '../desired-state/policy.ts'
import { openStage, type Stage } from '../stories/stage.ts'
import { type GiteaStage, openGiteaStage, recorded, webFile } from './gitea-stage.ts'

let host: Stage
let stage: GiteaStage
let failed: Operation
const from = () => failed.from?.digest ?? ''
const to = () => failed.to?.digest ?? ''

/** web was at 1.0.0, its file names 2.0.0, which was reverted here. */
beforeEach(async () => {
  host = await openStage()
  await host.rollOut(host.publish('web', '1.0.0'), { health: { soak: 0 } })
  failed = await host.rollOut(host.publish('web', '2.0.0', { health: 'unhealthy' }))
  stage = await openGiteaStage({ [webFile]: fileAt('2.0.0', to()) }, { journal: host.journal })
  follow()
})
afterEach(async () => {
  await stage[Symbol.asyncDispose]()
  await host[Symbol.asyncDispose]()
})

const fileAt = (tag: string, digest: string | null) =>
  `# of web\nimage: registry.example.com/web\ntag: ${tag} # moved\n${digest === null ? '' : `digest: ${digest}\n`}update: {}\n`
const follow = (file: ServiceFile = {}) => stage.follow([policyOf({ tag: '2.0.0', digest: to(), ...file })])
const web = (tag: string, digest: string): ImageReference => ({
  name: 'registry.example.com/web',
  tag,
  digest,
})
/** Reverted in a way that the pretended host does not come to. */
const fail = (before: ImageReference, after = web('2.0.0', to())) => {
  failed = recorded(stage.journal, { commit: failed.commit, from: before, to: after, result: 'reverted' })
}
const branch = () => `samovar/revert-web-${failed.id}`
const tell = () => stage.say(revertMessage(failed))

describe('after a revert the repository is told', () => {
  test('in a pull request with the version that runs, and no other byte', async () => {
    wantRevert(stage.parts, failed)
    expect(await stage.round()).toEqual([])
    const pull = await stage.pull(1)
    expect(pull).toMatchObject({ title: 'Revert web to 1.0.0', state: 'open', head: { ref: branch() } })
    expect(pull.labels.map((each) => each.name)).toEqual(['samovar', 'samovar/revert'])
    expect(pull.body.split('\n')[0]).toBe(`<!-- samovar:revert ${failed.id} -->`)
    expect(await stage.file(webFile, branch())).toBe(fileAt('1.0.0', from()))
    expect(stage.journal.revertOf(failed.id)).toMatchObject({ number: 1, tag: '1.0.0', state: 'open' })
  })

  test('and asks those who review the service', async () => {
    follow({ update: { reviewers: ['alice'] } })
    await tell()
    expect((await stage.pull(1)).requested_reviewers).toEqual([{ login: 'alice' }])
  })

  test('with its digest also where the file had none: the tag may have moved to what nobody tried', async () => {
    await stage.push({ [webFile]: fileAt('2.0.0', null) })
    await tell()
    expect(await stage.file(webFile, branch())).toBe(
      fileAt('1.0.0', null).replace('# moved\n', `# moved\ndigest: ${from()}\n`),
    )
  })

  test('once, also when its answer was lost and the process dies with it', async () => {
    stage.proxy.use({
      when: (seen) => seen.method === 'POST' && seen.url.endsWith('/contents'),
      fault: { loseAnswer: true },
      times: 1,
    })
    expect(await tell()).toHaveLength(1)
    stage.proxy.use({
      when: (seen) => seen.method === 'POST' && seen.url.endsWith('/pulls'),
      fault: { loseAnswer: true },
      times: 3,
    })
    await stage.round()
    stage.proxy.use()
    host.journal.releaseMessages()
    expect(await stage.round()).toEqual([])
    expect(await stage.pulls()).toHaveLength(1)
    stage.changes()
    await tell()
    await stage.admin('PATCH', '/pulls/1', { state: 'closed' })
    await stage.settle()
    stage.journal.post({ ...revertMessage(failed), slot: 'again' }, stage.parts.now())
    expect(await stage.round()).toEqual([])
    expect([await stage.pulls(), stage.changes()]).toMatchObject([[{ number: 1 }], []])
  })

  test('of a tag that was pushed anew by its digest, and that stays open', async () => {
    fail(web('1.0.0', from()), web('1.0.0', `sha256:${'9'.repeat(64)}`))
    await stage.push({ [webFile]: fileAt('1.0.0', null) })
    follow({ tag: '1.0.0' })
    expect(await tell()).toEqual([])
    expect(await stage.file(webFile, branch())).toContain(`digest: ${from()}`)
    await stage.settle()
    expect((await stage.pull(1)).state).toBe('open')
  })
})

describe('nothing is opened', () => {
  test.each([
    ['main names another version', () => stage.push({ [webFile]: fileAt('2.0.1', null) })],
    [
      'main names another build',
      () => stage.push({ [webFile]: fileAt('2.0.0', `sha256:${'9'.repeat(64)}`) }),
    ],
    ['main has it back already', () => stage.push({ [webFile]: fileAt('1.0.0', null) })],
    ['the file is gone', () => stage.push({ [webFile]: null })],
    ['the service says repository: none', async () => follow({ revert: { repository: 'none' } })],
    ['the service left the desired state', async () => stage.follow([])],
  ])('when %s', async (_what, given) => {
    await given()
    stage.changes()
    expect(await tell()).toEqual([])
    expect([await stage.pulls(), stage.changes()]).toEqual([[], []])
  })

  test('for what ran before under no tag: a person knows which version that was', async () => {
    fail(web('', ''))
    expect(await tell()).toEqual([])
    expect(await stage.pulls()).toEqual([])
  })
})

test('what ran before without a digest comes back without one', async () => {
  fail(web('1.0.0', ''))
  expect(await tell()).toEqual([])
  expect(await stage.file(webFile, branch())).toBe(fileAt('1.0.0', null))
})

test('the revert of one that main has left behind is closed', async () => {
  await tell()
  await stage.settle()
  expect((await stage.pull(1)).state).toBe('open')
  await stage.push({ [webFile]: fileAt('2.0.1', null) })
  await stage.settle()
  expect((await stage.pull(1)).state).toBe('closed')
  expect(stage.journal.proposal(1)?.state).toBe('replaced')
})

describe('the revert of an automatic service', () => {
  const merge = async () => {
    await stage.pulls()
    const open = await stage.forge.openPullRequests('main')
    const { sha: head } = (await stage.pull(1)).head
    await stage.planned(1)
    await stage.admin('POST', `/statuses/${head}`, { context: 'samovar/plan', state: 'success' })
    return mergeOwn(stage.forge, stage.parts, { open, loaded: stage.loaded() })
  }

  test.each([true, false])('is merged, with a digest in the file: %s', async (hasDigest) => {
    await stage.push({ [webFile]: fileAt('2.0.0', hasDigest ? to() : null) })
    follow({ update: { policy: 'automatic' } })
    await tell()
    const pull = await stage.pull(1)
    expect(pull.labels.map((each) => each.name)).toContain('samovar/automatic')
    expect(pull.body).toContain('Samovar merges this itself')
    expect(await merge()).toMatchObject([{ result: 'merged' }])
    expect(await stage.file(webFile)).toContain(`digest: ${from()}\n`)
    expect(await stage.file(webFile)).toContain('tag: 1.0.0 # moved\n')
  })

  test('is not merged when somebody took its digest out', async () => {
    follow({ update: { policy: 'automatic' } })
    await tell()
    await stage.push({ [webFile]: fileAt('1.0.0', null) }, branch())
    expect(await merge()).toMatchObject([{ result: 'waits', why: expect.stringContaining('not as Samovar') }])
  })
})
