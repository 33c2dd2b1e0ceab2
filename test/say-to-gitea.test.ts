import { afterEach, beforeEach, expect, test } from 'vitest'
import { statusMessage } from '../reconciler/gitea/commit-status.ts'
import { deliverBriefly } from '../reconciler/say-to-gitea.ts'
import { type GiteaStage, openGiteaStage } from './pull-requests/gitea-stage.ts'

let stage: GiteaStage
let shas: string[] = []
beforeEach(async () => {
  stage = await openGiteaStage({ 'README.md': 'one\n' }, { timeoutMs: 4_000 })
  stage.follow([])
  shas = [await stage.push({ 'README.md': 'two\n' }), await stage.push({ 'README.md': 'three\n' })]
  for (const sha of shas) stage.journal.post(status(sha, 'pending'), stage.parts.now())
})
afterEach(() => stage[Symbol.asyncDispose]())

const status = (sha: string, state: 'pending' | 'success') =>
  statusMessage(sha, { context: 'samovar/web', state, description: '', targetUrl: '' })
const deliver = (longest: number, stopping = new AbortController().signal) =>
  deliverBriefly(stage.parts, { memory: stage.memory, stopping, longest })
const told = async () => {
  const all = await Promise.all(shas.map((sha) => stage.forge.statuses(sha)))
  return all.flat().map((each) => each.state)
}

test('a verb says what it has to say before it ends', async () => {
  expect(await deliver(10_000)).toEqual({ waiting: 0, problem: '' })
  expect(await told()).toEqual(['pending', 'pending'])
})

test('a Gitea that hangs keeps the verb no longer than that, and nothing is lost', async () => {
  stage.proxy.use({ when: () => true, fault: { hang: true } })
  const began = performance.now()
  expect(await deliver(300)).toEqual({
    waiting: 2,
    problem: 'Gitea did not answer to the end within 300 ms',
  })
  expect(performance.now() - began).toBeLessThan(2_000)
  stage.proxy.use()
  expect(await stage.round()).toEqual([])
  expect(await told()).toEqual(['pending', 'pending'])
})

test('a Gitea that is away is asked once, and the verb says why it could not tell', async () => {
  stage.gitea.fail('500')
  const said = await deliver(10_000)
  expect(said).toMatchObject({ waiting: 2, problem: expect.stringContaining('HTTP 500') })
  stage.gitea.fail('none')
  expect(await stage.round()).toEqual([])
  expect(await told()).toEqual(['pending', 'pending'])
})

test('a verb that is told to stop does not begin to talk', async () => {
  stage.changes()
  expect(await deliver(10_000, AbortSignal.abort())).toEqual({ waiting: 2, problem: '' })
  expect(stage.changes()).toEqual([])
})

test('without a Gitea nothing is said, and nothing waits', async () => {
  const parts = { ...stage.parts, forge: null }
  const about = { memory: stage.memory, stopping: new AbortController().signal, longest: 10 }
  expect(await deliverBriefly(parts, about)).toBe(null)
})
