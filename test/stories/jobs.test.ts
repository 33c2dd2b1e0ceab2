import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SamovarError } from '../../reconciler/errors.ts'
import { certbot, resumeStory, runStory, volume } from './jobs-stage.ts'
import { openStage, type Stage } from './stage.ts'

let stage: Stage
/** Signals that web heard. */
let heard: string[]

beforeEach(async () => {
  stage = await openStage()
  heard = []
  await stage.rollOut(stage.publish('web', '1.0.0', { hearsSignal: (name) => void heard.push(name) }), {
    health: { soak: 0 },
  })
  stage.host.files(volume).set('live/cert.pem', { content: 'old' })
})
afterEach(() => stage[Symbol.asyncDispose]())

const away = () => new SamovarError('engine-unreachable', 'the Docker Engine did not answer')
const ifChanged = { volume: 'certificates', path: 'live' }
const steps = (id: string) => stage.journal.steps(id).map(({ name, result }) => `${name} ${result}`)
const detailOf = (id: string, name: string) =>
  stage.journal.steps(id).findLast((step) => step.name === name)?.detail
const onlyWeb = ['story-web-1 1.0.0 running']

describe('a job that succeeds', () => {
  test('is reloaded after, leaves its log in the journal and nothing on the host', async () => {
    const operation = await runStory(stage, 'renews')
    expect(operation).toMatchObject({ kind: 'job', result: 'applied', service: 'certbot' })
    expect(operation.reason).toContain('reloaded web: healthy')
    expect(heard).toEqual(['SIGHUP'])
    expect(steps(operation.id)).toEqual([
      'preflight done',
      'create done',
      'run done',
      'afterwards done',
      'take away done',
    ])
    expect(detailOf(operation.id, 'take away')).toBe('it wrote:\nrenewed')
    expect(await stage.seen()).toEqual(onlyWeb)
    expect(stage.host.files(volume).get('live/cert.pem')?.content).toBe('new')
  })

  test('restarts what asks for it: the same container, running again', async () => {
    const [before] = await stage.host.engine.observe('story')
    const operation = await runStory(stage, 'renews', { afterwards: { reload: [], restart: ['web'] } })
    expect(operation).toMatchObject({ result: 'applied', reason: expect.stringContaining('restarted web') })
    expect(stage.host.calls).toEqual(expect.arrayContaining(['stop story-web-1', 'startAgain story-web-1']))
    expect(heard).toEqual([])
    const [after] = await stage.host.engine.observe('story')
    expect(after).toMatchObject({ instance: before?.instance, state: 'running' })
  })

  test('has nothing to reload when that service stands stopped', async () => {
    const [web] = await stage.host.engine.observe('story')
    if (web !== undefined) await stage.host.engine.stop(web)
    const operation = await runStory(stage, 'renews')
    expect(operation).toMatchObject({
      result: 'applied',
      reason: 'web does not run, so there was nothing to reload',
    })
    expect(await stage.seen()).toEqual(['story-web-1 1.0.0 exited'])
  })
})

describe('ifChanged', () => {
  test('nobody is touched when the job changed nothing there, and the journal says so', async () => {
    const operation = await runStory(stage, 'nothing', { afterwards: { ifChanged } })
    expect(operation).toMatchObject({
      result: 'applied',
      reason: 'nothing in certificates/live has changed: web was not touched',
    })
    expect(heard).toEqual([])
  })

  test('a new certificate is read', async () => {
    expect((await runStory(stage, 'renews', { afterwards: { ifChanged } })).result).toBe('applied')
    expect(heard).toEqual(['SIGHUP'])
  })

  test('what changes beside the path does not count', async () => {
    const other = { volume: 'certificates', path: 'elsewhere' }
    expect((await runStory(stage, 'renews', { afterwards: { ifChanged: other } })).result).toBe('applied')
    expect(heard).toEqual([])
  })

  test('a certificate that a run renewed before it was killed is read after the next one', async () => {
    const engine = stage.engine({
      ended: async () => {
        throw away()
      },
    })
    await runStory(stage, 'renews', { afterwards: { ifChanged } }, { engine })
    const operation = stage.journal.unfinished()[0]
    if (operation === undefined) throw new Error('the job is not cut short')
    // As if it had been killed while it ran.
    stage.host.byHand('certbot', (container) => Object.assign(container, { state: 'running' }))
    expect(await resumeStory(stage)).toMatchObject({ result: 'untouched' })
    expect(heard).toEqual([])
    expect(await runStory(stage, 'nothing', { afterwards: { ifChanged } })).toMatchObject({
      result: 'applied',
    })
    expect(heard).toEqual(['SIGHUP'])
    await runStory(stage, 'nothing', { afterwards: { ifChanged } })
    expect(heard).toEqual(['SIGHUP'])
  })
})

