import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { shortened, statusMessage } from '../../reconciler/gitea/commit-status.ts'
import type { StatusState } from '../../reconciler/gitea/forge.ts'
import { type GiteaStage, openGiteaStage } from '../pull-requests/gitea-stage.ts'

let stage: GiteaStage
let sha = ''
beforeEach(async () => {
  stage = await openGiteaStage({ 'README.md': 'one\n' })
  sha = await stage.push({ 'README.md': 'two\n' })
  stage.follow([])
})
afterEach(() => stage[Symbol.asyncDispose]())

const message = (state: StatusState, description = 'as it is', context = 'samovar/web') =>
  statusMessage(sha, { context, state, description, targetUrl: 'https://samovar.example.com/operations/1' })
const statuses = async () =>
  (await stage.forge.statuses(sha)).map((each) => `${each.context} ${each.state}: ${each.description}`).sort()

test('a commit is told how each service stands, and the newest counts', async () => {
  await stage.say(message('pending', 'rolling out'))
  await stage.say(message('success', 'runs'))
  await stage.say(message('failure', 'not well', 'samovar/host'))
  expect(await statuses()).toEqual(['samovar/host failure: not well', 'samovar/web success: runs'])
  expect((await stage.forge.statuses(sha))[0]?.targetUrl).toBe('https://samovar.example.com/operations/1')
})

test('what is so already is not posted again, also when nobody remembers it', async () => {
  await stage.say(message('success', `${'x'.repeat(138)}😀😀`))
  stage.journal.forgetSaid(0)
  stage.changes()
  expect(await stage.say(message('success', `${'x'.repeat(138)}😀😀`))).toEqual([])
  expect(stage.changes()).toEqual([])
})

test('what is said while Gitea is away collapses to the newest of each context', async () => {
  stage.gitea.fail('unreachable')
  for (const state of ['pending', 'failure', 'success'] as const) await stage.say(message(state))
  expect(stage.journal.waitingMessages()).toHaveLength(1)
  stage.gitea.fail('none')
  stage.changes()
  expect(await stage.round()).toEqual([])
  expect(stage.changes()).toEqual([`POST /statuses/${sha}`])
  expect(await statuses()).toEqual(['samovar/web success: as it is'])
})

test('an answer that was lost makes no second status', async () => {
  const used = stage.proxy.use({
    when: (seen) => seen.method === 'POST',
    fault: { loseAnswer: true },
    times: 1,
  })
  expect(await stage.say(message('success'))).toHaveLength(1)
  stage.changes()
  expect(await stage.round()).toEqual([])
  expect([used(), stage.changes(), await statuses()]).toEqual([1, [], ['samovar/web success: as it is']])
})

test('a commit that Gitea does not have is a refusal, which keeps no other message waiting', async () => {
  const unknown = statusMessage('f'.repeat(40), {
    context: 'samovar/web',
    state: 'success',
    description: '',
    targetUrl: '',
  })
  expect(await stage.say(unknown)).toMatchObject([expect.stringContaining('no such commit')])
  await stage.say(message('success'))
  expect(await statuses()).toEqual(['samovar/web success: as it is'])
})

test('a description is never cut within a character', () => {
  expect(shortened(`${'x'.repeat(138)}${'😀'.repeat(5)}`)).toBe(`${'x'.repeat(138)}…`)
})

test('a description is one well-formed line of at most 140 characters, whatever is in it', () => {
  const words = fc.constantFrom('😀', 'x', '\n', '\ud83d', 'word ')
  const long = fc.array(words, { minLength: 60, maxLength: 200 }).map((each) => each.join(''))
  fc.assert(
    fc.property(fc.oneof(long, fc.string({ unit: 'binary' })), (text) => {
      const line = shortened(text)
      expect(line.length).toBeLessThanOrEqual(140)
      expect(line).not.toMatch(/[\r\n]/)
      expect(line.isWellFormed()).toBe(true)
    }),
  )
})
