import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Operation } from '../../reconciler/journal/operation.ts'
import { type Fault, type FaultProxy, type Rule, s3Answer, startFaultProxy } from '../rig/fault-proxy.ts'
import { type S3Server, startS3Server } from '../rig/s3-server.ts'
import { until } from '../rig/until.ts'
import { type NotesHost, startNotesHost, withNotes } from './notes-host.ts'
import { notesOf } from './writer.ts'

/** A store that fails in the middle of an update: the update ends where it began, and says what was wrong. */

let server: S3Server
let proxy: FaultProxy
let host: NotesHost
beforeAll(async () => {
  server = await startS3Server()
  proxy = await startFaultProxy(server.endpoint)
  await server.createBucket('backups')
  const environment = {
    ...server.environment,
    SAMOVAR_S3_ENDPOINT: proxy.endpoint,
    SAMOVAR_STORE_TIMEOUT: '2s',
  }
  // The SDK reads its keys from the process.
  Object.assign(process.env, server.environment)
  host = await startNotesHost('store-fails', { environment, backup: () => `{ stores: [${s3}] }` })
  await withNotes(host)
  // More than one part of an upload.
  const { instance = '' } = (await host.running('notes')) ?? {}
  const fill = ['dd', 'if=/dev/urandom', 'of=/data/large', 'bs=1M', 'count=12']
  await (await host.parts()).engine.run(instance, fill, 20_000)
  expect(await host.backUp()).toMatchObject({ result: 'applied' })
})
afterAll(async () => {
  await host?.[Symbol.asyncDispose]()
  await proxy?.stop()
  await server?.stop()
})

const s3 = '{ s3: backups/host, region: eu-central-1 }'
const name = 's3 backups/host'

type When = Rule['when']
const isPart: When = ({ method, url }) => method === 'PUT' && /\.(dump|tar)\.zst/.test(url)
const isManifest: When = ({ method, url }) => method === 'PUT' && url.includes('manifest.json')
const isComplete: When = ({ method, url }) => method === 'POST' && url.includes('uploadId=')
const isReading: When = ({ method, url }) => method === 'GET' && /\.(dump|tar)\.zst/.test(url)
const isAnything: When = () => true

const writing: [string, When, Fault][] = [
  ['cuts the connection within a part', isPart, { cutRequestAfter: 300 }],
  ['has an internal error', isPart, s3Answer(500, 'InternalError')],
  ['says SlowDown', isPart, s3Answer(503, 'SlowDown')],
  ['hangs', isPart, { hang: true }],
  ['answers the end of a large object with 200 and an error', isComplete, s3Answer(200, 'InternalError')],
  ['does not take the manifest', isManifest, s3Answer(500, 'InternalError')],
  ['hangs already when it is tried', isAnything, { hang: true }],
]

test.each(writing)(
  'a store that %s leaves the update untouched, and the service as it was',
  async (_, when, fault) => {
    const listed = await host.backups()
    const used = proxy.use({ when, fault })
    const operation = await failedUpdate()
    expect(used()).toBeGreaterThan(0)
    proxy.use()
    expect(operation.backup).toBeNull()
    expect(await host.backups()).toEqual(listed)
  },
)

test.each([
  ['breaks off while it is read', { cutAnswerAfter: 200 }],
  ['stops in the middle of an answer', { stallAnswerAfter: 200 }],
] as [string, Fault][])(
  'a backup whose store %s when it is read back is not proven, and the update is untouched',
  async (_, fault) => {
    const used = proxy.use({ when: isReading, fault })
    const operation = await failedUpdate()
    expect(used()).toBeGreaterThan(0)
    proxy.use()
    // It is there and whole, only nobody knows.
    expect((await host.backups())[0]).toBe(operation.backup)
    expect((await host.steps(operation))['prove backup']).toContain(name)
    expect(await host.verify(operation.backup ?? '', 1)).toMatchObject({ result: 'applied' })
  },
)

