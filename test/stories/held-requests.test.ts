import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Engine, ImageReference } from '../../reconciler/engine/engine.ts'
import { SamovarError } from '../../reconciler/errors.ts'
import type { Flag } from '../../reconciler/hold-requests.ts'
import type { DataIntent } from '../../reconciler/journal/operation.ts'
import { holdRequests } from '../../reconciler/rollout/hold-requests.ts'
import type { UpdatePage } from '../../reconciler/update-page.ts'
import { openStage, type Stage, type Wish } from './stage.ts'

let stage: Stage
let better: ImageReference
/** What a proxy would have read at each call that starts or stops something: `start: held`. */
let seen: string[]

beforeEach(async () => {
  stage = await openStage()
  await stage.rollOut(stage.publish('web', '1.0.0'), { health: { soak: 0 } })
  await stage.rollOut(stage.publish('app', '1.0.0'), { service: 'app', health: { soak: 0 } })
  better = stage.publish('web', '1.1.0')
  seen = []
})
afterEach(() => stage[Symbol.asyncDispose]())

const wish: Wish = { hold: 20_000, health: { soak: 0 } }
const inHoldFolder = (name: string) => join(stage.work().holdDir, name)

function flag(): Flag | null {
  if (!existsSync(inHoldFolder('flag.json'))) return null
  return JSON.parse(readFileSync(inHoldFolder('flag.json'), 'utf8')) as Flag
}

const page = () => JSON.parse(readFileSync(inHoldFolder('now.json'), 'utf8')) as UpdatePage

/** As compose/nginx/gate.js judges. */
function stateNow(): string {
  const now = stage.now()
  const found = flag()
  if (found === null || now >= found.endsAt) return 'pass'
  if (found.opensAt !== null && now >= found.opensAt) return 'pass'
  return now < found.holdUntil ? 'held' : '503'
}

/** The engine, with a look at the flag whenever something is stopped or started. */
function watched(): Engine {
  const names = ['stop', 'setAside', 'start', 'startAgain', 'removeCandidate', 'bringBack'] as const
  const entries = names.map((name) => [
    name,
    (...input: unknown[]) => {
      seen.push(`${name}: ${stateNow()}`)
      return (stage.host.engine[name] as (...given: unknown[]) => unknown)(...input)
    },
  ])
  return stage.engine(Object.fromEntries(entries) as Partial<Engine>)
}

/** What is started gets healthy after a while, and may end by itself. */
function slowly({ healthyAfter = 0, endsAfter = Number.POSITIVE_INFINITY }): Partial<Engine> {
  const started = new Map<string, number>()
  return {
    start(operation, candidate) {
      started.set(candidate.instance, stage.now())
      return stage.host.engine.start(operation, candidate)
    },
    async inspect(instance) {
      const real = await stage.host.engine.inspect(instance)
      const age = stage.now() - (started.get(instance) ?? Number.NEGATIVE_INFINITY)
      if (!Number.isFinite(age)) return real
      if (age >= endsAfter) return { ...real, state: 'exited', exitCode: 1 }
      return age < healthyAfter ? { ...real, health: 'starting' } : real
    },
  }
}

const stepsOf = (id: string) => stage.journal.steps(id).map((each) => each.name)

test('requests are held from before the old version stops until the new one answers', async () => {
  const operation = await stage.rollOut(better, wish, { engine: watched() })
  expect(operation.result).toBe('applied')
  expect(seen).toEqual(['setAside: held', 'start: held'])
  const steps = stepsOf(operation.id)
  expect(steps.slice(steps.indexOf('quiesce'), steps.indexOf('start'))).toEqual([
    'quiesce',
    'hold requests',
    'set aside',
  ])
  for (const name of ['flag.json', 'now.json', 'now.html']) expect(existsSync(inHoldFolder(name))).toBe(false)
})

test('what passed the proxy a moment before reaches the old version: it is not told to stop at once', async () => {
  let heldFor = 0
  const setAside: Engine['setAside'] = (kept) => {
    heldFor = stage.now() - ((flag()?.holdUntil ?? Number.NaN) - 20_000)
    return stage.host.engine.setAside(kept)
  }
  await stage.rollOut(better, wish, { engine: stage.engine({ setAside }) })
  expect(heldFor).toBeGreaterThanOrEqual(200)
})

