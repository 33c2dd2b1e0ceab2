import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStores } from '../../reconciler/backup/open-stores.ts'
import { partSizeFor } from '../../reconciler/backup/s3-put.ts'
import { s3Store } from '../../reconciler/backup/s3-store.ts'
import type { Store } from '../../reconciler/backup/store.ts'
import { s3Answer, startFaultProxy } from '../rig/fault-proxy.ts'
import { freePort } from '../rig/registry.ts'
import { type S3Server, startS3Server } from '../rig/s3-server.ts'
import { inPieces, keysOf, storeContract } from './store.ts'

const MiB = 1024 * 1024
let server: S3Server
let client: S3Client
let buckets = 0

beforeAll(async () => {
  server = await startS3Server()
  Object.assign(process.env, server.environment)
  client = new S3Client({ endpoint: server.endpoint, forcePathStyle: true })
})
afterAll(async () => {
  client?.destroy()
  await server?.stop()
})

async function newBucket(): Promise<string> {
  buckets += 1
  const bucket = `samovar-test-${buckets}`
  await server.createBucket(bucket)
  return bucket
}

const openStore = (
  bucket: string,
  more: { prefix?: string; endpoint?: string | null; timeoutMs?: number } = {},
): Promise<Store> =>
  s3Store({
    bucket,
    prefix: '',
    region: null,
    endpoint: server.endpoint,
    timeoutMs: 60_000,
    partSize: 5 * MiB,
    ...more,
  })

storeContract('S3', async () => {
  const bucket = await newBucket()
  const prefix = 'backups/of this host'
  return {
    store: await openStore(bucket, { prefix }),
    large: 12 * MiB,
    cutWrite: async (key) => {
      const target = { Bucket: bucket, Key: `${prefix}/${key}` }
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(target))
      const part = { ...target, UploadId, PartNumber: 1, Body: Buffer.alloc(5 * MiB) }
      await client.send(new UploadPartCommand(part))
    },
    remains: async () =>
      (await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads?.length ?? 0,
    cleanUp: async () => {},
  }
})

const key = 'v1/git.example.com/manual/1/data.tar.zst'

