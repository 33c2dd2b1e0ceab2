import { expect } from 'vitest'
import type { Kill, Ran } from './child.ts'
import { killInWords, thorough } from './crash-host.ts'
import type { DataHost } from './with-data-host.ts'
import { brokenDataPromises, type DataExpected, lookBetween } from './with-data-promises.ts'

/** Another one with SAMOVAR_CRASH_SEED=NUMBER. */
const seed = Number(process.env['SAMOVAR_CRASH_SEED'] ?? '1')

export type DataCase = {
  /** One process after the other is killed so; then one is left alone. */
  kills: Kill[]
  usual: Ran
  /** The same of the recovery that is killed itself. */
  recovery?: Ran
  /** What the first process does instead of a pass. */
  operation?: () => string
  prepare: () => Promise<DataExpected>
}

const wordsOf = ({ kills, usual, recovery = usual }: DataCase): string =>
  kills.map((kill, index) => killInWords(kill, index === 0 ? usual : recovery)).join(', then ')

/** Kills, looks what a user has then, lets the next process recover, and answers each broken promise. */
async function dataCase(host: DataHost, each: DataCase): Promise<string[]> {
  const { kills, operation, prepare } = each
  const words = wordsOf(each)
  try {
    const expected = await prepare()
    const broken: string[] = []
    for (const [index, kill] of kills.entries()) {
      const does = index === 0 ? operation?.() : undefined
      const { killed } = await host.run(does === undefined ? { kill } : { kill, operation: does })
      if (!killed && index === 0) return [`${words}: never came there, so nothing was killed`]
      broken.push(...(await lookBetween(host, expected)))
    }
    const { reports } = await host.run({ passes: 2 })
    broken.push(...(await brokenDataPromises(host, expected, reports)))
    return broken.map((sentence) => `killed ${words}: ${sentence}`)
  } catch (error) {
    return [`killed ${words}: ${String(error)}`]
  }
}

/** Runs the cases one after the other and says how it went in one line. */
export async function dataCases(host: DataHost, title: string, cases: DataCase[]): Promise<void> {
  const broken: string[] = []
  let recovered = 0
  const began = performance.now()
  const killsBefore = host.kills
  for (const each of cases) {
    const found = await dataCase(host, each)
    if (process.env['SAMOVAR_CRASH_SAY'] === '1')
      console.log(
        `${each.kills.map((kill) => killInWords(kill, each.usual)).join(', then ')}: ${found.length}`,
      )
    broken.push(...found)
    if (found.length === 0) recovered += 1
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  const kills = host.kills - killsBefore
  console.log(`crash: ${title}: ${cases.length} cases, ${kills} kills, ${recovered} recovered, ${seconds} s`)
  expect(broken).toEqual([])
}

/**
 * Before and after every step. Between the end of one step and the beginning of the next only the journal changes, so
 * that the ordinary run takes one of the two in turn; around what must be done once, both.
 */
export function aroundSteps(ran: Ran): Kill[] {
  const isOnce = (point: string | undefined) => /put back|decid/.test(point ?? '')
  return ran.points.flatMap((point, index) => {
    const neighbour = ran.points[index % 2 === 0 ? index - 1 : index + 1]
    const turn = Math.floor((index + 1) / 2) % 2 === index % 2
    const taken = thorough || turn || neighbour === undefined || isOnce(point) || isOnce(neighbour)
    return taken ? [{ at: 'point', number: index + 1 } as const] : []
  })
}

/** After the engine's answer to requests; of the ordinary run one in `one`, and every archive also in its middle. */
export function aroundRequests(ran: Ran, one = 3): Kill[] {
  const next = random()
  const first = Math.floor(next() * one)
  return ran.requests.flatMap((request, index) => {
    const number = index + 1
    if (thorough)
      return (['before', 'during', 'after'] as const).map((when) => ({
        at: 'request' as const,
        number,
        when,
      }))
    const kills: Kill[] = []
    if (request.startsWith('PUT')) kills.push({ at: 'request', number, when: 'during' })
    if (index % one === first) kills.push({ at: 'request', number, when: next() < 0.3 ? 'during' : 'after' })
    return kills
  })
}

/** At times within the steps of that name, spread by the seed. */
export function within(ran: Ran, step: string, times: number): Kill[] {
  const next = random()
  const number = ran.points.findIndex((point) => point.endsWith(`${step} begun`)) + 1
  if (number === 0) throw new Error(`there is no step ${step} in ${ran.points.join(', ')}`)
  const took = ran.took[number] ?? 0
  const count = thorough ? times * 4 : times
  return Array.from({ length: count }, (_, index) => ({
    at: 'point',
    number,
    later: Math.max(1, Math.round((took * (index + next())) / count)),
  }))
}

/** As `number`, counted by what is there: the first point of that name. */
export function pointOf(ran: Ran, name: string): Kill {
  const number = ran.points.findIndex((point) => point.endsWith(name)) + 1
  if (number === 0) throw new Error(`there is no point ${name} in ${ran.points.join(', ')}`)
  return { at: 'point', number }
}

/** Mulberry32: the same numbers for the same seed. */
function random(): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
