import { expect, test } from 'vitest'
import { findCompose } from '../reconciler/compose-config.ts'
import type { Engine } from '../reconciler/engine/engine.ts'
import { type PretendHost, pretendHost } from '../reconciler/engine/in-memory.ts'
import { SamovarError } from '../reconciler/errors.ts'
import { openSource } from '../reconciler/git/checkout.ts'
import { realClock } from '../reconciler/health/clock.ts'
import type { Operation } from '../reconciler/journal/operation.ts'
import { openJournal } from '../reconciler/journal.ts'
import { type Loop, type LoopTold, makeLoop } from '../reconciler/loop.ts'
import { notifiersOf, type Parts } from '../reconciler/parts.ts'
import { openSecrets } from '../reconciler/secrets/secrets.ts'
import { readSettings } from '../reconciler/settings.ts'
import { type GitServer, startGitServer } from './rig/git-server.ts'
import { tempFolder } from './rig/temp-folder.ts'
import { until } from './rig/until.ts'

const image = 'registry.example.com/web'
const health =
  '\nhealth: { within: 10s, steady: 0s, soak: 0s, checks: [{ container: healthy, every: 50ms }] }\n'
const serviceFile = (tag: string): string => `image: ${image}\ntag: ${tag}${health}`
const withinMs = 10_000

type Seen = { begun: string[]; passes: number; failed: number[]; ended: Operation[] }

type Stage = {
  host: PretendHost
  git: GitServer
  parts: Parts
  loop: Loop
  seen: Seen
  commit(tag: string): Promise<string>
  /** Waits until the loop sleeps and no pass has begun for a while. */
  quiet(): Promise<number>
} & AsyncDisposable

/** A loop with the real Git, journal and Compose, and a pretend host; `poll` is so long that it never comes. */
async function startLoop(poll = '1h'): Promise<Stage> {
  const [git, state, compose] = await Promise.all([startGitServer(), tempFolder('loop'), findCompose()])
  const repository = await git.createRepository('host')
  const host = pretendHost()
  for (const tag of ['1.0.0', '1.1.0', '1.2.0']) host.publish(`${image}:${tag}`, { health: 'healthy' })
  const commit = (tag: string) => git.commit('host', { 'desired-state/services/web.yaml': serviceFile(tag) })
  await git.commit('host', {
    'desired-state/host.yaml': `name: host\nproject: loop\ncompose: [compose.yaml]\npoll: ${poll}\n`,
    'compose.yaml': 'services:\n  web:\n    image: web\n',
  })
  await commit('1.0.0')
  const journal = openJournal(state.path)
  const settings = readSettings(
    { repository: true },
    { SAMOVAR_REPOSITORY: repository, SAMOVAR_STATE_DIR: state.path },
  )
  const source = openSource({
    repository,
    branch: 'main',
    stateDir: state.path,
    timeoutMs: 10_000,
    environment: process.env,
  })
  const parts: Parts = {
    settings,
    engine: { ...host.engine, watch: lateEvents(host) },
    compose,
    source,
    journal,
    backups: { key: null, open: async () => [] },
    secrets: openSecrets(state.path),
    forge: null,
    notifiers: notifiersOf({ mail: null }),
    clock: realClock,
    now: Date.now,
    close: async () => journal.close(),
  }
  const seen: Seen = { begun: [], passes: 0, failed: [], ended: [] }
  const told: LoopTold = {
    passBegun: (why) => void seen.begun.push(why),
    passEnded: () => {
      seen.passes += 1
    },
    passFailed: (_error, pause) => void seen.failed.push(pause),
    operationEnded: (operation) => void seen.ended.push(operation),
    requestFailed: () => {},
  }
  const stopping = new AbortController()
  const progress = { step: () => {}, pull: () => {}, health: () => {}, data: () => {} }
  const loop = makeLoop(parts, { progress, told, stopping: stopping.signal })
  const running = loop.run()
  return {
    host,
    git,
    parts,
    loop,
    seen,
    commit,
    async quiet() {
      let since = performance.now()
      let count = -1
      await until(
        'no further pass begins',
        () => {
          if (seen.begun.length !== count || loop.state.busySince !== null) since = performance.now()
          count = seen.begun.length
          return performance.now() - since > 1_500
        },
        { withinMs },
      )
      return count
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await running
      journal.close()
      await git[Symbol.asyncDispose]()
      await state[Symbol.asyncDispose]()
    },
  }
}

