import { expect, test } from 'vitest'
import { openJournal } from '../../reconciler/journal.ts'
import { makeTeller } from '../../reconciler/notify/tell.ts'
import { type UpdateRecord, writeRecord } from '../../reconciler/self-update/record.ts'
import { tellLastUpdate } from '../../reconciler/self-update/tell-last-update.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const record: UpdateRecord = {
  phase: 'going-back',
  from: '1.0.0',
  to: '1.1.0',
  previous: null,
  before: 'ready',
  startedAt: 1_000,
  endedAt: null,
  reason: 'version 1.1.0 is not ready',
}

test('an update that went back is told once, and once more when a later one was kept', async () => {
  await using folder = await tempFolder('tell-update')
  const journal = openJournal(folder.path)
  const said: string[] = []
  const say = (_subject: string, sentence: string) => void said.push(sentence)
  const start = () => {
    const teller = makeTeller({ journal, now: () => 5_000, say: { problem: say, well: say } })
    tellLastUpdate(teller, folder.path)
  }
  start()
  expect(said).toEqual([])
  await writeRecord(folder.path, record)
  start()
  // Already while it goes back: this start is the one before's.
  expect(said).toHaveLength(1)
  await writeRecord(folder.path, { ...record, phase: 'reverted' })
  start()
  expect(said).toEqual([
    'the update to 1.1.0 went back to 1.0.0: version 1.1.0 is not ready; next: read what 1.1.0 said (journalctl -u samovar), then update to a release that has it right',
  ])
  await writeRecord(folder.path, { ...record, phase: 'kept', to: '1.2.0', startedAt: 4_000 })
  start()
  start()
  expect(said.slice(1)).toEqual(['release 1.2.0 runs'])
  journal.close()
})
