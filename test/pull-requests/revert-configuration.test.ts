import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ImageReference } from '../../reconciler/engine/engine.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import { mergeOwn } from '../../reconciler/pull-requests/merge-own.ts'
import { revertMessage } from '../../reconciler/pull-requests/want-revert.ts'
import { policyOf } from '../desired-state/policy.ts'
import { digestOf, type GiteaStage, openGiteaStage, recorded, webFile } from './gitea-stage.ts'

const file = `image: registry.example.com/web\ntag: 1.0.0\ndigest: ${digestOf('a')}\n`
const compose = 'services: { web: {} }\n'
const bad = 'services: { web: { command: [false] } }\n'
const image: ImageReference = { name: 'registry.example.com/web', tag: '1.0.0', digest: digestOf('a') }

let stage: GiteaStage
let good = ''
beforeEach(async () => {
  stage = await openGiteaStage({ 'docs/one.md': 'one\n' })
  good = await stage.push({
    [webFile]: file,
    'compose/compose.yaml': compose,
    'compose/nginx.conf': 'good\n',
  })
})
afterEach(() => stage[Symbol.asyncDispose]())

/** web held at the good commit and was reverted at this one. */
async function failedAt(commit: string, to: ImageReference = image): Promise<Operation> {
  recorded(stage.journal, { commit: good, from: image, to: image, result: 'applied' })
  const failed = recorded(stage.journal, { commit, from: image, to, result: 'reverted' })
  stage.follow([policyOf({ digest: digestOf('a') })], commit)
  await stage.parts.source.fetch()
  return failed
}
const branchOf = (failed: Operation) => `samovar/revert-web-${failed.id}`
const changed = async () => (await stage.forge.changedPaths(1, 50)).paths

test('the files of the host go back to what held last, all other files stay', async () => {
  const failed = await failedAt(
    await stage.push({
      'compose/compose.yaml': bad,
      'compose/nginx.conf': 'bad\n',
      'desired-state/host.yaml': 'new\n',
      'src/app.ts': 'code\n',
      '.gitea/workflows/check.yaml': 'on: push\n',
      'docs/one.md': 'two\n',
    }),
  )
  expect(await stage.say(revertMessage(failed))).toEqual([])
  expect((await stage.pull(1)).title).toBe('Revert the configuration of web')
  expect((await changed()).toSorted()).toEqual(['compose/compose.yaml', 'compose/nginx.conf'])
  expect(await stage.file('compose/compose.yaml', branchOf(failed))).toBe(compose)
  expect(await stage.file('docs/one.md', branchOf(failed))).toBe('two\n')
})

test('what other services were given meanwhile, and their own files, stay as they are', async () => {
  const other = 'desired-state/services/other.yaml'
  const between = await stage.push({ 'compose/nginx.conf': 'of another service\n', [other]: 'tag: 1\n' })
  const commit = await stage.push({ 'compose/compose.yaml': bad, [other]: 'tag: 2\n' })
  stage.journal.writeNote(
    'first-plans',
    JSON.stringify([commit, between, good].map((each) => ({ commit: each, plan: '', changes: [] }))),
  )
  await stage.say(revertMessage(await failedAt(commit)))
  expect(await changed()).toEqual(['compose/compose.yaml'])
})

test('a file that somebody changed since is left alone', async () => {
  const failed = await failedAt(
    await stage.push({ 'compose/compose.yaml': bad, 'compose/nginx.conf': 'bad\n' }),
  )
  await stage.push({ 'compose/nginx.conf': 'better\n' })
  await stage.say(revertMessage(failed))
  expect(await changed()).toEqual(['compose/compose.yaml'])
  expect(await stage.file('compose/nginx.conf', branchOf(failed))).toBe('better\n')
})

test('nothing is opened when all of it was corrected meanwhile', async () => {
  const failed = await failedAt(await stage.push({ 'compose/compose.yaml': bad }))
  await stage.push({ 'compose/compose.yaml': compose })
  expect(await stage.say(revertMessage(failed))).toEqual([])
  expect(await stage.pulls()).toEqual([])
})

test('it stays open for a person, also where the policy is automatic', async () => {
  const failed = await failedAt(await stage.push({ 'compose/compose.yaml': bad }))
  stage.follow([policyOf({ digest: digestOf('a'), update: { policy: 'automatic' } })], failed.commit)
  await stage.say(revertMessage(failed))
  await stage.settle()
  expect(await stage.pull(1)).toMatchObject({
    state: 'open',
    labels: [{ name: 'samovar' }, { name: 'samovar/revert' }],
  })
  const open = await stage.forge.openPullRequests('main')
  expect(await mergeOwn(stage.forge, stage.parts, { open, loaded: stage.loaded() })).toEqual([])
})

test('an image from another place goes back with its name, not with its tag alone', async () => {
  const elsewhere = { name: 'mirror.example.com/web', tag: '2.0.0', digest: digestOf('c') }
  const moved = `image: ${elsewhere.name}\ntag: 2.0.0\ndigest: ${digestOf('c')}\n`
  const failed = await failedAt(await stage.push({ [webFile]: moved }), elsewhere)
  await stage.say(revertMessage(failed))
  expect(await stage.file(webFile, branchOf(failed))).toBe(file)
})

test('more files than a person can look through are a matter for Git', async () => {
  const many = Object.fromEntries(Array.from({ length: 51 }, (_each, at) => [`compose/site/${at}`, 'x\n']))
  const failed = await failedAt(await stage.push(many))
  expect(await stage.say(revertMessage(failed))).toMatchObject([expect.stringContaining('51 files changed')])
  expect(await stage.pulls()).toEqual([])
})
