import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Journal, openJournal } from '../../reconciler/journal.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'

let folder: TempFolder
let journal: Journal
beforeEach(async () => {
  folder = await tempFolder('outbox')
  journal = openJournal(folder.path)
})
afterEach(async () => {
  journal.close()
  await folder[Symbol.asyncDispose]()
})

const post = (slot: string, content: unknown, now = 0, subject = 'status abc') =>
  journal.post({ kind: 'status', subject, slot, content }, now)
const contents = () => journal.waitingMessages().map((each) => JSON.parse(each.content) as unknown)

test('a newer message takes the place of one that waits in its slot, and of no other', () => {
  post('samovar/web', 'pending')
  post('samovar/host', 'pending')
  expect(post('samovar/web', 'success')).toBe(true)
  expect(contents()).toEqual(['pending', 'success'])
  expect(journal.waitingMessages().map((each) => each.slot)).toEqual(['samovar/host', 'samovar/web'])
})

test('the same is not said twice, neither while it waits nor when it was delivered', () => {
  expect([post('a', 'x'), post('a', 'x')]).toEqual([true, false])
  const [message] = journal.dueMessages(0, 10)
  journal.takeMessage(message?.id ?? 0)
  journal.delivered(message as NonNullable<typeof message>, 5)
  expect([contents(), post('a', 'x'), post('a', 'y')]).toEqual([[], false, true])
})

test('what is being delivered is followed by a newer one, not replaced under way', () => {
  post('a', 'pending')
  const [first] = journal.dueMessages(0, 10)
  expect(journal.takeMessage(first?.id ?? 0)).toBe(true)
  post('a', 'success')
  expect(contents()).toEqual(['pending', 'success'])
  journal.delivered(first as NonNullable<typeof first>, 1)
  expect(contents()).toEqual(['success'])
})

test('of one subject only the oldest is due, so that its messages arrive in their order', () => {
  post('a', 1)
  post('b', 2)
  post('a', 3, 0, 'comment 7')
  expect(journal.dueMessages(0, 10).map((each) => each.subject)).toEqual(['status abc', 'comment 7'])
  const [first] = journal.dueMessages(0, 10)
  journal.notDelivered(first?.id ?? 0, { problem: 'away', nextAt: 500, refusedAt: null })
  expect(journal.dueMessages(0, 10).map((each) => each.subject)).toEqual(['comment 7'])
  expect(journal.nextMessageAt()).toBe(0)
  journal.tryMessagesNow(100)
  expect(journal.dueMessages(100, 10).map((each) => [each.slot, each.attempts])).toEqual([
    ['a', 1],
    ['a', 0],
  ])
})

test('what waits is there after the process ended, and what it had begun can be replaced again', () => {
  post('a', 'pending')
  journal.takeMessage(journal.dueMessages(0, 1)[0]?.id ?? 0)
  journal.close()
  journal = openJournal(folder.path)
  journal.releaseMessages()
  post('a', 'success')
  expect(contents()).toEqual(['success'])
})