/** What holds however a required store fails. */
async function failedUpdate(): Promise<Operation> {
  const before = [(await host.running('notes'))?.instance, await notesOf(host)]
  const operation = await host.update({ notes: '1.1.0' })
  expect(operation.result).toBe('untouched')
  expect(operation.reason).toContain(name)
  expect(operation.reason).toMatch(/; next: \w.*\.$/)
  const steps = (await host.parts()).journal.steps(operation.id)
  const attempt = steps.filter(({ name: step }) => !['preflight', 'create', 'take away'].includes(step))
  const longest = attempt.reduce((sum, step) => sum + (step.ms ?? 0), 0)
  expect(operation.downtimeMs ?? 0).toBeLessThanOrEqual(longest + 100)
  expect([(await host.running('notes'))?.instance, await notesOf(host)]).toEqual(before)
  expect((await host.running('notes'))?.state).toBe('running')
  await until('it serves again', async () => (await host.version()) === '1.0.0', { withinMs: 20_000 })
  await nothingLeft(operation)
  return operation
}

async function otherVersion(): Promise<string> {
  return (await host.running('notes'))?.image.tag === '1.1.0' ? '1.0.0' : '1.1.0'
}

async function nothingLeft(operation: Operation): Promise<void> {
  const made = operation.result === 'applied' ? [] : ['samovar.operation']
  for (const label of ['samovar.scratch', ...made]) {
    const filters = { label: [`${label}=${operation.id}`] }
    expect(await host.rig.docker.listContainers({ all: true, filters })).toEqual([])
  }
}

test('a store whose answer is lost after it did its work has the backup, and the update goes on', async () => {
  const used = proxy.use({ when: isPart, fault: { loseAnswer: true }, times: 1 })
  const operation = await host.update({ notes: '1.1.0' })
  expect(used()).toBe(1)
  proxy.use()
  expect(operation).toMatchObject({ result: 'applied', backup: (await host.backups())[0] })
  expect(await host.version()).toBe('1.1.0')
})

test('a required store has no backup that another required one does not have', async () => {
  await host.stores(`{ stores: [{ file: ${host.stateDir}/store }, ${s3}] }`)
  await host.pass()
  const listed = await host.backups()
  proxy.use({ when: isManifest, fault: s3Answer(500, 'InternalError') })
  const operation = await host.update({ notes: await otherVersion() })
  expect(operation).toMatchObject({ result: 'untouched', backup: null })
  proxy.use()
  expect(await host.backups()).toEqual(listed)
})

test.each([
  ['in the middle of it', isPart, s3Answer(500, 'InternalError'), 'back up'],
  ['before it', isAnything, { hang: true }, 'preflight'],
] as [string, When, Fault, string][])(
  'a store that is not required and fails %s does not hold up the update, which says so',
  async (_, when, fault, step) => {
    const optional = s3.replace('}', ', required: false }')
    await host.stores(`{ stores: [{ file: ${host.stateDir}/store }, ${optional}] }`)
    const notes = await otherVersion()
    proxy.use({ when, fault })
    const operation = await host.update({ notes })
    proxy.use()
    expect(operation).toMatchObject({ result: 'applied', backup: expect.any(String) })
    const said = await host.steps(operation)
    expect(said['back up']).toContain(`${name} does not have it: `)
    expect(said[step]).toContain(`${name} ${step === 'preflight' ? 'is left out' : 'does not have it'}: `)
    expect(said['prove backup']).toContain(`read back whole from file ${host.stateDir}/store`)
    await nothingLeft(operation)
  },
)

test('a store that cannot be reached at all is found before anything is stopped', async () => {
  await host.stores(`{ stores: [${s3}] }`)
  await proxy.stop()
  const notes = await otherVersion()
  const operation = await host.update({ notes })
  expect(operation).toMatchObject({ result: 'untouched', downtimeMs: null })
  expect(operation.reason).toMatch(/s3 backups\/host: .*; next: /)
  expect(Object.keys(await host.steps(operation))).not.toContain('quiesce')
})
