import { describe, expect, test } from 'vitest'
import { openJournal } from '../../reconciler/journal.ts'
import { makeTeller } from '../../reconciler/notify/tell.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const minute = 60_000

async function listen() {
  const folder = await tempFolder('tell')
  const journal = openJournal(folder.path)
  const told: string[] = []
  let now = Date.UTC(2026, 10, 22, 3)
  const say = {
    problem: (subject: string, sentence: string) => void told.push(`${subject}: ${sentence}`),
    well: (subject: string, sentence: string) => void told.push(`${subject} well: ${sentence}`),
  }
  return {
    told,
    later: (ms: number) => {
      now += ms
    },
    teller: () => makeTeller({ journal, now: () => now, say }),
    async [Symbol.asyncDispose]() {
      journal.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

describe('what is told', () => {
  test('the same failure is told once, and again after an hour as a reminder', async () => {
    await using ear = await listen()
    const teller = ear.teller()
    for (let passed = 0; passed < 130; passed += 1) {
      teller.problem('git', 'refused', 'the connection was refused')
      ear.later(minute)
    }
    expect(ear.told).toEqual([
      'git: the connection was refused',
      'git: still: the connection was refused (since 2026-11-22T03:00:00.000Z)',
      'git: still: the connection was refused (since 2026-11-22T03:00:00.000Z)',
    ])
  })

  test('another failure of the same subject is told at once', async () => {
    await using ear = await listen()
    const teller = ear.teller()
    teller.problem('git', 'refused', 'the connection was refused')
    teller.problem('git', 'denied', 'the token was denied')
    expect(ear.told).toEqual(['git: the connection was refused', 'git: the token was denied'])
  })

  test('a recovery is told once, and only when there was a failure', async () => {
    await using ear = await listen()
    const teller = ear.teller()
    teller.well('git', 'it answers again')
    teller.problem('git', 'refused', 'the connection was refused')
    teller.well('git', 'it answers again')
    teller.well('git', 'it answers again')
    expect(ear.told).toEqual(['git: the connection was refused', 'git well: it answers again'])
  })

  test('a restart does not tell it again', async () => {
    await using ear = await listen()
    ear.teller().problem('git', 'refused', 'the connection was refused')
    ear.teller().problem('git', 'refused', 'the connection was refused')
    expect(ear.told).toHaveLength(1)
  })
})
