import { SamovarError, sentenceOf } from '../errors.ts'
import type { S3 } from './s3-client.ts'

/** What the SDK throws, as far as it can be relied upon. */
export type S3Failure = { name: string; code: string; status: number; message: string }

export function failureOf(error: unknown): S3Failure {
  const seen = (error ?? {}) as {
    name?: string
    code?: string
    errors?: { code?: string }[]
    $metadata?: { httpStatusCode?: number }
  }
  return {
    name: seen.name ?? 'Error',
    // A name with several addresses fails with one error for each.
    code: seen.code ?? seen.errors?.[0]?.code ?? '',
    status: seen.$metadata?.httpStatusCode ?? 0,
    message: sentenceOf(error),
  }
}

export const isMissingObject = (error: unknown): boolean => {
  const { name, status } = failureOf(error)
  return name !== 'NoSuchBucket' && (status === 404 || name === 'NoSuchKey' || name === 'NotFound')
}
/** Another object has the key, or another write of it is going on. */
export const isTaken = (error: unknown): boolean => {
  const { name, status } = failureOf(error)
  return status === 412 || name === 'PreconditionFailed' || name === 'ConditionalRequestConflict'
}
export const isForbidden = (error: unknown): boolean => failureOf(error).status === 403

type Advice = { why: string; next: string }

/**
 * An error of the SDK as a sentence with the next step. It carries what the server said and never a credential; an
 * error of Samovar stays what it is.
 *
 * @param doing what was tried, as in "writing v1/..."
 */
export function s3Error(s3: S3, doing: string, error: unknown): SamovarError {
  if (error instanceof SamovarError) return error
  const failure = failureOf(error)
  const { why, next } = adviceFor(s3, failure)
  // The SDK's own error has the request in it; only its words go on.
  return new SamovarError('store-failed', `${s3.name}: ${doing} failed: ${why}`, {
    next,
    cause: new Error(
      `${failure.name} ${failure.code} ${failure.status}: ${failure.message}`.replace(/ +/g, ' '),
    ),
  })
}

function adviceFor(s3: S3, failure: S3Failure): Advice {
  const where = s3.endpoint === null ? 'AWS S3' : new URL(s3.endpoint).host
  const { name, code, status, message } = failure
  return (
    unreachable(where, code, name) ??
    refused(s3, failure) ??
    overloaded(where, name, status) ?? {
      why: said(where, failure),
      next:
        status === 403
          ? policyAdvice(s3)
          : message.startsWith('Exceeded')
            ? 'The object became far larger than was expected: S3 takes 10,000 parts of one.'
            : `Check the store with \`samovar doctor\`; ${where} refused or broke off the request.`,
    }
  )
}

const said = (where: string, { name, status, message }: S3Failure): string =>
  status === 0 ? `${name}: ${message}` : `${where} said ${name} (HTTP ${status}): ${message}`

const policyAdvice = (s3: S3): string =>
  `Check the policy of these credentials: they need s3:PutObject, s3:GetObject, s3:AbortMultipartUpload on ${bucketArn(s3)}` +
  ' and s3:ListBucket, s3:ListBucketMultipartUploads on the bucket (and s3:DeleteObject for `prune`).'

const bucketArn = (s3: S3): string => `arn:aws:s3:::${s3.bucket}/${s3.prefix === '' ? '' : `${s3.prefix}/`}*`

function unreachable(where: string, code: string, name: string): Advice | null {
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return {
      why: `the name ${where} is not known (${code})`,
      next: 'Check SAMOVAR_S3_ENDPOINT, the region and DNS on this host.',
    }
  if (['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH'].includes(code))
    return {
      why: `${where} cannot be reached (${code})`,
      next: 'Check that the server runs, SAMOVAR_S3_ENDPOINT, the network and the firewall.',
    }
  if (name === 'TimeoutError' || name === 'AbortError' || code === 'ETIMEDOUT')
    return {
      why: `${where} did not answer in time`,
      next: 'Check the network to it; SAMOVAR_STORE_TIMEOUT is how long it may take.',
    }
  if (code === 'ECONNRESET' || code === 'EPIPE')
    return {
      why: `${where} cut the connection (${code})`,
      next: 'Check the network and proxies on the way, then try again.',
    }
  if (/CERT|SIGNATURE|SSL|TLS/.test(code))
    return {
      why: `the certificate of ${where} is not trusted (${code})`,
      next: 'Name your own certificate authority in NODE_EXTRA_CA_CERTS, or correct the certificate.',
    }
  return null
}

const credentialProblems = new Set([
  'CredentialsProviderError',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidToken',
  'TokenRefreshRequired',
])
const regionProblems = new Set([
  'PermanentRedirect',
  'MovedPermanently',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
])

function refused(s3: S3, { name, message }: S3Failure): Advice | null {
  if (name === 'NoSuchBucket')
    return {
      why: `there is no bucket ${s3.bucket}`,
      next: 'Create it, or correct `s3:` in host.yaml (bucket, then the prefix).',
    }
  if (credentialProblems.has(name))
    return {
      why: `the credentials are missing or not accepted (${name})`,
      next: 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile, or the role of this machine.',
    }
  if (message === 'Region is missing')
    return { why: 'no region is known', next: 'Add `region:` to the store in host.yaml, or set AWS_REGION.' }
  if (regionProblems.has(name))
    return {
      why: `the bucket ${s3.bucket} is in another region (${name})`,
      next: 'Correct `region:` of the store in host.yaml.',
    }
  if (name === 'RequestTimeTooSkewed')
    return { why: 'the clock of this host is wrong', next: 'Set the clock (`timedatectl`).' }
  return null
}

function overloaded(where: string, name: string, status: number): Advice | null {
  if (status === 507 || /StorageFull|QuotaExceeded|InsufficientStorage/.test(name))
    return { why: `${where} has no space left (${name})`, next: 'Free some space there, or raise the quota.' }
  if (status < 500) return null
  return {
    why: `${where} is overloaded or broken (${name}, HTTP ${status})`,
    next: 'Nothing to do when it passes: the next backup tries again. Else look at the server.',
  }
}
