import { Readable } from 'node:stream'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { SamovarError, sentenceOf } from '../errors.ts'
import { bucketKey, type S3 } from './s3-client.ts'
import { isMissingObject, s3Error } from './s3-errors.ts'

/** Times in a row that a download goes on after a cut without this many bytes between. */
const resumes = { most: 3, each: 1024 * 1024 }

/**
 * One object. A connection that is cut, or that gives nothing although somebody reads, is replaced by another one that
 * goes on where it stopped; after three of them in vain the stream ends with an error.
 *
 * @throws SamovarError `not-found`, `store-failed`
 */
export async function getObject(s3: S3, key: string): Promise<Readable> {
  const answer = await ask(s3, key, 0)
  if (answer.ContentLength === undefined)
    throw s3Error(s3, `reading ${key}`, new Error('the server did not say how long the object is'))
  const total = answer.ContentLength
  const download = {
    s3,
    key,
    total,
    etag: answer.ETag,
    body: bodyOf(answer),
    offset: 0,
    resumedAt: 0,
    inVain: 0,
  }
  const whole = Readable.from(read(download), { objectMode: false })
  // Also when nobody ever reads from it.
  return whole.once('close', () => download.body.destroy())
}

/** `resumedAt`: the offset at which the present connection began. */
type Download = {
  s3: S3
  key: string
  total: number
  etag: string | undefined
  body: Readable
  offset: number
  resumedAt: number
  inVain: number
}

async function ask(s3: S3, key: string, from: number, etag?: string): Promise<GetObjectCommandOutput> {
  const input = { Bucket: s3.bucket, Key: bucketKey(s3, key) }
  const rest = from === 0 ? {} : { Range: `bytes=${from}-` }
  const same = etag === undefined ? {} : { IfMatch: etag }
  try {
    return await s3.reading.send(new s3.sdk.GetObjectCommand({ ...input, ...rest, ...same }))
  } catch (error) {
    if (!isMissingObject(error)) throw s3Error(s3, `reading ${key}`, error)
    throw new SamovarError('not-found', `${s3.name} has no object ${key}`, {
      next: '`samovar backups` lists what the stores have.',
    })
  }
}

const bodyOf = (answer: GetObjectCommandOutput): Readable => answer.Body as Readable

async function* read(download: Download): AsyncGenerator<Buffer> {
  while (download.offset < download.total) {
    try {
      for await (const chunk of chunksOf(download)) yield chunk
    } catch (error) {
      if (!(error instanceof Cut)) throw error
      await resume(download, error)
    }
  }
}

/** The connection ended before the object did. */
class Cut extends Error {}

/** What the present connection gives. It counts as cut when it gives nothing for so long while a chunk is waited for. */
async function* chunksOf(download: Download): AsyncGenerator<Buffer> {
  const { body, total, s3 } = download
  const chunks = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  const stalled = () => body.destroy(new Error(`nothing came for ${s3.attemptMs} ms`))
  while (download.offset < total) {
    const timer = setTimeout(stalled, s3.attemptMs)
    const next = await chunks
      .next()
      .catch((error: unknown) => {
        throw new Cut(sentenceOf(error))
      })
      .finally(() => clearTimeout(timer))
    if (next.done === true) throw new Cut('the connection ended')
    download.offset += next.value.length
    yield next.value
  }
}

async function resume(download: Download, cut: Cut): Promise<void> {
  const { s3, key, offset, total, etag } = download
  const broken = new SamovarError(
    'store-failed',
    `${s3.name}: reading ${key} broke off after ${offset} of ${total} bytes: ${cut.message}`,
    { next: 'Check the network to the store, then try again.' },
  )
  download.inVain = offset - download.resumedAt >= resumes.each ? 1 : download.inVain + 1
  if (download.inVain >= resumes.most) throw broken
  const answer = await ask(s3, key, offset, etag)
  const isRest = offset === 0 || (answer.ContentRange?.startsWith(`bytes ${offset}-`) ?? false)
  if (!isRest) {
    bodyOf(answer).destroy()
    throw broken
  }
  download.body.destroy()
  download.body = bodyOf(answer)
  download.resumedAt = offset
}
