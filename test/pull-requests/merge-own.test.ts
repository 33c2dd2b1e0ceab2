import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Merged, mergeOwn } from '../../reconciler/pull-requests/merge-own.ts'
import { policyOf } from '../desired-state/policy.ts'
import { digestOf, type GiteaStage, openGiteaStage, webFile } from './gitea-stage.ts'

const file = `# of web\nimage: registry.example.com/web\ntag: 1.0.0 # moved\ndigest: ${digestOf('a')}\nupdate: { policy: automatic }\n`
const newer = file.replace('1.0.0', '1.1.0').replace(digestOf('a'), digestOf('b'))
const required = ['samovar/plan', 'validate']

let stage: GiteaStage
beforeEach(async () => {
  stage = await openGiteaStage({ [webFile]: file })
  follow('automatic')
  await stage.propose()
  await stage.admin('POST', '/branch_protections', {
    rule_name: 'main',
    enable_push: true,
    enable_status_check: true,
    status_check_contexts: required,
  })
})
afterEach(() => stage[Symbol.asyncDispose]())

const follow = (policy: 'automatic' | 'manual') =>
  stage.follow([policyOf({ digest: digestOf('a'), update: { policy } })])
const branch = 'samovar/bump-web'

/** What the head of a pull request is told: a plan in the journal, and statuses in Gitea. */
async function told(
  about: { plan?: string; head?: string; statuses?: Record<string, string>; number?: number } = {},
): Promise<void> {
  const {
    number = 1,
    plan = 'success',
    statuses = { 'samovar/plan': 'success', validate: 'success' },
  } = about
  const { sha } = (await stage.pull(number)).head
  await stage.planned(number, { head: about.head ?? sha, state: plan })
  for (const [context, state] of Object.entries(statuses))
    await stage.admin('POST', `/statuses/${sha}`, { context, state })
}

async function merge(): Promise<Merged[]> {
  // The first look at a pull request only makes Gitea look for conflicts.
  await stage.pulls()
  const open = await stage.forge.openPullRequests('main')
  stage.changes()
  return mergeOwn(stage.forge, stage.parts, { open, loaded: stage.loaded() })
}
const waits = async (why: RegExp | string): Promise<void> => {
  expect(await merge()).toMatchObject([{ result: 'waits', why: expect.stringMatching(why) }])
  expect(await stage.file(webFile)).toBe(file)
}

