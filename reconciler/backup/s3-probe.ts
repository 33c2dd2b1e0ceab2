import { randomBytes } from 'node:crypto'
import { SamovarError } from '../errors.ts'
import { ownNames } from './object-key.ts'
import { bucketKey, encryption, type S3 } from './s3-client.ts'
import { failureOf, isTaken, s3Error } from './s3-errors.ts'

/** Below the store's prefix; `list` does not show them, `sweep` removes what stayed. */
export const probeFolder = `v1/${ownNames.probe}/`

/**
 * Writes a small object, writes it again on the condition that it is not there, reads it and removes it. Answers
 * whether the server honours the condition: some ignore it, which only shows when it is tried.
 *
 * @throws SamovarError `store-failed`, at the latest after the store's timeout
 */
export async function probe(s3: S3): Promise<{ conditional: boolean }> {
  const late = AbortSignal.timeout(s3.timeoutMs)
  const deadline = new Promise<never>((_, reject) => {
    // Looking for credentials does not heed the signal.
    late.addEventListener('abort', () =>
      reject(
        s3Error(
          s3,
          'checking',
          Object.assign(new Error(`not within ${s3.timeoutMs} ms`), { name: 'TimeoutError' }),
        ),
      ),
    )
  })
  const failed = (error: unknown) => {
    throw s3Error(s3, 'checking', error)
  }
  return Promise.race([tryOut(s3, late).catch(failed), deadline])
}

async function tryOut(s3: S3, abortSignal: AbortSignal): Promise<{ conditional: boolean }> {
  const { PutObjectCommand, GetObjectCommand, DeleteObjectCommand } = s3.sdk
  const target = { Bucket: s3.bucket, Key: bucketKey(s3, probeFolder + randomBytes(8).toString('hex')) }
  const content = randomBytes(1024)
  const write = (condition: { IfNoneMatch?: '*' }) =>
    s3.client.send(
      new PutObjectCommand({
        ...target,
        ...condition,
        Body: content,
        ...encryption(s3),
      }),
      { abortSignal },
    )
  const writeOnce = () =>
    write({ IfNoneMatch: '*' }).then(
      () => 'written' as const,
      (error: unknown) => {
        if (isTaken(error)) return 'taken' as const
        if (failureOf(error).status === 501) return 'unknown' as const
        throw error
      },
    )
  // A first write that is told "taken" was repeated after a lost answer, and shows the same.
  const first = await writeOnce()
  if (first === 'unknown') await write({})
  const conditional = first === 'taken' || (first === 'written' && (await writeOnce()) === 'taken')
  const answer = await s3.client.send(new GetObjectCommand(target), { abortSignal })
  const read = Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
  if (!read.equals(content))
    throw new SamovarError(
      'store-failed',
      `${s3.name}: of ${content.length} bytes written ${read.length} came back, or others`,
      { next: 'This server changes what it is given: use another one for backups.' },
    )
  // Without the right to delete nothing is wrong: a store that only takes is the safer one.
  await s3.client.send(new DeleteObjectCommand(target), { abortSignal }).catch(() => {})
  return { conditional }
}
