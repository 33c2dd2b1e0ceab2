import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { shortened } from '../reconciler/gitea/commit-status.ts'
import type { Operation } from '../reconciler/journal/operation.ts'
import { revertText } from '../reconciler/pull-requests/revert-text.ts'
import { wantRevert } from '../reconciler/pull-requests/want-revert.ts'
import type { PassReport } from '../reconciler/reconcile.ts'
import { linksFrom, saidOfBegin, saidOfEnd, saidOfPass } from '../reconciler/what-to-say.ts'
import { policyOf } from './desired-state/policy.ts'
import { change } from './plan/given.ts'
import { openStage, type Stage } from './stories/stage.ts'

let stage: Stage
beforeEach(async () => {
  stage = await openStage()
  await stage.rollOut(stage.publish('web', '1.0.0'), { health: { soak: 0 } })
})
afterEach(() => stage[Symbol.asyncDispose]())

const links = linksFrom('https://samovar.example.com')
const good = () => stage.rollOut(stage.publish('web', '1.1.0'), { health: { soak: 0 } })
const bad = () => stage.rollOut(stage.publish('web', '2.0.0', { health: 'unhealthy' }))

describe('a commit is told', () => {
  test('that a version is rolled out, and that it holds, with the way to the operation', async () => {
    const operation = await good()
    expect(saidOfBegin(operation, links)?.status).toMatchObject({
      context: 'samovar/web',
      state: 'pending',
      description: 'rolling out 1.0.0 -> 1.1.0',
    })
    expect(saidOfEnd(operation, links)).toMatchObject({
      sha: operation.commit,
      status: {
        state: 'success',
        description: expect.stringMatching(/^1\.1\.0 runs and is healthy, .* of downtime$/),
        targetUrl: `https://samovar.example.com/operations/${operation.id}`,
      },
    })
  })

  test('that a version was put back, and why', async () => {
    const operation = await bad()
    expect(saidOfEnd(operation, linksFrom(null))?.status).toEqual({
      context: 'samovar/web',
      state: 'failure',
      description: expect.stringMatching(/^reverted to 1\.0\.0: .*unhealthy/),
      targetUrl: '',
    })
  })

  test.each([
    ['untouched', 'failure', /^not rolled out: the pull failed/],
    ['stuck', 'error', /^stuck, a person must look \(docs\/operations\.md\): the pull failed/],
    ['running', null, null],
  ] as const)('that it is %s', async (result, state, words) => {
    const operation: Operation = { ...(await good()), result, reason: 'the pull failed' }
    const said = saidOfEnd(operation, links)
    expect(said?.status.state ?? null).toBe(state)
    if (words !== null) expect(said?.status.description).toMatch(words)
  })

  test('nothing of drift, of backups and of what a person rolled back', async () => {
    const operation = await good()
    const drift = { ...operation, intent: { ...operation.intent, drift: true } }
    for (const each of [
      drift,
      { ...operation, kind: 'backup' as const },
      { ...operation, kind: 'rollback' as const },
    ])
      expect([saidOfBegin(each, links), saidOfEnd(each, links)]).toEqual([null, null])
  })
})

const report = (other: Partial<PassReport>): PassReport => ({
  commit: 'c0ffee',
  findings: [],
  findingsCommit: null,
  sourceProblem: null,
  plan: { commit: 'c0ffee', changes: [], foreign: [] },
  operations: [],
  discarded: [],
  lookedAt: 0,
  at: 0,
  ...other,
})
const planOf = (...changes: ReturnType<typeof change>[]) => ({ commit: 'c0ffee', changes, foreign: [] })
const hostStatus = (given: PassReport, broken: string[] = []) =>
  saidOfPass(given, new Set(broken)).find((each) => each.status.context === 'samovar/host')

describe('after a pass the host is', () => {
  test.each([
    ['success', 'the one service is as this commit says', planOf(change({ action: 'none' })), []],
    ['pending', 'held: web', planOf(change({ action: 'replace', held: 'waits for window weekly' })), []],
    ['pending', 'still to be done: web', planOf(change({ action: 'replace' })), []],
    ['failure', 'not as this commit says: web', planOf(change({ action: 'none' })), ['web']],
  ] as const)('%s: %s', (state, description, plan, broken) => {
    expect(hostStatus(report({ plan }), [...broken])?.status).toMatchObject({ state, description })
  })

  test('and each service that is held says what it waits for', () => {
    const plan = planOf(change({ action: 'replace', held: 'waits for window weekly' }))
    expect(saidOfPass(report({ plan }), new Set())[0]?.status).toMatchObject({
      context: 'samovar/web',
      state: 'pending',
      description: 'waits: waits for window weekly',
    })
  })

  test('a newer commit that is not valid is told so, by place and without what stands there', () => {
    const findings = [
      { file: 'desired-state/host.yaml', line: 3, column: 9, key: 'poll', message: 'hunter2' },
    ]
    const [said] = saidOfPass(report({ findings, findingsCommit: 'bad1' }), new Set())
    expect(said).toMatchObject({ sha: 'bad1', status: { context: 'samovar/host', state: 'failure' } })
    expect(said?.status.description).toContain('1 finding: desired-state/host.yaml:3:9')
    expect(JSON.stringify(said)).not.toContain('hunter2')
  })
})

describe('after a revert', () => {
  test('the version is refused from now on, and the pull request is wanted once', async () => {
    const operation = await bad()
    wantRevert(stage, operation)
    wantRevert(stage, operation)
    expect(stage.journal.refusedVersions('web')).toMatchObject([
      { tag: '2.0.0', digest: operation.to?.digest },
    ])
    expect(stage.journal.waitingMessages().map((each) => [each.kind, each.content])).toEqual([
      ['revert', JSON.stringify({ operation: operation.id })],
    ])
  })

  test('what was not to blame is neither refused nor taken back in the repository', async () => {
    const operation = await bad()
    wantRevert(stage, { ...operation, intent: { ...operation.intent, blameless: true } })
    wantRevert(stage, { ...operation, intent: { ...operation.intent, drift: true } })
    wantRevert(stage, { ...operation, result: 'untouched' })
    expect([stage.journal.refusedVersions('web'), stage.journal.waitingMessages()]).toEqual([[], []])
  })

  test('its text has the failing check, the log, both digests and what to do', async () => {
    const operation = await bad()
    const steps = stage.journal
      .steps(operation.id)
      .map((each) =>
        each.name === 'capture evidence' ? { ...each, detail: 'starting\nfatal: `no` database' } : each,
      )
    const { title, body } = revertText({
      operation,
      steps,
      policy: policyOf({ update: { policy: 'automatic' } }),
      hostName: 'git.example.com',
      link: 'https://samovar.example.com/operations/1',
    })
    expect(title).toBe('Revert web to 1.0.0')
    expect(body.split('\n')[0]).toBe(`<!-- samovar:revert ${operation.id} -->`)
    for (const each of [
      operation.from?.digest,
      operation.to?.digest,
      'fatal: `no` database',
      '**Failing check:**',
      'unhealthy',
      'Samovar merges this itself',
      'samovar retry web',
      'https://samovar.example.com/operations/1',
    ])
      expect(body).toContain(each)
  })
})

test.each([
  ['  two\n lines ', 'two lines'],
  [`${'word '.repeat(40)}end`, `${'word '.repeat(27).trimEnd()}…`],
  ['x'.repeat(200), `${'x'.repeat(139)}…`],
])('a description is one line of at most 140 characters, cut at a word', (text, short) => {
  expect(shortened(text)).toBe(short)
  expect(shortened(text).length).toBeLessThanOrEqual(140)
})
