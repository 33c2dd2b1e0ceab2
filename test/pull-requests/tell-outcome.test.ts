import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Operation } from '../../reconciler/journal/operation.ts'
import type { Outlook } from '../../reconciler/look.ts'
import type { PlanInput } from '../../reconciler/plan/plan.ts'
import { rememberFirstPlan } from '../../reconciler/pull-requests/first-plans.ts'
import { fingerprintOfPlan } from '../../reconciler/pull-requests/plan-fingerprint.ts'
import { tellOutcomes } from '../../reconciler/pull-requests/tell-outcome.ts'
import { change, imageOf, plan, running, standing, target } from '../plan/given.ts'
import { type GiteaStage, openGiteaStage, recorded } from './gitea-stage.ts'

let stage: GiteaStage
let merged = ''

/** A pull request that brings web to 1.1.0, planned at its head. */
beforeEach(async () => {
  stage = await openGiteaStage({ 'README.md': 'one\n' })
  stage.follow([])
  const head = await stage.push({ 'README.md': 'two\n' }, 'newer')
  await stage.admin('POST', '/pulls', { head: 'newer', base: 'main', title: 'newer', body: '' })
  stage.journal.rememberPlan({
    number: 1,
    head,
    against: '',
    plan: fingerprintOfPlan(considered('1.1.0')),
    state: 'success',
    at: stage.parts.now(),
    merged: null,
    ended: false,
  })
})
afterEach(() => stage[Symbol.asyncDispose]())

const considered = (tag: string, commit = merged): PlanInput => ({
  commit,
  targets: [target({ image: imageOf(tag), imageId: `id of ${tag}` })],
  running: [running()],
  looks: new Map(),
  standing: standing(),
  prune: false,
})
/** What a pass sees; `quiet`: all is as the commit says. */
const outlook = (commit: string, quiet = true): Outlook =>
  ({
    commit,
    loaded: { ...stage.loaded(), commit },
    plan: quiet ? plan() : { commit, changes: [change()], foreign: [] },
  }) as unknown as Outlook
const merge = async (): Promise<void> => {
  for (const _asked of ['is looked at', 'is merged'])
    await stage.admin('POST', '/pulls/1/merge', { Do: 'merge' })
  merged = (await stage.forge.branch('main'))?.sha ?? ''
}
/** The first look at the merged commit, before anything of it was done. */
const firstLook = (tag: string) =>
  rememberFirstPlan(stage.journal, { ...outlook(merged), considered: considered(tag) })
const rolledOut = (result: Operation['result']) =>
  recorded(stage.journal, {
    commit: merged,
    from: imageOf('1.0.0'),
    to: imageOf('1.1.0'),
    result,
  })
async function tell(seen: Outlook, open: number[] = []): Promise<void> {
  await tellOutcomes(stage.parts, stage.forge, { open: new Set(open), outlook: seen, plans: new Map() })
  await stage.round()
}
const comments = async () => (await stage.forge.comments(1)).map((each) => each.body)
const status = async () =>
  (await stage.forge.statuses(merged)).map((each) => `${each.context} ${each.state}: ${each.description}`)

describe('a merge that did what was planned', () => {
  test('is told on the pull request and on the commit, and ends once', async () => {
    await merge()
    firstLook('1.1.0')
    rolledOut('applied')
    await tell(outlook(merged))
    expect(await status()).toEqual(['samovar/plan success: as planned in #1'])
    expect(await comments()).toEqual([expect.stringMatching(/^<!-- samovar:plan -->\n[\s\S]*1\.1\.0/)])
    expect(stage.journal.toldPlan(1)).toMatchObject({ merged, ended: true })
    stage.changes()
    await tell(outlook(merged))
    expect([stage.changes(), stage.journal.openPlans()]).toEqual([[], []])
  })

  test('is followed until its last roll-out has ended, in the same comment', async () => {
    await merge()
    firstLook('1.1.0')
    const operation = rolledOut('running')
    await tell(outlook(merged, false))
    await tell(outlook(merged, false))
    expect(stage.journal.toldPlan(1)?.ended).toBe(false)
    stage.journal.saveOperation({ ...operation, result: 'applied', finishedAt: 9_000 })
    await tell(outlook(merged))
    expect(await comments()).toHaveLength(1)
    expect(stage.journal.toldPlan(1)?.ended).toBe(true)
  })
})

test('a plan that was no longer true when it was merged is told so', async () => {
  await merge()
  firstLook('1.2.0')
  await tell(outlook(merged))
  expect(await status()).toEqual([expect.stringMatching(/^samovar\/plan warning: not what #1 planned/)])
  expect((await comments())[0]).toContain('the plan was no longer true')
})

describe('nothing is told', () => {
  test('of a pull request that is open, also when the list is older than that', async () => {
    await tell(outlook('c0ffee'), [1])
    await tell(outlook('c0ffee'))
    expect([await comments(), stage.journal.toldPlan(1)?.ended]).toEqual([[], false])
  })

  test('of one that was closed unmerged, and it is ended', async () => {
    await stage.admin('PATCH', '/pulls/1', { state: 'closed' })
    await tell(outlook('c0ffee'))
    expect([await comments(), stage.journal.toldPlan(1)]).toMatchObject([[], { merged: null, ended: true }])
  })

  test('of one that Gitea does not know any more, and the others are told', async () => {
    const known = stage.journal.toldPlan(1)
    if (known !== null) stage.journal.rememberPlan({ ...known, number: 99 })
    await merge()
    firstLook('1.1.0')
    await tell(outlook(merged))
    expect(stage.journal.toldPlan(99)?.ended).toBe(true)
    expect(await comments()).toHaveLength(1)
  })

  test('of a merge before it is in force; after half an hour it is said that another one followed', async () => {
    await merge()
    stage.wait((await stage.forge.pullRequest(1)).updatedAt - stage.parts.now())
    await tell(outlook('c0ffee'))
    expect([await comments(), stage.journal.toldPlan(1)]).toMatchObject([[], { merged, ended: false }])
    stage.wait(31 * 60_000)
    await tell(outlook('c0ffee'))
    expect(stage.journal.toldPlan(1)?.ended).toBe(true)
    expect(await comments()).toEqual([expect.stringContaining('together with a later merge')])
  })
})

describe('a merge whose commit never was in force by itself', () => {
  test('since it is not valid, is told with the places of its findings, and not what stands there', async () => {
    await merge()
    const findings = [
      { file: 'desired-state/host.yaml', line: 3, column: 9, key: 'poll', message: 'hunter2' },
    ]
    await tell({ ...outlook('before'), findings, findingsCommit: merged } as Outlook)
    expect(await comments()).toEqual([expect.stringContaining('it is not followed: it has 1 finding')])
    expect((await comments())[0]).toContain('`desired-state/host.yaml:3:9` `poll`')
    expect((await comments())[0]).not.toContain('hunter2')
  })
})
