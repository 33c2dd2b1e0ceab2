import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HeadObjectOutput, S3Client } from '@aws-sdk/client-s3'
import { SamovarError } from '../errors.ts'
import { legalKey } from './object-key.ts'
import { type Source, sameContent, sourceOf } from './object-stream.ts'
import { bucketKey, encryption, type S3 } from './s3-client.ts'
import { isForbidden, isMissingObject, s3Error } from './s3-errors.ts'
import { getObject } from './s3-get.ts'

const MiB = 1024 * 1024
/** Metadata of an object: which attempt wrote it. */
const attemptName = 'samovar-attempt'
/** Bytes a second below which a part that still moves counts as failed. */
const slowest = 32 * 1024

/** `conditional` answers whether the server honours `If-None-Match: *`. */
export type Write = {
  key: string
  content: Readable
  estimate: number | null
  conditional: () => Promise<boolean>
}

/**
 * One object, once. Holds about five parts in memory.
 *
 * @throws SamovarError, or the content's own error as it is
 */
export async function putObject(s3: S3, write: Write): Promise<void> {
  const source = sourceOf(write.content)
  try {
    legalKey(s3.name, write.key)
    const conditional = await write.conditional()
    const there = await lookAt(s3, write.key, s3.timeoutMs)
    if (there === null)
      await upload(s3, { ...write, condition: conditional ? { IfNoneMatch: '*' } : {} }, source)
    else await compare(s3, write, source)
  } catch (error) {
    source.stop()
    const own = source.failure()
    if (own !== undefined) throw own.error
    throw s3Error(s3, `writing ${write.key} (${source.bytes()} bytes so far)`, error)
  }
}

/**
 * Bytes of one part. An object has at most 10,000 of them; 9,000 and a tenth on top leave room for an estimate that is
 * too small. 5 TB are parts of 612 MB. Nothing known: 16 MiB, so up to 156 GiB. No more than that, and not less than
 * S3 allows, since about five parts are in memory at a time: 3 GB written at 340 MB/s let the process grow by 142 MB
 * with parts of 8 MiB and by 116 MB with these, of which 75 MB are what any stream of that speed takes.
 */
export function partSizeFor(estimate: number | null): number {
  return estimate === null ? 16 * MiB : Math.max(5 * MiB, Math.ceil((estimate * 1.1) / 9_000))
}

/** What is there under the key. Null: nothing, or these credentials may not know (then the write itself finds out). */
async function lookAt(s3: S3, key: string, withinMs: number): Promise<HeadObjectOutput | null> {
  const command = new s3.sdk.HeadObjectCommand({ Bucket: s3.bucket, Key: bucketKey(s3, key) })
  try {
    return await s3.client.send(command, { abortSignal: AbortSignal.timeout(withinMs) })
  } catch (error) {
    if (isMissingObject(error) || isForbidden(error)) return null
    throw error
  }
}

/** The key is written already: fine when it is this very content, from a run that was cut before it knew. */
async function compare(s3: S3, write: Write, source: Source): Promise<void> {
  const there = await getObject(s3, write.key)
  const same = await sameContent(source.chunks, there as AsyncIterable<Buffer>)
  if (!same) throw conflict(s3, write.key)
}

const conflict = (s3: S3, key: string): SamovarError =>
  new SamovarError('store-conflict', `${s3.name}: ${key} is there already with another content`)

type Upload = Write & { condition: { IfNoneMatch?: '*' } }

async function upload(s3: S3, write: Upload, source: Source): Promise<void> {
  const attempt = randomBytes(8).toString('hex')
  const target = { Bucket: s3.bucket, Key: bucketKey(s3, write.key) }
  const partSize = s3.partSize ?? partSizeFor(write.estimate)
  const body = Readable.from(source.chunks, { objectMode: false })
  body.on('error', () => {})
  const watched = watchedClient(s3, partSize, () => {
    source.stop()
    body.destroy(new Error('the store failed'))
  })
  const run = new s3.Upload({
    client: watched.client,
    partSize,
    queueSize: partSize > 64 * MiB ? 1 : 2,
    // Aborting is ours: the uploader's own error of it would hide the first one.
    leavePartsOnError: true,
    params: {
      ...target,
      ...write.condition,
      ...encryption(s3),
      Metadata: { [attemptName]: attempt },
      Body: body,
    },
  })
  const failure = await run.done().then(
    // A server that fails late answers 200 with an error in the body, which the SDK sees only in its plainest form.
    (answer) => (answer.ETag === undefined ? new Error('the server did not confirm the object') : null),
    (error: unknown) => watched.failure() ?? error,
  )
  if (failure === null) return
  const found = source.failure() === undefined ? await wrote(s3, write.key, attempt, source) : 'unknown'
  if (found === 'ours') return
  await abort(s3, target, watched.uploadId())
  throw found === 'other' ? conflict(s3, write.key) : failure
}

/**
 * After a failure: an answer may have been lost after the server had done its work, and the repetition was told that
 * the key is taken, or that there is no such upload. The attempt's id says whose object it is.
 */
async function wrote(
  s3: S3,
  key: string,
  attempt: string,
  source: Source,
): Promise<'ours' | 'other' | 'unknown'> {
  const there = await lookAt(s3, key, s3.attemptMs).catch(() => null)
  const writer = there?.Metadata?.[attemptName]
  if (there === null || writer === undefined) return 'unknown'
  if (writer !== attempt) return 'other'
  return source.ended() && there.ContentLength === source.bytes() ? 'ours' : 'unknown'
}

/** Parts that stay are paid for and seen by nobody. When this fails too, `sweep` finds them. */
async function abort(
  s3: S3,
  target: { Bucket: string; Key: string },
  uploadId: string | null,
): Promise<void> {
  if (uploadId === null) return
  const command = new s3.sdk.AbortMultipartUploadCommand({ ...target, UploadId: uploadId })
  await s3.client.send(command, { abortSignal: AbortSignal.timeout(s3.attemptMs) }).catch(() => {})
}

/**
 * The client as the uploader sees it. It gives parts the time that their size needs, remembers the id of the upload,
 * and reports the first failure at once: the uploader itself would first wait for more content.
 */
function watchedClient(s3: S3, partSize: number, stop: () => void) {
  let first: { error: unknown } | undefined
  let uploadId: string | null = null
  const withBody = { requestTimeout: s3.attemptMs + (partSize / slowest) * 1000 }
  const send = async (command: Parameters<S3Client['send']>[0]): Promise<unknown> => {
    try {
      const answer = await s3.client.send(command, hasBody(command) ? withBody : {})
      if ('UploadId' in answer && typeof answer.UploadId === 'string') uploadId = answer.UploadId
      return answer
    } catch (error) {
      first ??= { error }
      stop()
      throw error
    }
  }
  return {
    client: Object.create(s3.client, { send: { value: send } }) as S3Client,
    uploadId: () => uploadId,
    failure: () => first?.error,
  }
}

const hasBody = (command: { input: object }): boolean =>
  'Body' in command.input && command.input.Body !== undefined
