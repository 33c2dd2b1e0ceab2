import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { s3Store } from '../../reconciler/backup/s3-store.ts'
import { inPieces, keysOf } from '../contracts/store.ts'
import { type Fault, type Rule, s3Answer, startFaultProxy } from '../rig/fault-proxy.ts'
import { type S3Server, startS3Server } from '../rig/s3-server.ts'
import { until } from '../rig/until.ts'

/** What the store does when the network and the server fail, each way by a proxy in front of a real server. */

const MiB = 1024 * 1024
/** For what must fail, and for what must succeed also on a busy machine. An attempt has a third of it. */
const timeoutMs = 3_000
const patient = { timeoutMs: 9_000 }
/** A request with its repetitions, looking whether it was done, removing what it left; and a busy machine. */
const longestMs = (timeout: number) => 2 * timeout + 5_000
const key = 'v1/git.example.com/manual/1/data.tar.zst'

let server: S3Server
let direct: S3Client
let buckets = 0

beforeAll(async () => {
  server = await startS3Server()
  Object.assign(process.env, server.environment)
  direct = new S3Client({ endpoint: server.endpoint, forcePathStyle: true })
})
afterAll(async () => {
  direct?.destroy()
  await server?.stop()
})

/** A bucket with two ways to it: `store` goes through the proxy, `witness` around it. */
async function openStage(changed: { timeoutMs?: number; partSize?: number } = {}) {
  buckets += 1
  const bucket = `faults-${buckets}`
  await server.createBucket(bucket)
  const proxy = await startFaultProxy(server.endpoint)
  const options = { bucket, prefix: 'host', region: null, partSize: 5 * MiB }
  const store = await s3Store({ ...options, endpoint: proxy.endpoint, timeoutMs, ...changed })
  const witness = await s3Store({ ...options, endpoint: server.endpoint, timeoutMs: 60_000 })
  const ready = () => store.check().then(() => true)
  await until('the server is fast enough', ready, { withinMs: 60_000 })
  return {
    bucket,
    proxy,
    store,
    witness,
    unfinished: async (): Promise<number> =>
      (await direct.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads?.length ?? 0,
    /** The promise of `put`: nothing, or exactly this content. */
    nothingOrWhole: async (content: Buffer): Promise<'nothing' | 'whole'> => {
      const there = await keysOf(witness, '')
      if (there.length === 0) return 'nothing'
      expect(there).toEqual([key])
      expect((await buffer(await witness.get(key))).equals(content)).toBe(true)
      return 'whole'
    },
    [Symbol.asyncDispose]: async () => {
      await store.close()
      await witness.close()
      await proxy.stop()
    },
  }
}

type When = Rule['when']
const isPut: When = ({ method, url }) => method === 'PUT' && !url.includes('partNumber')
const isPart: When = ({ method, url }) => method === 'PUT' && url.includes('partNumber')
const isCreate: When = ({ method, url }) => method === 'POST' && url.includes('uploads')
const isComplete: When = ({ method, url }) => method === 'POST' && url.includes('uploadId=')
const isGet: When = ({ method, url }) => method === 'GET' && url.includes('data.tar.zst')
const isHead: When = ({ method }) => method === 'HEAD'
const isList: When = ({ url }) => url.includes('list-type')

const small = randomBytes(100_000)
const large = randomBytes(6 * MiB)

async function timed<T>(work: Promise<T>, within = timeoutMs): Promise<PromiseSettledResult<T>> {
  const before = performance.now()
  const [end] = (await Promise.allSettled([work])) as [PromiseSettledResult<T>]
  expect(performance.now() - before).toBeLessThan(longestMs(within))
  return end
}

const faults: [string, Fault][] = [
  ['the connection is cut within the request', { cutRequestAfter: 50_000 }],
  ['the connection is cut within the answer', { cutAnswerAfter: 20 }],
  ['the server has an internal error', s3Answer(500, 'InternalError')],
  ['the server says SlowDown', s3Answer(503, 'SlowDown')],
  ['the server hangs', { hang: true }],
  ['the answer is lost after the work was done', { loseAnswer: true }],
]
const requests: [string, When, Buffer][] = [
  ['a small object', isPut, small],
  ['the beginning of a large one', isCreate, large],
  ['a part', isPart, large],
  ['the end of a large one', isComplete, large],
]
const cases = requests.flatMap(([request, when, content]) =>
  faults.map(([how, fault]) => ({ request, how, when, content, fault })),
)

describe.concurrent('a write', () => {
  test.each(cases)('of $request succeeds when once $how', async ({ when, content, fault }) => {
    await using stage = await openStage(patient)
    const used = stage.proxy.use({ when, fault, times: 1 })
    const writing = stage.store.put(key, inPieces(content), content.length)
    expect((await timed(writing, patient.timeoutMs)).status).toBe('fulfilled')
    expect(used()).toBe(1)
    expect(await stage.nothingOrWhole(content)).toBe('whole')
  })

  test.each(cases)(
    'of $request says which store failed when always $how',
    async ({ when, content, fault, how }) => {
      await using stage = await openStage()
      const used = stage.proxy.use({ when, fault })
      const end = await timed(stage.store.put(key, inPieces(content), content.length))
      expect(used()).toBeGreaterThan(0)
      const left = await stage.nothingOrWhole(content)
      // Only a lost answer leaves something to find: the object stands, so the write has succeeded.
      if (end.status === 'fulfilled')
        expect([left, how]).toEqual(['whole', expect.stringContaining('answer')])
      else {
        expect(end.reason).toMatchObject({
          code: 'store-failed',
          message: expect.stringMatching(new RegExp(`^s3 ${stage.bucket}/host: writing ${key} .*failed: .+`)),
          next: expect.stringMatching(/\w{3,}.*\./),
        })
        // An upload whose very beginning was never answered cannot be ended by its id; the sweep finds it.
        if (when !== isCreate) expect(await stage.unfinished()).toBe(0)
      }
      await stage.witness.sweep('', Date.now() + 60_000)
      expect(await stage.unfinished()).toBe(0)
    },
  )

  test.each([
    ['a small object', isPut, small],
    ['a large object', isComplete, large],
  ] as const)('of %s counts as done when every answer about it was lost', async (_, when, content) => {
    await using stage = await openStage(patient)
    const used = stage.proxy.use({ when, fault: { loseAnswer: true } })
    const writing = stage.store.put(key, inPieces(content), content.length)
    expect((await timed(writing, patient.timeoutMs)).status).toBe('fulfilled')
    expect(used()).toBeGreaterThan(1)
    expect(await stage.nothingOrWhole(content)).toBe('whole')
  })

  test.each([
    ['plainly', ''],
    ['with a line break behind it', '\n'],
  ])('of a large object has failed when the answer to its end is 200 and an error, %s', async (_, after) => {
    await using stage = await openStage()
    const used = stage.proxy.use({ when: isComplete, fault: s3Answer(200, 'InternalError', after) })
    const end = await timed(stage.store.put(key, inPieces(large), null))
    expect(end).toMatchObject({ status: 'rejected', reason: { code: 'store-failed' } })
    expect(used()).toBeGreaterThan(0)
    expect(await keysOf(stage.witness, '')).toEqual([])
    expect(await stage.unfinished()).toBe(0)
  })

  test('of a large object succeeds when the answer to its end was 200 and an error once', async () => {
    await using stage = await openStage(patient)
    const used = stage.proxy.use({ when: isComplete, fault: s3Answer(200, 'InternalError'), times: 1 })
    await stage.store.put(key, inPieces(large), null)
    expect(used()).toBe(1)
    expect(await stage.nothingOrWhole(large)).toBe('whole')
  })

  test.each([
    ['nothing is lost', []],
    ['its own answer is lost', [{ when: isComplete, fault: { loseAnswer: true } }]],
  ] as [string, Rule[]][])('is a conflict when another one was faster and %s', async (_, rules) => {
    await using stage = await openStage(patient)
    const other = randomBytes(5 * MiB)
    await stage.witness.put(key, inPieces(other), null)
    // Looking before the write sees nothing, as if the other one had come just after it.
    stage.proxy.use({ when: isHead, fault: s3Answer(404, 'NoSuchKey'), times: 1 }, ...rules)
    const end = await timed(stage.store.put(key, inPieces(large), null), patient.timeoutMs)
    expect(end).toMatchObject({ status: 'rejected', reason: { code: 'store-conflict' } })
    expect((await buffer(await stage.witness.get(key))).equals(other)).toBe(true)
    expect(await stage.unfinished()).toBe(0)
  })

  test('ends when the server fails, also while its content gives nothing more', async () => {
    await using stage = await openStage()
    stage.proxy.use({ when: isPart, fault: s3Answer(503, 'SlowDown') })
    const content = new Readable({ read() {} })
    content.push(randomBytes(6 * MiB))
    const end = await timed(stage.store.put(key, content, null))
    expect(end).toMatchObject({ status: 'rejected', reason: { code: 'store-failed' } })
    expect(content.destroyed).toBe(true)
    expect(await stage.unfinished()).toBe(0)
  })

  test('goes on over a slow line as long as it moves', async () => {
    // The last megabytes wait in buffers of the kernel, where nobody sees them move: an attempt has 3 s for those.
    await using stage = await openStage({ ...patient, partSize: 32 * MiB })
    const content = randomBytes(34 * MiB)
    stage.proxy.use({ when: isPart, fault: { delayRequest: { bytes: MiB, everyMs: 120 } } })
    const before = performance.now()
    await stage.store.put(key, inPieces(content), null)
    expect(performance.now() - before).toBeGreaterThan(3_500)
    expect(stage.proxy.seen.filter(isPart)).toHaveLength(2)
    expect(await stage.nothingOrWhole(content)).toBe('whole')
  })
})

describe.concurrent('a reading', () => {
  const openWithObject = async (changed: { timeoutMs?: number } = {}) => {
    const stage = await openStage(changed)
    await stage.witness.put(key, inPieces(large), null)
    return stage
  }

  test.each([
    ['is cut', { cutAnswerAfter: 2 * MiB }],
    ['stalls', { stallAnswerAfter: 2 * MiB }],
  ] as const)('goes on where it stopped when its connection %s', async (_, fault) => {
    await using stage = await openWithObject(patient)
    const used = stage.proxy.use({ when: isGet, fault, times: 2 })
    expect((await buffer(await stage.store.get(key))).equals(large)).toBe(true)
    expect(used()).toBe(2)
  })

  test.each([
    ['is cut', { cutAnswerAfter: 100_000 }],
    ['is cut at its first byte', { cutAnswerAfter: 0 }],
    ['stalls', { stallAnswerAfter: 100_000 }],
  ] as const)('ends with an error when its connection %s every time', async (_, fault) => {
    await using stage = await openWithObject()
    stage.proxy.use({ when: isGet, fault })
    const end = await timed(stage.store.get(key).then(buffer))
    const said = `^s3 ${stage.bucket}/host: reading ${key} broke off after \\d+ of ${large.length} bytes`
    expect(end).toMatchObject({
      status: 'rejected',
      reason: { code: 'store-failed', message: expect.stringMatching(new RegExp(said)) },
    })
  })

  test.each([
    ['hangs', { hang: true }],
    ['has an internal error', s3Answer(500, 'InternalError')],
    ['forbids it', s3Answer(403, 'AccessDenied')],
  ] as const)('says which store failed when the server %s', async (_, fault) => {
    await using stage = await openWithObject()
    stage.proxy.use({ when: isGet, fault })
    const end = await timed(stage.store.get(key).then(buffer))
    const said = `s3 ${stage.bucket}/host: reading ${key} failed: `
    expect(end).toMatchObject({
      status: 'rejected',
      reason: { code: 'store-failed', message: expect.stringContaining(said) },
    })
  })

  test('may pause longer than the timeout, as a database does that builds an index', async () => {
    await using stage = await openWithObject()
    const chunks: Buffer[] = []
    for await (const chunk of (await stage.store.get(key)) as AsyncIterable<Buffer>) {
      // A pause is what is tested here, so this one is for its own sake.
      if (chunks.length === 1) await pause(timeoutMs + 500)
      chunks.push(chunk)
    }
    expect(Buffer.concat(chunks).equals(large)).toBe(true)
    expect(stage.proxy.seen.filter(isGet)).toHaveLength(1)
  })

  test('never mixes two objects: what was replaced meanwhile is an error', async () => {
    await using stage = await openWithObject()
    stage.proxy.use({ when: isGet, fault: { cutAnswerAfter: 2 * MiB }, times: 1 })
    const content = await stage.store.get(key)
    await stage.witness.remove([key])
    await stage.witness.put(key, inPieces(randomBytes(6 * MiB)), null)
    await expect(buffer(content)).rejects.toMatchObject({ code: 'store-failed' })
  })
})

describe.concurrent('a listing', () => {
  test.each(faults)('is whole or an error when %s', async (_, fault) => {
    await using stage = await openStage()
    for (const each of ['a', 'b'])
      await stage.witness.put(`v1/h/${each}`, Readable.from([Buffer.from(each)]), null)
    stage.proxy.use({ when: isList, fault, times: 1 })
    expect(await keysOf(stage.store, 'v1/h/')).toEqual(['v1/h/a', 'v1/h/b'])
    stage.proxy.use({ when: isList, fault })
    const end = await timed(keysOf(stage.store, 'v1/h/'))
    expect(end).toMatchObject({
      status: 'rejected',
      reason: { code: 'store-failed', message: expect.stringContaining('listing v1/h/') },
    })
  })
})

describe.concurrent('a check', () => {
  test('of a server that hangs ends within the timeout', async () => {
    await using stage = await openStage()
    stage.proxy.use({ when: () => true, fault: { hang: true } })
    const before = performance.now()
    await expect(stage.store.check()).rejects.toMatchObject({
      code: 'store-failed',
      message: expect.stringContaining('did not answer in time'),
      next: expect.stringContaining('SAMOVAR_STORE_TIMEOUT'),
    })
    expect(performance.now() - before).toBeLessThan(timeoutMs + 3_000)
  })

  test('of a server that answers every third time only ends within the timeout', async () => {
    await using stage = await openStage()
    let asked = 0
    stage.proxy.use({ when: () => asked++ % 3 !== 2, fault: { hang: true } })
    const before = performance.now()
    await expect(stage.store.check()).rejects.toMatchObject({ code: 'store-failed' })
    expect(performance.now() - before).toBeLessThan(timeoutMs + 3_000)
  })

  test('finds a server that gives back something else than it was given', async () => {
    await using stage = await openStage()
    const fault = { answer: { status: 200, body: 'something else' } }
    stage.proxy.use({ when: ({ method }) => method === 'GET', fault })
    await expect(stage.store.check()).rejects.toMatchObject({
      code: 'store-failed',
      next: expect.stringContaining('another one'),
    })
  })

  test('succeeds when the answer to its first write is lost, and still knows what the server can do', async () => {
    await using stage = await openStage()
    const used = stage.proxy.use({ when: isPut, fault: { loseAnswer: true }, times: 1 })
    await stage.store.check()
    expect(used()).toBe(1)
    await stage.store.put(key, inPieces(small), null)
    expect(stage.proxy.seen.filter(isPut).at(-1)?.headers['if-none-match']).toBe('*')
  })
})