describe('a pull request of an automatic service', () => {
  test('is merged, as it was looked at, when its plan and all that is required are good', async () => {
    await told()
    const { sha } = (await stage.pull(1)).head
    expect(await merge()).toMatchObject([{ result: 'merged', why: '' }])
    const asked = stage.gitea.asked.find((each) => each.path.endsWith('/merge'))
    expect(asked?.body).toMatchObject({
      head_commit_id: sha,
      MergeTitleField: expect.stringContaining('(#1)'),
    })
    expect(asked?.body).not.toHaveProperty('merge_when_checks_succeed')
    expect(await stage.file(webFile)).toBe(newer)
    expect(stage.journal.proposal(1)?.state).toBe('merged')
    expect(await stage.forge.branch(branch)).toBe(null)
  })

  test.each([
    ['there is no plan', () => stage.settle(), /plan is not made/],
    ['the plan is of another head', () => told({ head: 'f'.repeat(40) }), /plan is not made/],
    ['the plan failed', () => told({ plan: 'failure' }), /plan is not good/],
    ['the plan warns', () => told({ plan: 'warning' }), /plan is not good/],
    ['a required status is missing', () => told({ statuses: { 'samovar/plan': 'success' } }), /checks of #1/],
    [
      'a required status is pending',
      () => told({ statuses: { 'samovar/plan': 'success', validate: 'pending' } }),
      /checks of #1/,
    ],
    [
      'a required status failed',
      () => told({ statuses: { 'samovar/plan': 'success', validate: 'failure' } }),
      /checks of #1/,
    ],
  ])('waits when %s', async (_what, given, why) => {
    await given()
    await waits(why)
    expect(stage.changes()).toEqual([])
  })

  test.each([
    ['another file', { 'compose/compose.yaml': 'services: {}\n' }, /changes more than/],
    ['a file after its own', { 'site/index.html': 'hello\n' }, /changes more than/],
    ['one more line of its file', { [webFile]: `${newer}revert: { repository: none }\n` }, /not as Samovar/],
    ['a comment', { [webFile]: newer.replace('# of web', '# of Web') }, /not as Samovar/],
    ['another digest', { [webFile]: newer.replace(digestOf('b'), digestOf('e')) }, /not as Samovar/],
    ['no digest', { [webFile]: newer.replace(/digest: .*\n/, '') }, /not as Samovar/],
    ['a file that cannot be edited', { [webFile]: newer.replace('1.1.0', '&x 1.1.0') }, /not as Samovar/],
  ])('waits when somebody pushed %s to its branch', async (_what, files, why) => {
    await stage.push(files, branch)
    await told()
    await waits(why)
    expect(stage.changes()).toEqual([])
  })

  test('waits when the file on main is one that nobody can edit by two values', async () => {
    await told()
    await stage.push({ [webFile]: file.replace('1.0.0', '&x 1.0.0') })
    expect(await merge()).toMatchObject([{ result: 'waits' }])
  })

  test('waits when its head moves while it is being merged', async () => {
    await told()
    await stage.pulls()
    const open = await stage.forge.openPullRequests('main')
    const moved = open.map((each) => ({ ...each, head: { ...each.head } }))
    await stage.push({ [webFile]: newer.replace('# of web', '# of Web') }, branch)
    await stage.pulls()
    await stage.admin('POST', `/statuses/${(await stage.pull(1)).head.sha}`, {
      context: 'samovar/plan',
      state: 'success',
    })
    await stage.admin('POST', `/statuses/${(await stage.pull(1)).head.sha}`, {
      context: 'validate',
      state: 'success',
    })
    const result = await mergeOwn(stage.forge, stage.parts, { open: moved, loaded: stage.loaded() })
    expect(result).toMatchObject([{ result: 'waits', why: 'its head moved meanwhile' }])
    expect(await stage.file(webFile)).toBe(file)
  })

  test('waits as long as Gitea says "later", and is tried again', async () => {
    await told()
    stage.proxy.use({
      when: (seen) => seen.url.endsWith('/merge'),
      fault: { answer: { status: 405, body: '{"message":"Please try again later"}' } },
    })
    await waits('Gitea does not merge it yet')
    expect(stage.journal.proposal(1)?.state).toBe('open')
    stage.proxy.use()
    expect(await merge()).toMatchObject([{ result: 'merged' }])
  })

  test('is merged once when the answer was lost', async () => {
    await told()
    stage.proxy.use({
      when: (seen) => seen.url.endsWith('/merge'),
      fault: { loseAnswer: true },
      times: 1,
    })
    expect(await merge()).toMatchObject([{ result: 'merged' }])
    expect(await stage.file(webFile)).toBe(newer)
  })
})

describe('Samovar leaves to people', () => {
  test('a service whose policy is manual', async () => {
    follow('manual')
    await told()
    expect(await merge()).toEqual([])
    expect([await stage.file(webFile), stage.changes()]).toEqual([file, []])
  })

  test('a draft', async () => {
    await told()
    await stage.admin('PATCH', '/pulls/1', { title: 'WIP: Bump web' })
    expect([await merge(), stage.changes()]).toEqual([[], []])
  })

  test('a branch of another repository', async () => {
    await told()
    await stage.pulls()
    const open = await stage.forge.openPullRequests('main')
    const forked = open.map((each) => ({ ...each, head: { ...each.head, fork: true } }))
    expect(await mergeOwn(stage.forge, stage.parts, { open: forked, loaded: stage.loaded() })).toEqual([])
  })

  test('a pull request that it did not open', async () => {
    await stage.push({ [webFile]: newer }, 'by-hand')
    await stage.admin('POST', '/pulls', { head: 'by-hand', base: 'main', title: 'by hand', body: '' })
    await told({ number: 2 })
    expect((await merge()).map((each) => each.proposal.number)).toEqual([1])
    expect(await stage.file(webFile)).toBe(file)
  })
})

test('of several that are green one is merged at a look: the plans of the others were made before it', async () => {
  const other = 'desired-state/services/other.yaml'
  const image = 'registry.example.com/other'
  await stage.push({ [other]: file.replaceAll('/web', '/other') })
  const policy = { digest: digestOf('a'), update: { policy: 'automatic' } } as const
  stage.follow([policyOf(policy), policyOf(policy, 'other')])
  await stage.propose({ service: 'other', file: other, image })
  for (const number of [1, 2]) await told({ number })
  expect((await merge()).map((each) => each.result)).toEqual(['merged'])
  expect((await stage.pulls()).filter((each) => each.merged)).toHaveLength(1)
  expect((await merge()).map((each) => each.result)).toEqual(['merged'])
})
