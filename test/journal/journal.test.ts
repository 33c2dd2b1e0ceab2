import { expect, test } from 'vitest'
import type { NewOperation, Operation, OperationKind } from '../../reconciler/journal/operation.ts'
import { openJournal } from '../../reconciler/journal.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const wanted = (service: string): NewOperation => ({
  service,
  kind: 'replace',
  commit: 'c0ffee',
  from: null,
  to: { name: 'web', tag: '1.1.0', digest: 'sha256:1' },
  intent: {
    members: [],
    quiesced: [],
    health: { within: 1, steady: 0, soak: 0, checks: [] },
    oldHealth: null,
    configuration: 'k1',
    reasons: [],
    drift: false,
  },
})

test('an operation that was begun is unfinished for whoever opens the journal next', async () => {
  await using folder = await tempFolder('journal')
  const first = openJournal(folder.path)
  const operation = first.beginOperation(wanted('web'), 1_000)
  first.beginStep(operation, 'preflight', 1_000)
  // Not closed: a killed process closes nothing.
  const second = openJournal(folder.path)
  expect(second.unfinished()).toEqual([operation])
  expect(second.steps(operation.id)).toMatchObject([{ name: 'preflight', result: 'running', ms: null }])
  second.markCut(operation.id)
  expect(second.steps(operation.id)).toMatchObject([{ name: 'preflight', result: 'cut' }])
  first.close()
  second.close()
})

test('history is newest first, also for operations of the same millisecond', async () => {
  await using folder = await tempFolder('journal-history')
  const journal = openJournal(folder.path)
  const ids = ['a', 'b', 'a'].map((service) => journal.beginOperation(wanted(service), 5).id)
  expect(journal.history(10).map((each) => each.id)).toEqual(ids.toReversed())
  expect(journal.history(10, 'a').map((each) => each.id)).toEqual([ids[2], ids[0]])
  journal.close()
})

test('how long roll-outs took is known of those that ran through: not of others, nor of one a crash cut short', async () => {
  await using folder = await tempFolder('journal-times')
  const journal = openJournal(folder.path)
  const add = (ms: number, other: Partial<Operation> = {}, kind: OperationKind = 'replace') => {
    const begun = journal.beginOperation({ ...wanted('web'), kind }, 1_000)
    journal.saveOperation({ ...begun, result: 'applied', finishedAt: 1_000 + ms, ...other })
  }
  add(1_000)
  add(2_000)
  add(3_000, { result: 'reverted' })
  add(60_000, { result: 'stuck' })
  add(70_000, { result: 'untouched' })
  add(90_000_000, { attempts: 2 })
  add(80_000, {}, 'start')
  add(50_000, {}, 'backup')
  expect(journal.rollOutTimes('web', 2)).toEqual([3_000, 2_000])
  expect(journal.rollOutTimes('web', 9)).toEqual([3_000, 2_000, 1_000])
  expect(journal.rollOutTimes('other', 9)).toEqual([])
  journal.close()
})

test('that Samovar pulled an image is not forgotten when the image is found again', async () => {
  await using folder = await tempFolder('journal-images')
  const journal = openJournal(folder.path)
  const image = { digest: 'sha256:1', id: 'id', name: 'web', tag: '1', at: 1 }
  journal.rememberImage({ ...image, pulled: true })
  journal.rememberImage({ ...image, pulled: false, at: 2 })
  expect(journal.images()).toEqual([{ ...image, pulled: true, at: 2 }])
  journal.close()
})

test('retry lifts quarantine, setback and a stuck operation, and says when there was nothing to lift', async () => {
  await using folder = await tempFolder('journal-retry')
  const journal = openJournal(folder.path)
  expect(journal.retry('web')).toBe(false)
  const operation = journal.beginOperation(wanted('web'), 1)
  journal.saveOperation({ ...operation, result: 'stuck' })
  journal.quarantine({
    service: 'web',
    digest: 'sha256:1',
    configuration: 'k1',
    operation: operation.id,
    reason: 'sick',
    at: 1,
  })
  expect(journal.retry('web')).toBe(true)
  expect(journal.quarantined()).toEqual([])
  expect(journal.isRetried(operation.id)).toBe(true)
  journal.close()
})

test('a request is taken once and its answer is found by the one who asked', async () => {
  await using folder = await tempFolder('journal-requests')
  const journal = openJournal(folder.path)
  const id = journal.ask('pass-now', null, 1)
  expect(journal.requestsWaiting()).toBe(true)
  expect(journal.takeRequests(2)).toMatchObject([{ id, kind: 'pass-now' }])
  expect(journal.takeRequests(3)).toEqual([])
  expect(journal.requestResult(id)).toBeNull()
  journal.answerRequest(id, '{"ok":true}', 4)
  expect(journal.requestResult(id)).toBe('{"ok":true}')
  journal.close()
})
