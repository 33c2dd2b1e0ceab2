import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeOwnBranch } from '../../reconciler/pull-requests/own-branch.ts'
import { policyOf } from '../desired-state/policy.ts'
import { digestOf, type GiteaStage, openGiteaStage, webFile } from './gitea-stage.ts'

const file = `image: registry.example.com/web\ntag: 1.0.0\ndigest: ${digestOf('a')}\n`
let stage: GiteaStage
beforeEach(async () => {
  stage = await openGiteaStage({ [webFile]: file })
  stage.follow([policyOf({ digest: digestOf('a') })])
})
afterEach(() => stage[Symbol.asyncDispose]())

const changedBy = async (number: number): Promise<string[]> =>
  (await stage.forge.changedPaths(number, 10)).paths

test('a branch that does not begin as those of Samovar is never written', async () => {
  const wanted = { branch: 'main', base: 'main', message: 'no', changes: [], pull: null }
  await expect(writeOwnBranch(stage.forge, wanted)).rejects.toMatchObject({ code: 'changed' })
  expect(stage.changes()).toEqual([])
})

test('one that is left over from a merge is made anew from main, so that it has something to merge', async () => {
  await stage.propose()
  const first = (await stage.pull(1)).head.sha
  await stage.admin('POST', '/pulls/1/merge', { Do: 'merge', head_commit_id: first })
  await stage.admin('POST', '/pulls/1/merge', { Do: 'merge', head_commit_id: first })
  expect((await stage.pull(1)).merged).toBe(true)
  await stage.settle()
  // It failed and was taken back; then somebody wants it after all.
  await stage.push({ [webFile]: file, 'README.md': 'newer\n' })
  expect(await stage.propose()).toEqual([])
  expect(await changedBy(2)).toEqual([webFile])
  const { head } = await stage.pull(2)
  expect(head.sha).not.toBe(first)
  expect(await stage.file('README.md', head.ref)).toBe('newer\n')
})

test('one that is left over from a pull request that was closed does not bring its other commits along', async () => {
  await stage.propose()
  const { head } = await stage.pull(1)
  await stage.push({ 'src/strange.ts': 'strange\n' }, head.ref)
  await stage.admin('PATCH', '/pulls/1', { state: 'closed' })
  await stage.propose({ to: { tag: '1.2.0', digest: digestOf('c') } })
  expect(await changedBy(2)).toEqual([webFile])
})

test('of an open pull request it gets one more commit, and what others put there stays', async () => {
  await stage.propose()
  const { head } = await stage.pull(1)
  await stage.push({ 'notes.md': 'for reviewers\n' }, head.ref)
  await stage.propose({ to: { tag: '1.2.0', digest: digestOf('c') } })
  expect(await changedBy(1)).toEqual(expect.arrayContaining([webFile, 'notes.md']))
  expect(await stage.file(webFile, head.ref)).toContain('tag: 1.2.0')
})