test('they pass with the first healthy answer and not only when that was steady; two seconds after the stop at least', async () => {
  const looks: [number, string][] = []
  const began = stage.now()
  for (let at = 0; at <= 20_000; at += 500)
    stage.clock.at(stage.clock.now() + at, () => looks.push([stage.now() - began, stateNow()]))
  await stage.rollOut(better, { ...wish, health: { soak: 0, steady: 30_000 } })
  const held = looks.filter(([, state]) => state === 'held').map(([at]) => at)
  expect(held.length).toBeGreaterThan(2)
  expect(Math.max(...held)).toBeGreaterThanOrEqual(1_500)
  expect(Math.max(...held)).toBeLessThan(4_000)
})

test('a service that does not wish it has no step for it and leaves no file', async () => {
  const operation = await stage.rollOut(better, { health: { soak: 0 } })
  expect(stepsOf(operation.id).join()).not.toContain('requests')
  expect(existsSync(stage.work().holdDir)).toBe(false)
})

test('what took longer than `hold` before is not waited for, and the page says what to expect', async () => {
  const slow = stage.publish('web', '1.2.0')
  await stage.rollOut(slow, wish, { engine: stage.engine(slowly({ healthyAfter: 31_000 })) })
  const operation = await stage.rollOut(better, wish, { engine: watched() })
  expect(seen).toEqual(['setAside: 503', 'start: 503'])
  const told = stage.journal.steps(operation.id).find((each) => each.name === 'hold requests')
  expect(told?.detail).toMatch(/expected to take 3\d s, more than 20 s: requests are answered 503 meanwhile/)
})

test('the page says from, to, since and how long the last ones took, and nothing of the configuration', async () => {
  const engine = stage.engine(slowly({ healthyAfter: 6_000 }))
  await stage.rollOut(stage.publish('web', '1.2.0'), wish, { engine })
  let seenPage: UpdatePage | null = null
  let html = ''
  const setAside: Engine['setAside'] = (kept) => {
    seenPage = page()
    html = readFileSync(inHoldFolder('now.html'), 'utf8')
    return stage.host.engine.setAside(kept)
  }
  await stage.rollOut(better, wish, { engine: stage.engine({ setAside }) })
  expect(seenPage).toMatchObject({
    service: 'web',
    from: '1.2.0',
    to: '1.1.0',
    since: expect.stringMatching(/Z$/),
  })
  expect(Object.keys(seenPage ?? {}).sort()).toEqual(
    ['expectedSeconds', 'from', 'lastSeconds', 'retryAfter', 'service', 'since', 'to'].sort(),
  )
  expect(html).toMatch(
    /web is being updated to 1\.1\.0[^]*expected to take \d+ s \(the last one took \d+ s\)/,
  )
})

/** What the step says when the service has data that takes so long to copy. */
async function saidWithData(estimate: number | null, data: Partial<DataIntent> = {}): Promise<string> {
  const { wanted } = await stage.order(better, wish)
  const unit = { owners: ['web'], while: 'stopped', restore: true, backup: null, estimate, ...data }
  wanted.intent.data = unit as DataIntent
  const operation = stage.journal.beginOperation(wanted, stage.now())
  return stage.clock.runOut(holdRequests(stage.work(), operation))
}

test('a service that stands still for the copy of much data is not held; for little data, or a copy while it runs, it is', async () => {
  const isLong = /expected to take .* more than 20 s: requests are answered 503 meanwhile/
  expect(await saidWithData(10e9)).toMatch(isLong)
  expect(await saidWithData(null)).toMatch(isLong)
  expect(await saidWithData(10e6)).toBe('requests wait for up to 20 s')
  expect(await saidWithData(10e9, { while: 'running' })).toBe('requests wait for up to 20 s')
})

test('how long the last copy of the same data took is what the next one is expected to take', async () => {
  const { wanted } = await stage.order(better, wish)
  wanted.intent.data = { owners: ['web'], while: 'stopped', estimate: 10e9 } as DataIntent
  const before = stage.journal.beginOperation({ ...wanted, kind: 'backup' }, stage.now())
  for (const name of ['back up', 'prove backup']) {
    const sequence = stage.journal.beginStep(before, name, stage.now())
    stage.journal.endStep(before, sequence, { ms: 4_000, result: 'done', detail: '' })
  }
  expect(await saidWithData(10e9)).toBe('requests wait for up to 20 s')
  expect(page()).toMatchObject({ expectedSeconds: 8 })
})

