import { sentenceOf } from '../errors.ts'

const connectionReasons: Record<string, string> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection was closed before the answer was complete',
  EPIPE: 'connection was closed before the answer was complete',
  ENOTFOUND: 'the name is not known',
  EAI_AGAIN: 'the name could not be looked up',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'connection timed out',
  CERT_HAS_EXPIRED: 'the certificate has expired',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is not trusted (self-signed)',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate is not trusted (unknown authority)',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the certificate is not trusted (unknown authority)',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate is not trusted (unknown authority)',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is for another name',
  EPROTO: 'the other side does not speak TLS',
}

/** Why a connection failed, as a few words for a sentence; takes any thrown value. */
export function connectionSentence(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code.startsWith('HPE_')) return 'the answer is not HTTP'
  return connectionReasons[code] ?? sentenceOf(error)
}

/** A URL that may be shown: user and password become `***`; text that is no URL stays as it is. */
export function withoutUserinfo(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:)?\/\/[^/?#]*@/i, '$1//***@')
}
