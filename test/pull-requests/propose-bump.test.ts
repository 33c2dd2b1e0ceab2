import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bumpMessage } from '../../reconciler/pull-requests/propose-bump.ts'
import { deliveriesOf } from '../../reconciler/say-to-gitea.ts'
import { policyOf } from '../desired-state/policy.ts'
import { digestOf, type GiteaStage, openGiteaStage, toNewer, webFile } from './gitea-stage.ts'

/** Layout, comments and ends of line as people write them. */
const file = [
  '# The web server.\r',
  'image: registry.example.com/web',
  "tag:   '1.0.0'   # moved by the bot",
  `digest: ${digestOf('a')}`,
  'update: { policy: manual }  # äöü',
  '',
].join('\n')
const newer = file.replace('1.0.0', '1.1.0').replace(digestOf('a'), digestOf('b'))
const newest = { to: { tag: '1.2.0', digest: digestOf('c') } }

let stage: GiteaStage
beforeEach(async () => {
  stage = await openGiteaStage({ [webFile]: file, 'README.md': 'of others\n' })
  stage.follow([policyOf({ digest: digestOf('a') })])
})
afterEach(() => stage[Symbol.asyncDispose]())

const automatic = () =>
  stage.follow([policyOf({ digest: digestOf('a'), update: { policy: 'automatic', reviewers: ['alice'] } })])

describe('a newer version is proposed', () => {
  test('in one pull request that changes the two values and no other byte', async () => {
    expect(await stage.propose()).toEqual([])
    const [pull, ...more] = await stage.pulls()
    expect(more).toEqual([])
    expect(pull).toMatchObject({ title: 'Bump web from 1.0.0 to 1.1.0', state: 'open' })
    expect(await stage.forge.changedPaths(1, 10)).toEqual({ paths: [webFile], more: false })
    expect(await stage.file(webFile, pull?.head.ref)).toBe(newer)
    expect(await stage.file(webFile)).toBe(file)
    expect(stage.journal.proposals('open')).toMatchObject([
      { number: 1, kind: 'bump', tag: '1.1.0', digest: digestOf('b'), head: pull?.head.sha },
    ])
  })

  test('with labels, the hidden marker, the release notes, and those reviewers who may read it', async () => {
    await stage.propose()
    const pull = await stage.pull(1)
    expect(pull.body.split('\n')[0]).toBe('<!-- samovar:bump web -->')
    expect(pull.body).toContain('<https://example.com/web/1.1.0>')
    expect(pull.labels.map((each) => each.name)).toEqual(['samovar', 'samovar/bump'])
    // Who may not read the repository is left out.
    expect(pull.requested_reviewers).toEqual([])
    stage.follow([policyOf({ digest: digestOf('a'), update: { reviewers: ['alice', 'bob', 'nobody'] } })])
    await stage.admin('PATCH', '/pulls/1', { state: 'closed' })
    await stage.propose(newest)
    expect((await stage.pull(2)).requested_reviewers).toEqual([{ login: 'alice' }])
  })

  test('without asking anybody when the policy is automatic', async () => {
    automatic()
    await stage.propose()
    const pull = await stage.pull(1)
    expect(pull.labels.map((each) => each.name)).toContain('samovar/automatic')
    expect(pull.requested_reviewers).toEqual([])
    expect(pull.body).toContain('Samovar merges this itself')
  })

  test('once: told again, Gitea is only looked at', async () => {
    await stage.propose()
    stage.changes()
    const again = deliveriesOf(stage.parts, stage.forge, stage.memory)['bump']
    await again?.({ ...toNewer, found: 0 }, new AbortController().signal)
    expect(await stage.propose()).toEqual([])
    expect(stage.changes()).toEqual([])
  })

  test('and what a person wrote into it stays until there is another version to tell', async () => {
    await stage.propose()
    await stage.admin('PATCH', '/pulls/1', { title: 'WIP: not before Monday', body: 'not before Monday' })
    await stage.propose()
    expect(await stage.pull(1)).toMatchObject({ title: 'WIP: not before Monday', body: 'not before Monday' })
    // Also when the branch is brought up to date with the rest of the file.
    await stage.push({ [webFile]: file.replace('# The', '# A') })
    await stage.propose()
    expect(await stage.file(webFile, (await stage.pull(1)).head.ref)).toBe(newer.replace('# The', '# A'))
    expect((await stage.pull(1)).title).toBe('WIP: not before Monday')
    await stage.propose(newest)
    expect((await stage.pull(1)).title).toBe('WIP: Bump web from 1.0.0 to 1.2.0')
  })

  test('a newer one brings the same pull request up to date', async () => {
    await stage.propose()
    await stage.propose(newest)
    expect(await stage.pulls()).toHaveLength(1)
    const pull = await stage.pull(1)
    expect(pull.title).toBe('Bump web from 1.0.0 to 1.2.0')
    expect(pull.body).toContain('`1.2.0`')
    expect(await stage.file(webFile, pull.head.ref)).toBe(
      file.replace('1.0.0', '1.2.0').replace(digestOf('a'), digestOf('c')),
    )
    expect(stage.journal.proposals('open')).toMatchObject([{ number: 1, tag: '1.2.0', head: pull.head.sha }])
  })
})

