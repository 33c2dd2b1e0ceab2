import { expect, test } from 'vitest'
import { newMemory } from '../../reconciler/look.ts'
import { pass } from '../../reconciler/reconcile.ts'
import { openSecrets } from '../../reconciler/secrets/secrets.ts'
import { openSecretsManager } from '../../reconciler/secrets/secrets-manager.ts'
import { silent } from '../end-to-end/test-host.ts'
import { hostFile, openStage, type Stage, serviceFile } from '../pull-requests/stage.ts'

type Answer = Awaited<ReturnType<NonNullable<Parameters<typeof openSecretsManager>[1]>>>

const outage: Answer = { failed: { why: 'it does not answer', next: 'wait' } }
const files = {
  'desired-state/host.yaml': hostFile('variables: { SHARED: { secret: "aws-sm:shared" } }\n'),
  'desired-state/services/web.yaml': serviceFile('1.0.0'),
  'desired-state/services/other.yaml': serviceFile('1.0.0'),
  'compose/compose.yaml':
    'services: { web: { image: web, environment: { A: "${SHARED}" } }, other: { image: web } }\n',
}

/** A host whose one secret is in a Secrets Manager of the test. */
async function openWith(first: Answer) {
  const stage = await openStage(files)
  const state = { now: Date.now(), answer: first }
  /** As after a restart of the daemon: nothing is remembered. */
  const restart = () => {
    const manager = openSecretsManager(
      () => state.now,
      async () => state.answer,
    )
    stage.parts.secrets = openSecrets(stage.stateDir, manager)
  }
  restart()
  return { stage, state, restart, [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose]() }
}

/** The container of web that runs. */
const webOf = async (stage: Stage): Promise<string> => {
  const all = await stage.host.engine.observe('site')
  return all.find((each) => each.service === 'web' && each.state === 'running')?.instance ?? 'none'
}

const environmentOf = async (stage: Stage) =>
  (await stage.host.engine.inspect(await webOf(stage))).configuration.Env

test('an outage of Secrets Manager replaces nothing, is told, and ends by itself', async () => {
  await using given = await openWith({ text: 'sesame' })
  const { stage, state, restart } = given
  await stage.pass()
  const before = await webOf(stage)
  state.now += 60 * 60_000
  state.answer = outage
  const during = await stage.pass()
  expect([during.operations, during.secretOutages]).toEqual([
    [],
    [expect.stringMatching(/^shared: it does not answer; the value of .* stays in use; next: wait$/)],
  ])
  expect(during.plan?.changes.map((change) => change.action)).toEqual(['none', 'none'])
  state.now += 60 * 60_000
  state.answer = { text: 'sesame' }
  expect(await stage.pass()).toMatchObject({ operations: [], secretOutages: [] })

  // Who starts in an outage knows nothing: what runs goes on, what needs no secret is reconciled.
  state.answer = outage
  restart()
  await stage.commit({ 'desired-state/services/other.yaml': serviceFile('1.1.0') })
  const report = await pass(stage.parts, newMemory(), {
    services: [],
    now: false,
    stopping: new AbortController().signal,
    hint: new EventTarget(),
    progress: silent,
    busy: () => {},
  })
  expect(report.operations.map((each) => [each.service, each.result])).toEqual([['other', 'applied']])
  expect(report.plan?.changes.find((change) => change.service === 'web')?.held).toBe(
    'the secret SHARED is missing: shared: it does not answer; next: wait',
  )
  expect(await webOf(stage)).toBe(before)
  expect(await environmentOf(stage)).toEqual(['A=sesame'])
})

test('a secret that changed elsewhere is rolled out by a later pass of the same process, with its name as reason', async () => {
  await using given = await openWith({ text: 'sesame' })
  const { stage, state } = given
  await stage.pass()
  expect((await stage.look()).plan.changes.map((change) => change.action)).toEqual(['none', 'none'])
  state.now += 10 * 60_000
  state.answer = { text: 'open' }
  const { plan } = await stage.look()
  expect(plan.changes.find((change) => change.service === 'web')).toMatchObject({
    action: 'replace',
    reasons: [
      { field: 'secret SHARED', before: '', after: 'changed' },
      { field: 'environment.A', before: '***', after: '***' },
    ],
  })
  const { operations } = await stage.pass()
  expect(operations.map((each) => [each.service, each.result])).toEqual([['web', 'applied']])
  expect(await environmentOf(stage)).toEqual(['A=open'])
  expect((await stage.pass()).operations).toEqual([])
})

test('evidence of a failure is left out while a secret is missing that this process never read', async () => {
  await using given = await openWith(outage)
  const { stage, state } = given
  const { loaded } = await stage.look()
  expect(loaded.resolved.isComplete).toBe(false)
  state.answer = { text: 'sesame' }
  state.now += 10 * 60_000
  expect((await stage.look()).loaded.resolved.isComplete).toBe(true)
  state.answer = { gone: { why: 'it is not there', next: 'create it' } }
  state.now += 10 * 60_000
  const later = (await stage.look()).loaded
  expect(later.resolved.isComplete).toBe(true)
  expect([...later.secrets]).toContain('sesame')
})
