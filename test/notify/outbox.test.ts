import { afterEach, beforeEach, expect, test } from 'vitest'
import { SamovarError } from '../../reconciler/errors.ts'
import type { Notification } from '../../reconciler/journal/notifications.ts'
import { sendDue } from '../../reconciler/notify/outbox.ts'
import { openPeople, type People } from './people.ts'

let people: People
beforeEach(async () => {
  people = await openPeople([
    { mail: ['a@a'], on: ['stuck'] },
    { mail: ['b@b'], on: ['stuck'] },
  ])
})
afterEach(() => people[Symbol.asyncDispose]())

const away = () => new SamovarError('notify-unreachable', 'it does not answer')
const refused = () => new SamovarError('notify-refused', 'it is not taken')
const happen = (service: string) => people.told({ service, result: 'stuck' })

/** One round; answers what was tried, as `a@a web`. */
async function round(
  send: (recipient: string) => Promise<void> = () => Promise.resolve(),
  signal = new AbortController().signal,
): Promise<string[]> {
  const tried: string[] = []
  await sendDue(people.journal, {
    now: people.now,
    signal,
    async send({ recipient, content }: Notification) {
      const { news } = JSON.parse(content) as { news: { about: string } }
      tried.push(`${recipient.replace('mail ', '')} ${news.about}`)
      await send(recipient)
    },
    told: { sent: () => undefined, failed: () => undefined, gaveUp: () => undefined },
  })
  return tried
}

test('each gets its messages in their order', async () => {
  for (const service of ['one', 'two']) happen(service)
  const tried = await round()
  expect(tried.filter((each) => each.startsWith('a@a'))).toEqual(['a@a one', 'a@a two'])
  expect(tried.filter((each) => each.startsWith('b@b'))).toEqual(['b@b one', 'b@b two'])
  expect(await round()).toEqual([])
})

test('who cannot be reached is tried once a round, with growing pauses, and the others are not kept', async () => {
  for (const service of ['one', 'two']) happen(service)
  const only = (recipient: string) => (recipient === 'mail a@a' ? Promise.reject(away()) : Promise.resolve())
  expect((await round(only)).sort()).toEqual(['a@a one', 'b@b one', 'b@b two'])
  const pauses: number[] = []
  for (let tries = 0; tries < 14; tries += 1) {
    expect(await round(only)).toEqual([])
    const pause = (people.journal.nextNotificationAt() ?? 0) - people.now()
    pauses.push(pause / 1_000)
    people.pause(pause)
    expect(await round(only)).toEqual(['a@a one'])
  }
  expect(pauses).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900])
  people.pause(900_000)
  expect(await round()).toEqual(['a@a one', 'a@a two'])
})

test('a message that is refused keeps the next one for the same recipient from nothing', async () => {
  for (const service of ['one', 'two']) happen(service)
  let count = 0
  const first = (recipient: string) => {
    if (recipient === 'mail b@b') return Promise.resolve()
    count += 1
    return count === 1 ? Promise.reject(refused()) : Promise.resolve()
  }
  const tried = await round(first)
  expect(tried.filter((each) => each.startsWith('a@a'))).toEqual(['a@a one', 'a@a two'])
  expect(people.journal.waitingNotifications()).toMatchObject([
    { recipient: 'mail a@a', problem: 'it is not taken' },
  ])
})

test('two recipients are told at the same time: one that hangs keeps only itself', async () => {
  happen('one')
  const hang = Promise.withResolvers<void>()
  const going = round((recipient) => {
    if (recipient === 'mail a@a') return hang.promise
    hang.resolve()
    return Promise.resolve()
  })
  expect((await going).sort()).toEqual(['a@a one', 'b@b one'])
})

test('what was cut by the end of the process is not counted against anybody', async () => {
  happen('one')
  const stopping = new AbortController()
  await round(() => {
    stopping.abort()
    return Promise.reject(new SamovarError('interrupted', 'cut short'))
  }, stopping.signal)
  expect(people.journal.waitingNotifications()).toMatchObject([
    { attempts: 0, problem: '' },
    { attempts: 0, problem: '' },
  ])
  expect((await round()).sort()).toEqual(['a@a one', 'b@b one'])
})