describe('a job that fails', () => {
  test('touches nobody, and says its exit code and its last line, without secrets', async () => {
    const mask = (text: string) => text.replaceAll('hunter2', '***')
    const operation = await runStory(stage, 'fails', {}, { mask })
    expect(operation).toMatchObject({
      result: 'untouched',
      reason: 'exit code 1 after 0 ms: the server says no, token ***',
    })
    expect(heard).toEqual([])
    expect(steps(operation.id)).toEqual(['preflight done', 'create done', 'run failed', 'take away done'])
    expect(detailOf(operation.id, 'take away')).toBe('it wrote:\nasking\nthe server says no, token ***')
    expect(await stage.seen()).toEqual(onlyWeb)
  })

  test('is stopped at its time limit', async () => {
    const began = stage.now()
    const operation = await runStory(stage, 'never', { timeout: 60_000 })
    expect(operation).toMatchObject({
      result: 'untouched',
      reason: 'it was stopped at its time limit of 60 s',
    })
    expect(operation.intent.job).toMatchObject({ cutShort: false })
    expect(stage.now() - began).toBe(60_000)
    expect(stage.host.calls).toContain(`stop story-certbot-run`)
    expect(await stage.seen()).toEqual(onlyWeb)
  })

  test('says what it needs that does not run, before a container is made', async () => {
    const needs = [{ service: 'dns', condition: 'service_started' as const, restart: false, required: true }]
    const operation = await runStory(stage, 'renews', { body: { needs } })
    expect(operation).toMatchObject({
      result: 'untouched',
      reason: 'it needs dns, which has no container; next: samovar status says why dns does not run',
    })
    expect(stage.host.calls).not.toContain('create certbot')
  })

  test('does not work on data that is only half put back', async () => {
    stage.journal.markDirty(['web'], { operation: 'x', backup: 'b1', at: 0 })
    const operation = await runStory(stage, 'renews')
    expect(operation).toMatchObject({
      result: 'untouched',
      reason: 'the data of web is only half put back, so nothing works on it; next: samovar restore b1',
    })
  })

  test('a service that is not well after its reload makes the job fail, with the next step', async () => {
    stage.publish('web', '1.0.0', {
      hearsSignal: () => stage.publish('web', '1.0.0', { health: 'unhealthy' }),
    })
    const operation = await runStory(stage, 'renews', { afterwards: { ifChanged } })
    expect(operation.result).toBe('untouched')
    expect(operation.reason).toMatch(
      /^the job itself succeeded, but web is not healthy after the reload: container is unhealthy.*; next: look at it/,
    )
    // Nobody has read the new certificate yet: the next run tells web again, though it changes nothing.
    stage.publish('web', '1.0.0', { hearsSignal: (name) => void heard.push(name) })
    expect((await runStory(stage, 'nothing', { afterwards: { ifChanged } })).result).toBe('applied')
    expect(heard).toEqual(['SIGHUP'])
  })
})

