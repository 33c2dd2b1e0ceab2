import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'

export type S3Options = {
  bucket: string
  /** Without a slash at either end; empty for the whole bucket. */
  prefix: string
  /** Null: as AWS_REGION or the profile has it; `us-east-1` for an own endpoint when they have none. */
  region: string | null
  /** URL of another S3 server than AWS, or null. */
  endpoint: string | null
  /** Milliseconds without any progress after which a request, its repetitions included, has failed. */
  timeoutMs: number
  /** Bytes of each part of every large object, instead of one from the estimate. At least 5 MiB. */
  partSize?: number
}

export type S3 = S3Options & {
  /** `s3 my-bucket/git.example.com` */
  name: string
  sdk: typeof import('@aws-sdk/client-s3')
  Upload: typeof import('@aws-sdk/lib-storage').Upload
  client: S3Client
  /** For downloads: a reader that pauses (a database that builds an index) is no stalled connection. */
  reading: S3Client
  /** Milliseconds of one attempt of a request. */
  attemptMs: number
}

const attempts = 3

/**
 * The clients of a store. Nothing is sent yet. Credentials come from the SDK's default chain: environment, profile,
 * role of the container or machine.
 */
export async function connectS3(options: S3Options): Promise<S3> {
  const sdk = await import('@aws-sdk/client-s3')
  const { Upload } = await import('@aws-sdk/lib-storage')
  const { NodeHttpHandler } = await import('@smithy/node-http-handler')
  const prefix = options.prefix.replace(/^\/+|\/+$/g, '')
  const attemptMs = Math.ceil(options.timeoutMs / attempts)
  const region = options.region ?? (await regionAround(sdk, options.endpoint))
  const configuration = (socketTimeout: number): S3ClientConfig => ({
    ...(region === null ? {} : { region }),
    ...(options.endpoint === null ? {} : { endpoint: options.endpoint, forcePathStyle: true }),
    maxAttempts: attempts,
    // Other servers refuse the checksums that AWS takes since 2025, or keep them as content. Ours are in the manifest.
    requestChecksumCalculation: options.endpoint === null ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Asks for a new connection each time, and waits for an answer that some servers never give.
    expectContinueHeader: false,
    // None of these has a default, and a request that takes too long is a mere warning without `throwOn...`.
    requestHandler: new NodeHttpHandler({
      connectionTimeout: Math.min(attemptMs, 5_000),
      requestTimeout: attemptMs,
      throwOnRequestTimeout: true,
      socketTimeout,
    }),
  })
  return {
    ...options,
    prefix,
    name: `s3 ${options.bucket}${prefix === '' ? '' : `/${prefix}`}`,
    sdk,
    Upload,
    attemptMs,
    client: new sdk.S3Client(configuration(attemptMs)),
    reading: new sdk.S3Client(configuration(0)),
  }
}

/** The region of the environment decides for an own endpoint too; without one such a server rarely minds. */
async function regionAround(sdk: S3['sdk'], endpoint: string | null): Promise<string | null> {
  if (endpoint === null) return null
  const client = new sdk.S3Client({})
  return client.config.region().catch(() => 'us-east-1')
}

/** A store's key as the bucket has it. */
export const bucketKey = (s3: S3, key: string): string => (s3.prefix === '' ? key : `${s3.prefix}/${key}`)

/** What the bucket has as the store's key. */
export const storeKey = (s3: S3, key: string): string =>
  s3.prefix === '' ? key : key.slice(s3.prefix.length + 1)

/** The default of AWS since 2023, said anyway; other servers may not know it. */
export const encryption = (s3: S3): { ServerSideEncryption?: 'AES256' } =>
  s3.endpoint === null ? { ServerSideEncryption: 'AES256' } : {}
