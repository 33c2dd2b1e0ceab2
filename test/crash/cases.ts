import { expect } from 'vitest'
import type { Kill, Ran } from './child.ts'
import { type CrashHost, killInWords } from './crash-host.ts'
import { brokenPromises, type Expected } from './promises.ts'

export type Case = {
  /** One process after the other is killed so; then one is left alone. */
  kills: Kill[]
  /** The run without a kill, for words. */
  usual: Ran
  prepare: () => Promise<Expected>
}

/** Kills, lets the next process recover, and answers each broken promise with the case it broke in. */
export async function crashCase(host: CrashHost, { kills, usual, prepare }: Case): Promise<string[]> {
  const words = kills.map((kill) => killInWords(kill, usual)).join(', then ')
  const expected = await prepare()
  for (const kill of kills) {
    const { killed } = await host.run({ kill })
    if (!killed && kill.at !== 'time') return [`${words}: never came there, so nothing was killed`]
  }
  try {
    const { reports } = await host.run({ passes: 2 })
    return (await brokenPromises(host, expected, reports)).map((each) => `killed ${words}: ${each}`)
  } catch (error) {
    return [`killed ${words}: ${String(error)}`]
  }
}

/** Milliseconds that a test of many cases may take on a busy machine; on a quiet one it takes a tenth of that. */
export const patience = 900_000

/** Runs the cases one after the other and says how it went in one line. */
export async function crashCases(host: CrashHost, title: string, cases: Case[]): Promise<void> {
  const broken: string[] = []
  let recovered = 0
  const began = performance.now()
  const killsBefore = host.kills
  for (const each of cases) {
    const found = await crashCase(host, each)
    broken.push(...found)
    if (found.length === 0) recovered += 1
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  const kills = host.kills - killsBefore
  console.log(`crash: ${title}: ${cases.length} cases, ${kills} kills, ${recovered} recovered, ${seconds} s`)
  expect(broken).toEqual([])
}
