import { afterEach, beforeEach, expect, test } from 'vitest'
import { planDocument } from '../../reconciler/documents.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import { hostFile, openStage, type Stage, serviceFile } from '../pull-requests/stage.ts'

const minute = 60_000
const windows = `timezone: Europe/Berlin
windows:
  weekly: { opens: "15 3 * * 0", for: 2h }
  exams: { opens: "0 8 23 11 *", for: 5d, kind: deny }
`
const compose = 'services:\n  web: { image: "registry.example.com/web:none" }\n'
const web = 'desired-state/services/web.yaml'

let stage: Stage
/** The time of day on this host, in milliseconds since 1970. */
let now: number
/** How long the start of a new version takes. */
let slow = 0

const at = (text: string): void => {
  now = Date.parse(text)
}

beforeEach(async () => {
  slow = 0
  at('2026-11-16T12:00:00+01:00')
  stage = await openStage(
    {
      'compose/compose.yaml': compose,
      'desired-state/host.yaml': hostFile(windows),
      [web]: serviceFile('1.0.0'),
    },
    {
      engine: ({ engine }) => ({
        start: async (...about) => {
          now += slow
          return engine.start(...about)
        },
      }),
    },
  )
  stage.parts.now = () => now
  await stage.pass()
})
afterEach(() => stage[Symbol.asyncDispose]())

const running = async () => (await stage.host.engine.observe('site')).map((each) => each.image.tag)

/** A pass each minute, up to the one that does something. */
async function passEachMinute(most: number): Promise<Operation> {
  for (let passed = 0; passed < most; passed += 1) {
    const { operations } = await stage.pass()
    if (operations[0] !== undefined) return operations[0]
    now += minute
  }
  throw new Error(`nothing was done in ${most} minutes`)
}

const told = async () => {
  const { plan } = await stage.pass()
  const [change] = planDocument(plan).changes
  return { held: change?.held, startsAt: change?.startsAt }
}

test('while a window denies nothing starts, in the minute in which it ends it does', async () => {
  await stage.commit({ [web]: serviceFile('1.1.0') })
  at('2026-11-23T09:00:00+01:00')
  expect(await told()).toEqual({
    held: 'the window "exams" denies changes until Sat 2026-11-28 08:00 and it starts then; next: wait, or samovar apply --now',
    startsAt: '2026-11-28T07:00:00.000Z',
  })
  expect(await running()).toEqual(['1.0.0'])
  at('2026-11-28T07:57:00+01:00')
  const operation = await passEachMinute(10)
  expect(new Date(operation.startedAt).toISOString()).toBe('2026-11-28T07:00:00.000Z')
  expect(await running()).toEqual(['1.1.0'])
})

test('what waits for its own window waits for the end of one that denies, too; --now waits for neither', async () => {
  await stage.commit({ [web]: serviceFile('1.1.0', 'update: { window: weekly }\n') })
  at('2026-11-23T09:00:00+01:00')
  expect(await told()).toMatchObject({ startsAt: '2026-11-29T02:15:00.000Z' })
  expect(await stage.pass(true)).toMatchObject({ operations: [{ result: 'applied' }] })
  expect(await running()).toEqual(['1.1.0'])
})

test('what broke on the host is mended while a window denies', async () => {
  at('2026-11-23T09:00:00+01:00')
  stage.host.byHand('web', (each) => {
    each.state = 'exited'
  })
  expect(await stage.pass()).toMatchObject({ operations: [{ kind: 'start', result: 'applied' }] })
})

test('a roll-out that took twenty minutes last time is not started fifteen minutes before its window closes', async () => {
  slow = 20 * minute
  const weekly = 'update: { window: weekly }\n'
  await stage.commit({ [web]: serviceFile('1.1.0', weekly) })
  at('2026-11-22T03:15:00+01:00')
  expect(await stage.pass()).toMatchObject({ operations: [{ result: 'applied' }] })
  await stage.commit({ [web]: serviceFile('1.2.0', weekly) })
  at('2026-11-22T05:00:00+01:00')
  expect(await told()).toEqual({
    held: 'would take about 20 min, and the window "weekly" closes at Sun 2026-11-22 05:15; starts at Sun 2026-11-29 03:15; next: wait, or samovar apply --now',
    startsAt: '2026-11-29T02:15:00.000Z',
  })
  at('2026-11-29T03:13:00+01:00')
  const operation = await passEachMinute(5)
  expect(new Date(operation.startedAt).toISOString()).toBe('2026-11-29T02:15:00.000Z')
})
