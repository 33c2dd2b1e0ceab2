import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import type { FoundSecret } from '../desired-state/variables.ts'
import { clockTime } from '../wording.ts'

/** How long a value is taken as it was read, and how long nothing is asked after a failure. Milliseconds. */
const freshFor = 5 * 60_000
const quietFor = 60_000
/** Of one secret, its one repetition and the search for credentials included. */
const longest = 15_000

export type SecretsManager = {
  /**
   * The value of `NAME` or `NAME#key`; NAME may be an ARN, `#key` is a key of a secret that is a JSON object. Secrets
   * Manager is asked once in five minutes for each NAME. While it does not answer, the value last read stays in use.
   */
  read(reference: string): Promise<FoundSecret>
}

type Answer = { text: string } | { gone: FailedRead } | { failed: FailedRead }
type FailedRead = { why: string; next: string }
type Known = { text: string | null; readAt: number; answer: Answer; askedAt: number }

/**
 * Reads AWS Secrets Manager. Region, credentials and another address (AWS_ENDPOINT_URL_SECRETS_MANAGER) are as the SDK
 * reads them from the environment. The SDK is loaded when the first secret is asked for.
 *
 * @param now milliseconds since 1970
 * @param ask what asks for the text of one secret; tests hand in another one
 */
export function openSecretsManager(now: () => number = Date.now, ask = asker()): SecretsManager {
  const known = new Map<string, Known>()
  const asking = new Map<string, Promise<Known>>()

  const askOnce = async (name: string): Promise<Known> => {
    const answer = await ask(name)
    const before = known.get(name)
    const remembered = 'failed' in answer && before !== undefined ? before : { text: null, readAt: 0 }
    const { text, readAt } = 'text' in answer ? { text: answer.text, readAt: now() } : remembered
    const next: Known = { text, readAt, answer, askedAt: now() }
    known.set(name, next)
    return next
  }
  const current = async (name: string): Promise<Known> => {
    const before = known.get(name)
    const pause = before !== undefined && 'text' in before.answer ? freshFor : quietFor
    if (before !== undefined && now() - before.askedAt < pause) return before
    const running = asking.get(name) ?? askOnce(name).finally(() => asking.delete(name))
    asking.set(name, running)
    return running
  }

  return {
    async read(reference) {
      const [, name = '', key] = /^([^#]*)(?:#(.*))?$/.exec(reference) ?? []
      const { text, readAt, answer } = await current(name)
      if (text === null) {
        const { why, next } = 'gone' in answer ? answer.gone : (answer as { failed: FailedRead }).failed
        return { why: `${name}: ${why}`, next }
      }
      const found = valueIn(text, name, key)
      if ('why' in found || !('failed' in answer)) return found
      const outage = `${name}: ${answer.failed.why}; the value of ${clockTime(readAt)} stays in use; next: ${answer.failed.next}`
      return { ...found, outage }
    },
  }
}

/** What a secret says is never part of a sentence. */
function valueIn(text: string, name: string, key: string | undefined): FoundSecret {
  const correct = 'correct it in Secrets Manager, or the reference in host.yaml'
  if (key === undefined) {
    const value = text.replace(/\r?\n$/, '')
    return value === '' ? { why: `${name} is empty in Secrets Manager`, next: correct } : { value }
  }
  const object = objectIn(text)
  if (object === null) return { why: `${name} is no JSON object, so it has no key ${key}`, next: correct }
  const value = Object.hasOwn(object, key) ? object[key] : undefined
  if (typeof value === 'number' || typeof value === 'boolean') return { value: String(value) }
  if (typeof value === 'string' && value !== '') return { value }
  return { why: `${name} has no text under the key ${key}`, next: correct }
}

function objectIn(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}

/** One client for all; made when first needed. */
function asker(): (name: string) => Promise<Answer> {
  let connected: Promise<Connected> | null = null
  return async (name) => {
    connected ??= connect()
    const timer = Promise.withResolvers<never>()
    const late = setTimeout(() => timer.reject(new Error('TimeoutError')), longest)
    try {
      const { sdk, client } = await connected
      const command = new sdk.GetSecretValueCommand({ SecretId: name })
      // The search for credentials does not listen to signals.
      const said = await Promise.race([client.send(command), timer.promise])
      if (said.SecretString !== undefined) return { text: said.SecretString }
      return { gone: { why: 'it is binary in Secrets Manager', next: 'store it as text' } }
    } catch (error) {
      return answerOf(error)
    } finally {
      clearTimeout(late)
    }
  }
}

type Connected = { sdk: typeof import('@aws-sdk/client-secrets-manager'); client: SecretsManagerClient }

async function connect(): Promise<Connected> {
  const sdk = await import('@aws-sdk/client-secrets-manager')
  const { NodeHttpHandler } = await import('@smithy/node-http-handler')
  const client = new sdk.SecretsManagerClient({
    // One repetition.
    maxAttempts: 2,
    // None of these has a default, and a request that takes too long is a mere warning without `throwOn...`.
    requestHandler: new NodeHttpHandler({
      connectionTimeout: 3_000,
      requestTimeout: 5_000,
      throwOnRequestTimeout: true,
    }),
  })
  return { sdk, client }
}

/** What AWS says about the request may name accounts and roles, so only the kind of its error is told. */
function answerOf(error: unknown): Answer {
  const { name = 'Error', message = '' } = error instanceof Error ? error : {}
  const correct = 'create it there, or correct the reference in host.yaml'
  switch (name) {
    case 'ResourceNotFoundException':
      return { gone: { why: 'it is not in Secrets Manager of this region and account', next: correct } }
    case 'InvalidRequestException':
      return { gone: { why: 'Secrets Manager does not give it (is it marked for deletion?)', next: correct } }
    case 'ValidationException':
    case 'InvalidParameterException':
      return { gone: { why: 'Secrets Manager takes this for no name of a secret', next: correct } }
    case 'CredentialsProviderError':
      return {
        failed: {
          why: 'no AWS credentials were found',
          next: 'give this machine a role, or Samovar AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
        },
      }
    case 'AccessDeniedException':
    case 'DecryptionFailure':
      return {
        failed: {
          why: `AWS does not allow to read it (${name})`,
          next: 'allow Samovar secretsmanager:GetSecretValue for it, and kms:Decrypt for its key',
        },
      }
    default:
      if (/region/i.test(message) && /missing/i.test(message))
        return { failed: { why: 'no AWS region is set', next: 'set AWS_REGION for Samovar' } }
      return {
        failed: {
          why: `Secrets Manager does not answer (${message === 'TimeoutError' ? message : name})`,
          next: 'look at the network and at the state of AWS; Samovar asks again by itself',
        },
      }
  }
}