/** An engine's events come a moment after the call that caused them has been answered. */
function lateEvents({ engine }: PretendHost): Engine['watch'] {
  return (project, onEvent, onGap, signal) =>
    engine.watch(project, (event) => void setTimeout(() => onEvent(event), 30), onGap, signal)
}

const applied = (stage: Stage, tag: string, within = withinMs) =>
  until(
    `${tag} is applied`,
    () => stage.seen.ended.some((each) => each.to?.tag === tag && each.result === 'applied'),
    { withinMs: within },
  )

test('our own doings never set off another pass', async () => {
  await using stage = await startLoop()
  await applied(stage, '1.0.0')
  await stage.quiet()
  expect(stage.seen.begun).toEqual(['start'])
  await stage.commit('1.1.0')
  stage.loop.trigger('webhook')
  await applied(stage, '1.1.0')
  await stage.quiet()
  expect(stage.seen.begun).toEqual(['start', 'webhook'])
})

test('what a window holds starts at its moment, without waiting for the poll', async () => {
  await using stage = await startLoop()
  await applied(stage, '1.0.0')
  await stage.git.commit('host', {
    'desired-state/host.yaml':
      'name: host\nproject: loop\ncompose: [compose.yaml]\npoll: 1h\nwindows: { frozen: { opens: "0 8 * * *", for: 23h, kind: deny } }\n',
  })
  await stage.commit('1.1.0')
  // Time enough for a busy machine to look before the window ends.
  const shift = Date.parse('2026-11-28T06:59:45Z') - Date.now()
  stage.parts.now = () => Date.now() + shift
  stage.loop.trigger('webhook')
  const held = () => stage.loop.state.outlook?.plan.changes[0]?.held
  await until('it is held', () => held()?.includes('denies changes until Sat 2026-11-28 07:00'), { withinMs })
  expect(stage.seen.ended.map((each) => each.to?.tag)).toEqual(['1.0.0'])
  await applied(stage, '1.1.0', 60_000)
  expect(stage.seen.ended.at(-1)?.startedAt).toBeGreaterThanOrEqual(Date.parse('2026-11-28T07:00:00Z'))
})

test('triggers during a pass make one more, not one each', async () => {
  await using stage = await startLoop()
  await until('the first pass is at work', () => stage.loop.state.busySince !== null, {
    withinMs,
    everyMs: 1,
  })
  for (let count = 0; count < 20; count += 1) stage.loop.trigger('webhook')
  await stage.quiet()
  expect(stage.seen.begun).toEqual(['start', 'webhook'])
})

test('drift is corrected without waiting for the poll', async () => {
  await using stage = await startLoop()
  await applied(stage, '1.0.0')
  await stage.quiet()
  stage.host.byHand('web', (container) => Object.assign(container, { state: 'exited', exitCode: 137 }), 'die')
  await until(
    'it is started again',
    () => stage.seen.ended.some((each) => each.kind === 'start' && each.result === 'applied'),
    { withinMs },
  )
  expect(stage.seen.begun.at(-1)).toBe('web: die')
})

test('a container that dies again and again does not make a pass of each death', async () => {
  await using stage = await startLoop()
  await applied(stage, '1.0.0')
  await stage.quiet()
  const before = stage.seen.begun.length
  const until3s = performance.now() + 3_000
  await until(
    'it has died for three seconds',
    () => {
      stage.host.byHand('web', () => {}, 'die')
      return performance.now() > until3s
    },
    { withinMs },
  )
  expect(stage.seen.begun.length - before).toBeLessThanOrEqual(1)
})