describe('nothing is opened', () => {
  test.each([
    ['the version was refused', { tag: '1.1.0', digest: '' }],
    ['its digest was reverted', { tag: '1.1.0', digest: digestOf('b') }],
    ['its digest was reverted under another tag', { tag: '1.1', digest: digestOf('b') }],
  ])('when meanwhile %s', async (_what, version) => {
    stage.journal.refuseVersion({ service: 'web', image: toNewer.image, ...version, why: '', at: 0 })
    expect(await stage.propose()).toEqual([])
    expect(await stage.pulls()).toEqual([])
  })

  test.each([
    ['wrote another tag', file.replace('1.0.0', '1.0.1')],
    ['wrote another digest', file.replace(digestOf('a'), digestOf('d'))],
    ['took the image from elsewhere', file.replace('registry.example.com', 'mirror.example.com')],
    ['took the file away', null],
    ['broke the file', 'tag: [\n'],
  ])('when meanwhile somebody %s', async (_what, changed) => {
    await stage.push({ [webFile]: changed })
    stage.gitea.asked.splice(0)
    expect(await stage.propose()).toEqual([])
    expect([await stage.pulls(), stage.changes()]).toEqual([[], []])
  })

  test('for a service that left the desired state', async () => {
    stage.follow([])
    expect(await stage.propose()).toEqual([])
    expect(await stage.pulls()).toEqual([])
  })
})

describe('a pull request that conflicts', () => {
  const conflict = () => stage.push({ [webFile]: file.replace('# moved by the bot', '# moved by bots') })

  test('is closed, which is no no to its version, and another one is opened', async () => {
    await stage.propose()
    await conflict()
    await stage.propose()
    expect((await stage.pulls()).map((each) => each.state)).toEqual(['closed', 'open'])
    expect(await stage.file(webFile, (await stage.pull(2)).head.ref)).toContain("'1.1.0'   # moved by bots")
    await stage.settle()
    expect(stage.journal.refusedVersions('web')).toEqual([])
    expect(stage.journal.proposal(1)?.state).toBe('replaced')
    expect(stage.journal.proposals('open')).toMatchObject([{ number: 2 }])
  })

  test('is left open while Gitea is only looking, as it does after each push', async () => {
    await stage.propose()
    await stage.push({ 'README.md': 'something else\n' })
    await stage.propose(newest)
    expect((await stage.pulls()).map((each) => [each.number, each.state])).toEqual([[1, 'open']])
  })

  test('is left open as a draft, which nobody can merge either', async () => {
    await stage.propose()
    await stage.admin('PATCH', '/pulls/1', { title: 'WIP: later' })
    stage.wait(3_600_000)
    await stage.propose(newest)
    expect((await stage.pulls()).map((each) => each.state)).toEqual(['open'])
  })
})

describe('an answer that was lost', () => {
  test.each([
    ['POST', '/contents'],
    ['POST', '/pulls'],
    ['POST', '/requested_reviewers'],
    ['POST', '/labels'],
  ])('to %s %s makes no second pull request, branch or label', async (method, path) => {
    stage.follow([policyOf({ digest: digestOf('a'), update: { reviewers: ['alice'] } })])
    const used = stage.proxy.use({
      when: (seen) => seen.method === method && (seen.url.split('?')[0] ?? '').endsWith(path),
      fault: { loseAnswer: true },
      times: 1,
    })
    await stage.propose()
    expect(used()).toBe(1)
    expect(await stage.round()).toEqual([])
    const pulls = await stage.pulls()
    expect(pulls).toHaveLength(1)
    expect(pulls[0]?.requested_reviewers).toEqual([{ login: 'alice' }])
    expect(await stage.file(webFile, pulls[0]?.head.ref)).toBe(newer)
    const labels = (await stage.forge.labels()).map((each) => each.name)
    expect(labels.toSorted()).toEqual([...new Set(labels)].toSorted())
  })

  test('and a process that dies with it asks the reviewers when it comes again', async () => {
    stage.follow([policyOf({ digest: digestOf('a'), update: { reviewers: ['alice'] } })])
    stage.proxy.use({
      when: (seen) => seen.url.endsWith('/requested_reviewers'),
      fault: { answer: { status: 502, body: '' } },
    })
    expect(await stage.propose()).toHaveLength(1)
    stage.proxy.use()
    expect(await stage.round()).toEqual([])
    expect((await stage.pull(1)).requested_reviewers).toEqual([{ login: 'alice' }])
  })
})

test('while Gitea is away the proposal waits, and a newer version takes its place', async () => {
  stage.gitea.fail('500')
  expect(await stage.propose()).toHaveLength(1)
  await stage.propose(newest)
  expect(stage.journal.waitingMessages()).toHaveLength(1)
  stage.gitea.fail('none')
  expect(await stage.round()).toEqual([])
  expect((await stage.pulls()).map((each) => each.title)).toEqual(['Bump web from 1.0.0 to 1.2.0'])
})

test('a pull request that a person just closed is a no, though nobody looked at it yet', async () => {
  await stage.propose()
  await stage.admin('PATCH', '/pulls/1', { state: 'closed' })
  await stage.propose()
  expect((await stage.pulls()).map((each) => each.state)).toEqual(['closed'])
  expect(stage.journal.refusedVersions('web')).toMatchObject([{ tag: '1.1.0', digest: '' }])
})

test('a version that a person wants again is proposed again, though it was said before', async () => {
  await stage.propose()
  await stage.admin('PATCH', '/pulls/1', { state: 'closed' })
  await stage.settle()
  stage.journal.allowVersions('web')
  stage.journal.post(bumpMessage(toNewer, stage.parts.now()), stage.parts.now())
  expect(await stage.round()).toEqual([])
  expect((await stage.pulls()).map((each) => each.state)).toEqual(['closed', 'open'])
})
