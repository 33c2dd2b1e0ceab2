import { afterEach, beforeEach, expect, test } from 'vitest'
import { commentMessage } from '../../reconciler/gitea/comment.ts'
import { policyOf } from '../desired-state/policy.ts'
import { digestOf, type GiteaStage, openGiteaStage, webFile } from '../pull-requests/gitea-stage.ts'

let stage: GiteaStage
beforeEach(async () => {
  const file = `image: registry.example.com/web\ntag: 1.0.0\ndigest: ${digestOf('a')}\n`
  stage = await openGiteaStage({ [webFile]: file })
  stage.follow([policyOf({ digest: digestOf('a') })])
  await stage.propose()
  stage.changes()
})
afterEach(() => stage[Symbol.asyncDispose]())

const say = (body: string, marker = 'plan') => stage.say(commentMessage({ number: 1, marker, body }))
const comments = async () => (await stage.forge.comments(1)).map((each) => [each.author, each.body])

test('there is one comment, found by its hidden first line and kept up to date', async () => {
  await say('first\n')
  await say('second\n')
  expect(await comments()).toEqual([['samovar', '<!-- samovar:plan -->\nsecond\n']])
  expect(stage.changes()).toEqual(['POST /issues/1/comments', expect.stringMatching(/^PATCH .*comments/)])
})

test('another marker is another comment', async () => {
  await say('one')
  await say('two', 'outcome')
  expect(await comments()).toHaveLength(2)
})

test('what stands there already is not written again, also after the journal was lost', async () => {
  await say('first\n')
  stage.changes()
  await say('first\n')
  stage.journal.forgetSaid(0)
  await say('first\n')
  expect(stage.changes()).toEqual([])
})

test('an answer that was lost makes no second comment', async () => {
  const used = stage.proxy.use({
    when: (seen) => seen.method === 'POST' && seen.url.endsWith('/comments'),
    fault: { loseAnswer: true },
    times: 1,
  })
  expect(await say('first')).toHaveLength(1)
  expect(await stage.round()).toEqual([])
  expect([used(), await comments()]).toEqual([1, [['samovar', expect.stringContaining('first')]]])
})

test('a comment of a person that looks like ours is never touched', async () => {
  await stage.admin('POST', '/issues/1/comments', { body: '<!-- samovar:plan -->\nmine' })
  await say('ours')
  await say('ours, newer')
  expect(await comments()).toEqual([
    ['root-admin', '<!-- samovar:plan -->\nmine'],
    ['samovar', '<!-- samovar:plan -->\nours, newer'],
  ])
})
