import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { policyOf } from '../desired-state/policy.ts'
import { digestOf, type GiteaStage, openGiteaStage, webFile } from './gitea-stage.ts'

const fileAt = (tag: string, letter: string) =>
  `image: registry.example.com/web\ntag: ${tag}\ndigest: ${digestOf(letter)}\n`
let stage: GiteaStage
beforeEach(async () => {
  stage = await openGiteaStage({ [webFile]: fileAt('1.0.0', 'a') })
  stage.follow([policyOf({ digest: digestOf('a') })])
})
afterEach(() => stage[Symbol.asyncDispose]())

const close = (number: number) => stage.admin('PATCH', `/pulls/${number}`, { state: 'closed' })
const states = async () => (await stage.pulls()).map((each) => each.state)
const refused = () => stage.journal.refusedVersions('web').map(({ tag, digest }) => [tag, digest])

describe('a pull request that a person closed', () => {
  test('is a no to every build of that version, and it is not proposed again', async () => {
    await stage.propose()
    await close(1)
    await stage.settle()
    expect(refused()).toEqual([['1.1.0', '']])
    expect(stage.journal.refusedVersions('web')[0]?.why).toBe('its pull request #1 was closed')
    expect(stage.journal.proposal(1)?.state).toBe('closed')
    await stage.propose({ to: { tag: '1.1.0', digest: digestOf('d') } })
    expect(await states()).toEqual(['closed'])
  })

  test('says nothing against the next version', async () => {
    await stage.propose()
    await close(1)
    await stage.settle()
    await stage.propose({ to: { tag: '1.2.0', digest: digestOf('c') } })
    expect(await states()).toEqual(['closed', 'open'])
  })

  test('of a rebuild is a no to that build alone', async () => {
    const rebuild = { to: { tag: '1.0.0', digest: digestOf('b') }, step: 'digest' } as const
    await stage.propose(rebuild)
    await close(1)
    await stage.settle()
    expect(refused()).toEqual([['1.0.0', digestOf('b')]])
    await stage.propose(rebuild)
    expect(await states()).toEqual(['closed'])
    await stage.propose({ ...rebuild, to: { tag: '1.0.0', digest: digestOf('c') } })
    expect(await states()).toEqual(['closed', 'open'])
  })

  test('and opened again is wanted again', async () => {
    await stage.propose()
    await close(1)
    await stage.settle()
    await stage.admin('PATCH', '/pulls/1', { state: 'open' })
    await stage.settle()
    expect([refused(), stage.journal.proposal(1)?.state]).toEqual([[], 'open'])
  })

  test('of a service that left the desired state refuses nothing', async () => {
    await stage.propose()
    await close(1)
    stage.follow([])
    await stage.settle()
    expect([refused(), stage.journal.proposal(1)?.state]).toEqual([[], 'closed'])
  })
})

test('a merged one is merged, and refuses nothing', async () => {
  await stage.propose()
  for (const _asked of ['is looked at', 'is merged'])
    await stage.admin('POST', '/pulls/1/merge', { Do: 'squash' })
  await stage.settle()
  expect([refused(), stage.journal.proposal(1)?.state]).toEqual([[], 'merged'])
})

describe('Samovar closes by itself, without saying no to the version', () => {
  test('what the branch has already', async () => {
    await stage.propose()
    await stage.push({ [webFile]: fileAt('1.1.0', 'b') })
    await stage.settle()
    await stage.settle()
    expect([await states(), refused(), stage.journal.proposal(1)?.state]).toEqual([
      ['closed'],
      [],
      'replaced',
    ])
    expect(await stage.forge.branch('samovar/bump-web')).toBe(null)
  })

  test('the version of a service that left the desired state', async () => {
    await stage.propose()
    stage.follow([])
    await stage.settle()
    await stage.settle()
    expect([await states(), refused()]).toEqual([['closed'], []])
  })

  test('but not the same tag with another digest', async () => {
    await stage.propose()
    await stage.push({ [webFile]: fileAt('1.1.0', 'd') })
    await stage.settle()
    expect(await states()).toEqual(['open'])
  })

  test('and comes back to it when closing did not get through', async () => {
    await stage.propose()
    await stage.push({ [webFile]: fileAt('1.1.0', 'b') })
    stage.proxy.use({ when: (seen) => seen.method === 'PATCH', fault: { answer: { status: 502, body: '' } } })
    await expect(stage.settle()).rejects.toMatchObject({ code: 'forge-unreachable' })
    expect(await states()).toEqual(['open'])
    stage.proxy.use()
    // It may be under way beside this.
    await stage.settle()
    expect(stage.journal.proposal(1)?.state).toBe('replaced')
    stage.wait(600_000)
    await stage.settle()
    expect([await states(), refused()]).toEqual([['closed'], []])
  })
})

test('one that Gitea does not know any more keeps the others from nothing', async () => {
  await stage.propose()
  const known = stage.journal.proposal(1)
  if (known !== null) stage.journal.saveProposal({ ...known, number: 99 })
  await close(1)
  await stage.settle()
  expect(stage.journal.proposal(99)?.state).toBe('replaced')
  expect(refused()).toEqual([['1.1.0', '']])
})
