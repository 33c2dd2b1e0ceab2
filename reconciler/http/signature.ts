import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Secret } from '../settings.ts'

/** Whether it is set to something: an empty file of a secret leaves an empty text. */
export const isSet = (secret: Secret | null): secret is Secret => secret !== null && secret.reveal() !== ''

/**
 * Whether a header can be a signature of Gitea at all: HMAC-SHA256 in lower-case hexadecimal without a prefix. Gitea
 * sends the header also for a webhook without a secret, with nothing in it.
 */
export const looksLikeSignature = (signature: unknown): signature is string =>
  typeof signature === 'string' && /^[0-9a-f]{64}$/.test(signature)

/**
 * Whether the body was signed with the secret. Takes the same time whichever byte differs.
 *
 * @param bytes the body as it came over the wire: Gitea signs those, and another way to write the same JSON is another body
 */
export function isSigned(
  bytes: Buffer,
  { secret, signature }: { secret: Secret; signature: string },
): boolean {
  if (!looksLikeSignature(signature)) return false
  const expected = createHmac('sha256', secret.reveal()).update(bytes).digest()
  return timingSafeEqual(expected, Buffer.from(signature, 'hex'))
}

/** Whether `Authorization` carries the token. Both are hashed first, so that neither length nor content is told by the time it takes. */
export function bearsToken(authorization: string | undefined, token: Secret): boolean {
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? ''
  const isSame = timingSafeEqual(hashOf(given), hashOf(token.reveal()))
  return isSame && given !== ''
}

const hashOf = (text: string): Buffer => createHash('sha256').update(text).digest()