test('dependents whose requests are held, too: held before they stop, until they answer again', async () => {
  const operation = await stage.rollOut(
    better,
    { ...wish, dependents: ['app'], held: ['app'] },
    { engine: watched() },
  )
  expect(seen).toEqual(['stop: held', 'setAside: held', 'start: held', 'startAgain: held'])
  const steps = stepsOf(operation.id)
  expect(steps.indexOf('hold requests')).toBeLessThan(steps.indexOf('quiesce'))
  expect(steps).toContain('let requests through')
  expect(flag()).toBeNull()
})

test('on the way back requests are held until the old version answers, then nothing is held any more', async () => {
  const sick = stage.publish('web', '2.0.0', { exits: 1 })
  const operation = await stage.rollOut(sick, wish, { engine: watched() })
  expect(operation.result).toBe('reverted')
  expect(seen).toEqual(['setAside: held', 'start: held', 'removeCandidate: held', 'bringBack: held'])
  expect(flag()).toBeNull()
})

test('a version that answered for a moment only: what passed is held anew while the old one comes back', async () => {
  const engine = { ...watched(), ...slowly({ endsAfter: 8_000 }) } as Engine
  const states: string[] = []
  stage.clock.at(stage.clock.now() + 5_000, () => states.push(stateNow()))
  const sick = { hold: 20_000, health: { soak: 0, steady: 20_000 } }
  const operation = await stage.rollOut(better, sick, { engine })
  expect([operation.result, states]).toEqual(['reverted', ['pass']])
  expect(seen.slice(-2)).toEqual(['removeCandidate: held', 'bringBack: held'])
})

test('a roll-out that fails before anything is stopped holds nothing', async () => {
  stage.host.fail('create web', new SamovarError('engine-refused', 'no such network'))
  const operation = await stage.rollOut(better, wish)
  expect(operation.result).toBe('untouched')
  expect(stepsOf(operation.id).join()).not.toContain('hold requests')
  expect(flag()).toBeNull()
})

test('cut short while requests are held, the next process goes on with what is left of the time', async () => {
  stage.host.fail('start web', new SamovarError('engine-unreachable', 'the Docker Engine did not answer'))
  expect(await stage.rollOut(better, wish)).toMatchObject({ result: 'running' })
  const before = flag()
  expect(stateNow()).toBe('held')
  const [open] = stage.journal.unfinished()
  if (open === undefined) throw new Error('nothing is open')
  await stage.clock.runOut(stage.clock.sleep(5_000, new AbortController().signal))
  let during: Flag | null = null
  const start: Engine['start'] = (...words) => {
    during = flag()
    return stage.host.engine.start(...words)
  }
  expect(await stage.resume(open, { engine: stage.engine({ start }) })).toMatchObject({ result: 'applied' })
  expect(during).toMatchObject({ holdUntil: before?.holdUntil })
  expect(flag()).toBeNull()
})

test('a Samovar that never comes back holds nobody: every time in the flag is bounded', async () => {
  stage.host.fail('start web', new SamovarError('engine-unreachable', 'the Docker Engine did not answer'))
  await stage.rollOut(better, wish)
  const found = flag()
  expect((found?.holdUntil ?? Number.NaN) - stage.now()).toBeLessThanOrEqual(20_000)
  expect((found?.endsAt ?? Number.NaN) - stage.now()).toBeLessThanOrEqual(20_000 + 60_000 + 60_000)
})

test('a folder that cannot be written holds nothing, says so, and does not stop the roll-out', async () => {
  const file = `${stage.work().holdDir}-file`
  writeFileSync(file, '')
  const operation = await stage.rollOut(better, wish, { holdDir: join(file, 'hold') })
  expect(operation.result).toBe('applied')
  const told = stage.journal.steps(operation.id).find((each) => each.name === 'hold requests')
  expect(told?.detail).toMatch(/^requests are not held: /)
})