describe('a job that is cut short', () => {
  test('by a kill: its container is stopped and taken away, and it has failed', async () => {
    const engine = stage.engine({
      ended: async () => {
        throw away()
      },
    })
    expect(await runStory(stage, 'never', {}, { engine })).toMatchObject({ result: 'running' })
    expect(await stage.seen()).toEqual(['story-certbot-run 3.0.0 running', ...onlyWeb])
    const operation = await resumeStory(stage)
    expect(operation).toMatchObject({ result: 'untouched', reason: 'Samovar was cut short while it ran' })
    expect(operation.intent.job?.cutShort).toBe(true)
    expect(heard).toEqual([])
    expect(await stage.seen()).toEqual(onlyWeb)
  })

  test('by a kill when it was over: it counts as what it was, and the reload is not forgotten', async () => {
    const engine = stage.engine({
      signal: async () => {
        throw away()
      },
    })
    await runStory(stage, 'renews', { afterwards: { ifChanged } }, { engine })
    expect(heard).toEqual([])
    expect(await resumeStory(stage)).toMatchObject({ result: 'applied' })
    expect(heard).toEqual(['SIGHUP'])
    expect(await stage.seen()).toEqual(onlyWeb)
  })

  test('by a kill in the middle of a restart: the service runs again', async () => {
    const engine = stage.engine({
      startAgain: async () => {
        throw away()
      },
    })
    await runStory(stage, 'renews', { afterwards: { reload: [], restart: ['web'] } }, { engine })
    expect(await stage.seen()).toContain('story-web-1 1.0.0 exited')
    await resumeStory(stage)
    expect(await stage.seen()).toEqual(onlyWeb)
  })

  test('by a newer commit that changes it: a job that hangs does not keep its own fix waiting', async () => {
    const newer = new AbortController()
    stage.clock.at(stage.clock.now() + 5_000, () =>
      newer.abort(new Error('a newer commit (abcdef01) changes renew')),
    )
    const operation = await runStory(stage, 'never', {}, { newer: newer.signal })
    expect(operation.reason).toMatch(/^it was stopped after 5 s: a newer commit \(abcdef01\) changes renew$/)
    expect(operation.intent.job?.cutShort).toBe(true)
    expect(await stage.seen()).toEqual(onlyWeb)
  })

  test('by the end of the process: nothing of it is left running', async () => {
    const stopping = new AbortController()
    stage.clock.at(stage.clock.now() + 5_000, () => stopping.abort())
    const operation = await runStory(stage, 'never', {}, { stopping: stopping.signal })
    expect(operation).toMatchObject({ result: 'untouched' })
    expect(operation.reason).toMatch(/^it was stopped after 5 s, since Samovar was told to stop$/)
    expect(operation.intent.job?.cutShort).toBe(true)
    expect(await stage.seen()).toEqual(onlyWeb)
  })

  test('what a run could not take away then is gone before the next one begins', async () => {
    const engine = stage.engine({
      removeOneOffs: async () => {
        throw new SamovarError('engine-refused', 'it still runs')
      },
    })
    expect(await runStory(stage, 'never', { timeout: 1_000 }, { engine })).toMatchObject({
      reason: expect.stringContaining('and then: it still runs'),
    })
    expect(await stage.seen()).toContain('story-certbot-run 3.0.0 exited')
    expect((await runStory(stage, 'nothing')).result).toBe('applied')
    expect(await stage.seen()).toEqual(onlyWeb)
  })

  test('nothing that a container wrote is recorded when nobody knows any more what is secret', async () => {
    const operation = await runStory(stage, 'fails', {}, { secretsKnown: false })
    expect(JSON.stringify([operation, stage.journal.steps(operation.id)])).not.toContain('hunter2')
  })
})

test('the log is bounded: its last 200 lines, 64 KiB at most', async () => {
  const lines = Array.from({ length: 1_000 }, (_, at) => `${at} ${'x'.repeat(1_000)}`)
  const engine = stage.engine({ logs: async (_instance, count) => lines.slice(-count) })
  const operation = await runStory(stage, 'nothing', {}, { engine })
  const log = detailOf(operation.id, 'take away') ?? ''
  expect(Buffer.byteLength(log)).toBeLessThan(65 * 1024)
  expect(log.split('\n')[1]).toMatch(/^\d+ x/)
  expect(log.endsWith(`999 ${'x'.repeat(1_000)}`)).toBe(true)
})

test.each([
  ['the log', `hunter2${'y'.repeat(64 * 1024 - 3)}`],
  ['the reason', `${'y'.repeat(297)}hunter2`],
])('a secret is taken out before %s is cut: half of one is not shown either', async (_what, line) => {
  const mask = (text: string) => text.replaceAll('hunter2', '***')
  const engine = stage.engine({ logs: async () => [line] })
  const operation = await runStory(stage, 'fails', {}, { engine, mask })
  const all = JSON.stringify([operation, stage.journal.steps(operation.id)])
  expect(all).toContain('yyy')
  expect(all).not.toMatch(/hun|er2/)
})

test('a hundred runs do not stay in the journal, but the last success does', async () => {
  certbot(stage)
  const good = await runStory(stage, 'nothing')
  expect(good.result).toBe('applied')
  for (let at = 0; at < 60; at += 1) await runStory(stage, 'never', { timeout: 1_000 })
  stage.journal.forgetOldRuns('renew')
  expect(stage.journal.history(1_000).filter((each) => each.kind === 'job')).toHaveLength(51)
  expect(stage.journal.lastJobSuccesses()).toMatchObject([{ job: 'renew', id: good.id }])
  expect(stage.journal.lastJobRuns()).toMatchObject([{ job: 'renew', result: 'untouched' }])
})