test('an outage is tried again with growing pauses, which a trigger cuts short, and is forgotten when it is over', async () => {
  await using stage = await startLoop()
  await applied(stage, '1.0.0')
  const away = () =>
    stage.host.fail('observe', new SamovarError('engine-unreachable', 'the engine does not answer'))
  for (const count of [1, 2, 3]) {
    away()
    stage.loop.trigger('webhook')
    await until(`failure ${count}`, () => stage.seen.failed.length === count, { withinMs })
  }
  expect(stage.seen.failed).toEqual([5_000, 10_000, 20_000])
  expect(stage.loop.state.lastError?.message).toBe('the engine does not answer')
  stage.loop.trigger('webhook')
  await until('it works again', () => stage.loop.state.lastError === null, { withinMs })
  away()
  stage.loop.trigger('webhook')
  await until('another failure', () => stage.seen.failed.length === 4, { withinMs })
  expect(stage.seen.failed[3]).toBe(5_000)
})

test('a request of the command line is carried out and answered, with what came of it', async () => {
  await using stage = await startLoop()
  await applied(stage, '1.0.0')
  await stage.quiet()
  await stage.commit('1.1.0')
  const { journal } = stage.parts
  const id = journal.ask('pass', null, Date.now())
  const answer = await until('the request is answered', () => journal.requestResult(id), { withinMs })
  expect(JSON.parse(answer)).toMatchObject({
    outcome: { operations: [{ service: 'web', result: 'applied' }], held: [] },
  })
  const unknown = journal.ask('pass-now', 'nope', Date.now())
  const told = await until('the second is answered', () => journal.requestResult(unknown), { withinMs })
  expect(JSON.parse(told)).toMatchObject({ outcome: { unknown: ['nope'] } })
})

test('a rollback that was asked for puts the version before back, and no pass rolls it forward again', async () => {
  await using stage = await startLoop('1s')
  await applied(stage, '1.0.0')
  await stage.commit('1.1.0')
  await applied(stage, '1.1.0')
  const { journal } = stage.parts
  const id = journal.ask('rollback', 'web', Date.now())
  const answer = await until('the request is answered', () => journal.requestResult(id), { withinMs })
  expect(JSON.parse(answer)).toMatchObject({ outcome: { operations: [{ result: 'applied' }] } })
  const passes = stage.seen.passes
  await until('three more passes', () => stage.seen.passes >= passes + 3, { withinMs })
  const current = await stage.host.engine.observe('loop')
  expect(current.filter((each) => each.state === 'running').map((each) => each.image.tag)).toEqual(['1.0.0'])
  expect(stage.loop.state.outlook?.plan.changes[0]?.held).toContain('a person rolled it back')
  journal.retry('web')
  await until(
    'retry rolls it forward',
    async () => {
      const again = await stage.host.engine.observe('loop')
      return again.some((each) => each.image.tag === '1.1.0' && each.state === 'running')
    },
    { withinMs },
  )
})

test('a request that cannot be done is answered with the reason and the next step', async () => {
  await using stage = await startLoop()
  await applied(stage, '1.0.0')
  const { journal } = stage.parts
  const id = journal.ask('rollback', 'web', Date.now())
  const answer = await until('the request is answered', () => journal.requestResult(id), { withinMs })
  expect(JSON.parse(answer)).toMatchObject({
    problem: {
      code: 'no-rollback-target',
      message: expect.stringContaining('no version of web held before 1.0.0'),
    },
  })
})

test('a request is answered also when the pass it made could not look', async () => {
  await using stage = await startLoop()
  await applied(stage, '1.0.0')
  await stage.quiet()
  stage.host.fail('observe', new SamovarError('engine-unreachable', 'the engine does not answer'))
  const { journal } = stage.parts
  const id = journal.ask('pass', null, Date.now())
  const answer = await until('the request is answered', () => journal.requestResult(id), { withinMs })
  expect(JSON.parse(answer)).toMatchObject({ problem: { code: 'engine-unreachable' } })
})