describe('S3', () => {
  test('5 TB fit in the 10,000 parts of an object, and an estimate may be a fifth too small', () => {
    expect(partSizeFor(0)).toBe(5 * MiB)
    expect(partSizeFor(null)).toBe(16 * MiB)
    for (const terabytes of [0.1, 1, 5]) {
      const bytes = terabytes * 1e12
      expect(Math.ceil((bytes * 1.2) / partSizeFor(bytes))).toBeLessThanOrEqual(10_000)
      expect(partSizeFor(bytes)).toBeLessThan(5 * 1024 * MiB)
    }
  })

  test('a store shows nothing of others in the bucket, nor of a check', async () => {
    const bucket = await newBucket()
    const stores = [
      await openStore(bucket, { prefix: 'one' }),
      await openStore(bucket, { prefix: 'one-more' }),
    ] as const
    for (const store of stores) await store.put(key, Readable.from([Buffer.from(store.name)]), null)
    await using proxy = await startFaultProxy(server.endpoint)
    const forbidden = proxy.use({
      when: ({ method }) => method === 'DELETE',
      fault: s3Answer(403, 'AccessDenied'),
    })
    const keeper = await openStore(bucket, { prefix: 'one', endpoint: proxy.endpoint })
    await keeper.check()
    expect(forbidden()).toBe(1)
    expect(await keysOf(keeper, '')).toEqual([key])
    expect((await buffer(await keeper.get(key))).toString()).toBe(`s3 ${bucket}/one`)
    const whole = await openStore(bucket)
    expect((await keysOf(whole, '')).length).toBe(3)
    await stores[0].sweep('v1/git.example.com/', Date.now() + 60_000)
    expect((await keysOf(whole, '')).length).toBe(2)
    for (const each of [...stores, keeper, whole]) await each.close()
  })

  test.each([
    ['ignores the condition', { withoutHeader: 'if-none-match' }],
    ['does not know the condition', s3Answer(501, 'NotImplemented')],
  ] as const)(
    'a server that %s keeps backups too, and a key that is written is still not changed',
    async (_, fault) => {
      const bucket = await newBucket()
      await using proxy = await startFaultProxy(server.endpoint)
      const used = proxy.use({ when: ({ headers }) => 'if-none-match' in headers, fault })
      const store = await openStore(bucket, { endpoint: proxy.endpoint })
      await store.check()
      const probes = used()
      expect(probes).toBeGreaterThan(0)
      const content = randomBytes(6 * MiB)
      await store.put(key, inPieces(content), null)
      expect(used()).toBe(probes)
      await expect(store.put(key, inPieces(randomBytes(6 * MiB)), null)).rejects.toMatchObject({
        code: 'store-conflict',
      })
      expect((await buffer(await store.get(key))).equals(content)).toBe(true)
      await store.close()
    },
  )

  test('AWS gets checksums and is told to encrypt; another server gets neither', async () => {
    await using proxy = await startFaultProxy(server.endpoint)
    const headersOf = async (endpoint: string | null) => {
      const store = await openStore(await newBucket(), { endpoint })
      proxy.seen.length = 0
      await store.put(key, Readable.from([randomBytes(6 * MiB)]), null)
      await store.put(`${key}-small`, Readable.from([randomBytes(100)]), null)
      await store.close()
      const has = (when: (url: string) => boolean, header: string) =>
        proxy.seen.filter(({ url }) => when(url)).map(({ headers }) => headers[header] !== undefined)
      return {
        parts: has((url) => url.includes('partNumber'), 'x-amz-checksum-crc32'),
        small: has((url) => url.includes('-small') && url.includes('PutObject'), 'x-amz-checksum-crc32'),
        encrypted: has(
          (url) => url.includes('uploads') || url.includes('PutObject'),
          'x-amz-server-side-encryption',
        ),
      }
    }
    expect(await headersOf(proxy.endpoint)).toEqual({
      parts: [false, false],
      small: [false],
      encrypted: [false, false, false, false],
    })
    // So the SDK takes the proxy for AWS.
    process.env['AWS_ENDPOINT_URL_S3'] = proxy.endpoint
    try {
      expect(await headersOf(null)).toEqual({
        parts: [true, true],
        small: [true],
        encrypted: [true, true, true, true],
      })
    } finally {
      delete process.env['AWS_ENDPOINT_URL_S3']
    }
  })

  test('a bucket that is not there is named, with the next step', async () => {
    const store = await openStore('nobody-made-this')
    const expected = {
      code: 'store-failed',
      message: expect.stringMatching(/^s3 nobody-made-this: .*there is no bucket nobody-made-this/),
      next: expect.stringContaining('host.yaml'),
    }
    await expect(store.check()).rejects.toMatchObject(expected)
    await expect(store.put(key, Readable.from(['x']), null)).rejects.toMatchObject(expected)
    await expect(keysOf(store, '')).rejects.toMatchObject(expected)
    await expect(store.sweep('v1/h/', Date.now())).rejects.toMatchObject(expected)
    await store.close()
  })

  test.each([
    ['AccessDenied', 403, 's3:PutObject'],
    ['InvalidAccessKeyId', 403, 'AWS_ACCESS_KEY_ID'],
    ['PermanentRedirect', 301, 'region'],
    ['SlowDown', 503, 'next backup tries again'],
    ['RequestTimeTooSkewed', 403, 'clock'],
    ['XMinioStorageFull', 507, 'Free some space'],
  ])('%s comes with the next step', async (code, status, next) => {
    await using proxy = await startFaultProxy(server.endpoint)
    proxy.use({ when: () => true, fault: s3Answer(status, code) })
    const store = await openStore('any-bucket', { endpoint: proxy.endpoint })
    await expect(store.check()).rejects.toMatchObject({
      code: 'store-failed',
      message: expect.stringContaining(`s3 any-bucket: checking failed: `),
      next: expect.stringContaining(next),
    })
    await store.close()
  })

  test.each([
    ['nobody listens', async () => `http://127.0.0.1:${await freePort()}`, 'cannot be reached'],
    ['the name is unknown', async () => 'http://s3.samovar.invalid', 'is not known'],
  ])('a check ends in time and says why when %s', async (_, endpoint, why) => {
    const store = await openStore('any-bucket', { endpoint: await endpoint(), timeoutMs: 3_000 })
    const before = performance.now()
    await expect(store.check()).rejects.toMatchObject({
      code: 'store-failed',
      message: expect.stringContaining(why),
    })
    expect(performance.now() - before).toBeLessThan(3_500)
    await store.close()
  })

  test('an error of a store never shows a credential', async () => {
    const endpoint = `http://user:hidden-word@127.0.0.1:${await freePort()}`
    const store = await openStore('any-bucket', { endpoint, timeoutMs: 3_000 })
    const error: unknown = await store.check().catch((thrown: unknown) => thrown)
    const shown = `${store.name} ${String(error)} ${JSON.stringify(error)} ${String((error as Error).cause)}`
    expect(shown).toContain('cannot be reached')
    expect(shown).not.toMatch(/hidden-word|test-secret|test-key/)
    await store.close()
  })

  test('the stores of host.yaml open in its order, each with its policy', async () => {
    const bucket = await newBucket()
    const policies = [
      { kind: 's3', bucket, prefix: 'git.example.com', region: 'eu-central-1', required: true, keep: null },
      { kind: 'file', folder: '/var/backups/samovar', required: false, keep: { last: 7 } },
    ] as const
    const settings = { s3Endpoint: server.endpoint, storeTimeoutMs: 10_000 }
    const opened = await openStores([...policies], settings)
    expect(opened.map((each) => each.store.name)).toEqual([
      `s3 ${bucket}/git.example.com`,
      'file /var/backups/samovar',
    ])
    expect(opened.map((each) => each.policy)).toEqual(policies)
    await opened[0]?.store.check()
    for (const each of opened) await each.store.close()
  })
})
