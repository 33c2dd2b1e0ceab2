import { afterEach, beforeEach, expect, test } from 'vitest'
import { SamovarError } from '../../reconciler/errors.ts'
import { type Deliver, deliverDue } from '../../reconciler/gitea/outbox.ts'
import { type Journal, openJournal } from '../../reconciler/journal.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'

let folder: TempFolder
let journal: Journal
let now = 0
let dropped: string[] = []
beforeEach(async () => {
  folder = await tempFolder('deliver')
  journal = openJournal(folder.path)
  now = 0
  dropped = []
})
afterEach(async () => {
  journal.close()
  await folder[Symbol.asyncDispose]()
})

const day = 24 * 60 * 60_000
const say = (subject: string, content: unknown) =>
  journal.post({ kind: 'note', subject, slot: 'only', content }, now)
const round = (note: Deliver) =>
  deliverDue(journal, {
    deliver: { note },
    now: () => now,
    signal: new AbortController().signal,
    told: { dropped: (message, why) => dropped.push(`${message.subject}: ${why}`) },
  })
const away = () => new SamovarError('forge-unreachable', 'Gitea does not answer')
const refused = () => new SamovarError('forge-refused', 'Gitea says 404')

test('everything that waits is said, in its order, and then nothing waits', async () => {
  const said: unknown[] = []
  for (const each of [1, 2, 3]) say(`about ${each}`, each)
  expect(await round(async (content) => void said.push(content))).toBe('answers')
  expect([said, journal.waitingMessages()]).toEqual([[1, 2, 3], []])
  expect(await round(async () => undefined)).toBe(null)
})

test('a Gitea that is away is asked once a round, with growing pauses, and nothing is lost', async () => {
  let asked = 0
  const fail = async () => {
    asked += 1
    throw away()
  }
  for (const each of [1, 2, 3]) say(`about ${each}`, each)
  expect(await round(fail)).toBe('away')
  expect([asked, journal.waitingMessages().length]).toEqual([1, 3])
  const pauses: number[] = []
  for (let tried = 0; tried < 12; tried += 1) {
    const [first] = journal.waitingMessages()
    pauses.push((first?.nextAt ?? 0) - now)
    now = first?.nextAt ?? 0
    journal.takeMessage(first?.id ?? 0)
    journal.notDelivered(2, { problem: '', nextAt: now + day, refusedAt: null })
    journal.notDelivered(3, { problem: '', nextAt: now + day, refusedAt: null })
    await round(fail)
  }
  expect(pauses.slice(0, 3)).toEqual([2_000, 4_000, 8_000])
  expect(Math.max(...pauses)).toBe(5 * 60_000)
  expect(journal.waitingMessages().map((each) => each.subject)).toEqual(['about 1', 'about 2', 'about 3'])
})

test('when Gitea answers again, what had a long pause before it goes out at once', async () => {
  for (const each of [1, 2]) say(`about ${each}`, each)
  journal.notDelivered(2, { problem: 'away', nextAt: day, refusedAt: null })
  journal.notDelivered(1, { problem: 'away', nextAt: 10, refusedAt: null })
  now = 10
  const said: unknown[] = []
  await round(async (content) => void said.push(content))
  expect(said).toEqual([1, 2])
})

test('one that is refused keeps no other waiting, and is given up after two weeks, aloud', async () => {
  for (const each of [1, 2]) say(`about ${each}`, each)
  const said: unknown[] = []
  const note = async (content: unknown) => {
    if (content === 1) throw refused()
    said.push(content)
  }
  expect(await round(note)).toBe('answers')
  expect([said, journal.waitingMessages().map((each) => each.problem)]).toEqual([[2], ['Gitea says 404']])
  now = 15 * day
  await round(note)
  expect([dropped, journal.waitingMessages()]).toEqual([['about 1: Gitea says 404'], []])
})

test('one that Gitea was away for is never given up', async () => {
  say('about 1', 1)
  now = 100 * day
  await round(async () => {
    throw away()
  })
  expect(journal.waitingMessages()).toHaveLength(1)
})

test('an answer that was lost makes it come again', async () => {
  say('about 1', 1)
  const said: unknown[] = []
  await round(async (content) => {
    said.push(content)
    throw away()
  })
  now = 10_000
  await round(async (content) => void said.push(content))
  expect(said).toEqual([1, 1])
})

test('one that always fails is taken for refused when Gitea answers others: it keeps none waiting', async () => {
  const said: unknown[] = []
  const note = async (content: unknown) => {
    if (content === 2) throw away()
    said.push(content)
  }
  for (const each of [1, 2, 3]) say(`about ${each}`, each)
  expect(await round(note)).toBe('answers')
  expect([said, journal.waitingMessages().map((each) => [each.attempts, each.refusedAt])]).toEqual([
    [1, 3],
    [[1, 0]],
  ])
})

test('a refusal does not wake what waits for Gitea', async () => {
  for (const each of [1, 2]) say(`about ${each}`, each)
  journal.notDelivered(1, { problem: 'refused', nextAt: 0, refusedAt: 0 })
  journal.notDelivered(2, { problem: 'away', nextAt: day, refusedAt: null })
  let asked = 0
  await round(async () => {
    asked += 1
    throw refused()
  })
  expect([asked, journal.waitingMessages()[1]?.nextAt]).toEqual([1, day])
})

test('the two weeks begin with the first refusal, not while Gitea was away', async () => {
  say('about 1', 1)
  await round(async () => {
    throw away()
  })
  now = 20 * day
  const refuse = async () => {
    throw refused()
  }
  await round(refuse)
  expect([dropped, journal.waitingMessages().length]).toEqual([[], 1])
  now = 35 * day
  await round(refuse)
  expect(dropped).toEqual(['about 1: Gitea says 404'])
})

test('what fails for a reason of its own is given up after a day', async () => {
  say('about 1', 1)
  const fail = async () => {
    throw new SamovarError('not-found', 'too many files')
  }
  await round(fail)
  now = 2 * day
  await round(fail)
  expect(dropped).toEqual(['about 1: too many files'])
})
