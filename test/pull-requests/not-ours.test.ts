import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mergeOwn } from '../../reconciler/pull-requests/merge-own.ts'
import { revertMessage } from '../../reconciler/pull-requests/want-revert.ts'
import { policyOf } from '../desired-state/policy.ts'
import { digestOf, type GiteaStage, openGiteaStage, recorded, webFile } from './gitea-stage.ts'

/** What Samovar wrote down and what Gitea has may differ: its data may have gone back, people may have acted meanwhile. */

const fileAt = (tag: string, letter: string) =>
  `image: registry.example.com/web\ntag: ${tag}\ndigest: ${digestOf(letter)}\n`
const image = (tag: string, letter: string) => ({
  name: 'registry.example.com/web',
  tag,
  digest: digestOf(letter),
})

let stage: GiteaStage
beforeEach(async () => {
  stage = await openGiteaStage({ [webFile]: fileAt('1.0.0', 'a') })
  stage.follow([policyOf({ digest: digestOf('a'), update: { policy: 'automatic' } })])
})
afterEach(() => stage[Symbol.asyncDispose]())

describe('a number that Gitea gave to somebody else after its data went back', () => {
  beforeEach(async () => {
    // Number 1 was a bump of ours; now it is a pull request of the administrator from a branch called develop.
    await stage.push({ [webFile]: fileAt('1.1.0', 'b') }, 'develop')
    await stage.admin('POST', '/pulls', { head: 'develop', base: 'main', title: 'of a person' })
    stage.journal.saveProposal({
      number: 1,
      kind: 'bump',
      service: 'web',
      tag: '1.1.0',
      digest: digestOf('b'),
      operation: null,
      branch: 'samovar/bump-web',
      head: '',
      state: 'open',
      at: 0,
    })
  })

  test('is not closed, and its branch stays', async () => {
    await stage.push({ [webFile]: fileAt('1.1.0', 'b') })
    await stage.settle()
    expect((await stage.pull(1)).state).toBe('open')
    expect(await stage.file(webFile, 'develop')).not.toBe(null)
    expect(stage.journal.proposal(1)?.state).toBe('replaced')
  })

  test('is not merged, however green it is', async () => {
    const { sha: head } = (await stage.pull(1)).head
    await stage.admin('POST', `/statuses/${head}`, { context: 'samovar/plan', state: 'success' })
    await stage.planned(1)
    const open = await stage.forge.openPullRequests('main')
    expect(await mergeOwn(stage.forge, stage.parts, { open, loaded: stage.loaded() })).toEqual([])
    expect((await stage.pull(1)).merged).toBe(false)
  })

  test('closed by its author is no word about the version', async () => {
    await stage.admin('PATCH', '/pulls/1', { state: 'closed' })
    await stage.settle()
    expect(stage.journal.refusedVersions('web')).toEqual([])
  })
})

describe('a version that was put back and holds since, because a person had it tried again', () => {
  const failed = () =>
    recorded(stage.journal, {
      commit: 'c1',
      from: image('1.0.0', 'a'),
      to: image('2.0.0', 'b'),
      result: 'reverted',
    })
  const holds = () =>
    recorded(stage.journal, {
      commit: 'c1',
      from: image('1.0.0', 'a'),
      to: image('2.0.0', 'b'),
      result: 'applied',
      startedAt: 90_000,
    })
  beforeEach(async () => {
    await stage.push({ [webFile]: fileAt('2.0.0', 'b') })
    stage.follow([policyOf({ tag: '2.0.0', digest: digestOf('b'), update: { policy: 'automatic' } })])
  })

  test('is not taken back in the repository any more', async () => {
    const operation = failed()
    holds()
    expect(await stage.say(revertMessage(operation))).toEqual([])
    expect(await stage.pulls()).toEqual([])
  })

  test('and a pull request that takes it back is closed', async () => {
    const operation = failed()
    await stage.say(revertMessage(operation))
    expect((await stage.pull(1)).title).toBe('Revert web to 1.0.0')
    holds()
    await stage.settle()
    expect((await stage.pull(1)).state).toBe('closed')
  })
})

test('reopening a pull request takes back its own refusal, not that of a revert', async () => {
  await stage.propose()
  await stage.admin('PATCH', '/pulls/1', { state: 'closed' })
  await stage.settle()
  const why = 'it was reverted here'
  stage.journal.refuseVersion({
    service: 'web',
    ...image('1.1.0', 'b'),
    image: 'registry.example.com/web',
    why,
    at: 0,
  })
  await stage.admin('PATCH', '/pulls/1', { state: 'open' })
  await stage.settle()
  expect(stage.journal.refusedVersions('web').map((each) => each.why)).toEqual([why])
})
