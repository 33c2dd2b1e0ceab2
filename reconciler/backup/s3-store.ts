import type { _Object, ListMultipartUploadsCommandOutput, MultipartUpload } from '@aws-sdk/client-s3'
import { folderPrefix, legalKey } from './object-key.ts'
import { bucketKey, connectS3, type S3, type S3Options, storeKey } from './s3-client.ts'
import { failureOf, isMissingObject, s3Error } from './s3-errors.ts'
import { getObject } from './s3-get.ts'
import { probe, probeFolder } from './s3-probe.ts'
import { putObject } from './s3-put.ts'
import type { Store, StoredObject } from './store.ts'

/**
 * A store in a bucket of S3 or of another server that speaks its language. Where the server honours conditional writes
 * (tried once, by `check` or by the first write) no object can be replaced, whoever writes; elsewhere a key that is
 * taken is seen before the write, and keys that nobody else uses must do for the rest.
 *
 * A failing write takes at most twice `timeoutMs` after the last progress: the request with its repetitions, then
 * looking whether it was done after all, and removing what it left.
 */
export async function s3Store(options: S3Options): Promise<Store> {
  const s3 = await connectS3(options)
  let known: Promise<{ conditional: boolean }> | null = null
  const tried = (again: boolean): Promise<{ conditional: boolean }> => {
    if (known === null || again) {
      const trying = probe(s3)
      known = trying
      trying.catch(() => {
        if (known === trying) known = null
      })
    }
    return known
  }
  return {
    name: s3.name,
    check: async () => void (await tried(true)),
    put: (key, content, estimate) =>
      putObject(s3, { key, content, estimate, conditional: async () => (await tried(false)).conditional }),
    get: async (key) => getObject(s3, legalKey(s3.name, key)),
    list: (prefix) => list(s3, folderPrefix(s3.name, prefix)),
    remove: (keys) =>
      remove(
        s3,
        keys.map((key) => legalKey(s3.name, key)),
      ),
    sweep: (prefix, before) => sweep(s3, folderPrefix(s3.name, prefix), before),
    close: async () => {
      s3.client.destroy()
      s3.reading.destroy()
    },
  }
}

async function* list(s3: S3, prefix: string): AsyncGenerator<StoredObject> {
  for await (const object of objectsBelow(s3, prefix)) {
    const key = storeKey(s3, object.Key ?? '')
    if (key.startsWith(probeFolder)) continue
    yield { key, bytes: object.Size ?? 0, changedAt: object.LastModified?.getTime() ?? 0 }
  }
}

async function* objectsBelow(s3: S3, prefix: string): AsyncGenerator<_Object> {
  let token: string | undefined
  do {
    const page = await s3.client
      .send(
        new s3.sdk.ListObjectsV2Command({
          Bucket: s3.bucket,
          Prefix: bucketKey(s3, prefix),
          ContinuationToken: token,
        }),
      )
      .catch((error: unknown) => {
        throw s3Error(s3, `listing ${prefix}`, error)
      })
    yield* page.Contents ?? []
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined
  } while (token !== undefined)
}

/** One by one: the request for many at once needs a checksum that not every server knows. */
async function remove(s3: S3, keys: string[]): Promise<void> {
  const left = [...keys]
  const worker = async () => {
    for (let key = left.pop(); key !== undefined; key = left.pop()) await removeOne(s3, key)
  }
  await Promise.all(Array.from({ length: Math.min(8, keys.length) }, worker))
}

async function removeOne(s3: S3, key: string): Promise<void> {
  const command = new s3.sdk.DeleteObjectCommand({ Bucket: s3.bucket, Key: bucketKey(s3, key) })
  await s3.client.send(command).catch((error: unknown) => {
    if (!isMissingObject(error)) throw s3Error(s3, `removing ${key}`, error)
  })
}

async function sweep(s3: S3, prefix: string, before: number): Promise<number> {
  let swept = 0
  try {
    for (const upload of await unfinishedBelow(s3, prefix)) {
      if ((upload.Initiated?.getTime() ?? before) >= before) continue
      const target = { Bucket: s3.bucket, Key: upload.Key, UploadId: upload.UploadId }
      await s3.client.send(new s3.sdk.AbortMultipartUploadCommand(target)).catch((error: unknown) => {
        if (failureOf(error).status !== 404) throw error
      })
      swept += 1
    }
  } catch (error) {
    throw s3Error(s3, `removing unfinished uploads below ${prefix}`, error)
  }
  return swept + (await sweepProbes(s3, before))
}

/** Those of a check that was cut. Credentials that may not delete leave them where they are. */
async function sweepProbes(s3: S3, before: number): Promise<number> {
  const old: string[] = []
  for await (const object of objectsBelow(s3, probeFolder)) {
    if ((object.LastModified?.getTime() ?? before) < before) old.push(storeKey(s3, object.Key ?? ''))
  }
  return remove(s3, old).then(
    () => old.length,
    () => 0,
  )
}

/** Collected before the first is aborted, since that changes the pages. Rarely more than a few. */
async function unfinishedBelow(s3: S3, prefix: string): Promise<MultipartUpload[]> {
  const found: MultipartUpload[] = []
  let marker: { KeyMarker?: string; UploadIdMarker?: string } | null = {}
  while (marker !== null) {
    const page: ListMultipartUploadsCommandOutput = await s3.client.send(
      new s3.sdk.ListMultipartUploadsCommand({ Bucket: s3.bucket, Prefix: bucketKey(s3, prefix), ...marker }),
    )
    found.push(...(page.Uploads ?? []))
    marker =
      page.IsTruncated === true && page.NextKeyMarker !== undefined
        ? {
            KeyMarker: page.NextKeyMarker,
            ...(page.NextUploadIdMarker ? { UploadIdMarker: page.NextUploadIdMarker } : {}),
          }
        : null
  }
  return found
}
