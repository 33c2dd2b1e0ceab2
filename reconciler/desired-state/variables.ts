import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Host, SecretReference } from '../desired-state.ts'

/** A password or key; whatever is larger was named by mistake. */
const largestSecret = 64 * 1024

/** A secret that host.yaml names and this host does not have. */
export type MissingSecret = {
  /** Of the variable. */
  name: string
  /** What stands for its value in the model: nobody can guess it, so it is found wherever the value would have gone. */
  standIn: string
  /** `/etc/samovar/key does not exist` */
  why: string
  next: string
}

/** A value, or why there is none. `outage`: the value is an earlier one, since its place could not be asked. */
export type FoundSecret = { value: string; outage?: string } | { why: string; next: string }

export type SecretSources = {
  /** Reads one environment variable of Samovar (settings.ts is the only one that may). */
  lookup: (name: string) => string | undefined
  /** Reads `NAME#key` of AWS Secrets Manager. */
  secretsManager: (reference: string) => Promise<FoundSecret>
  standIn: (name: string) => string
}

export type ResolvedVariables = {
  /** Of what is missing its stand-in. */
  variables: Record<string, string>
  /** Value of each secret by the name of its variable: what must be masked wherever text leaves Samovar. */
  secrets: Map<string, string>
  missing: MissingSecret[]
  /** Why values are earlier ones, each sentence once. */
  outages: string[]
}

/**
 * The values of `variables` in host.yaml, secrets included. One that cannot be had is no error here: it only holds the
 * services that use it.
 */
export async function resolveVariables(
  host: Pick<Host, 'variables'>,
  sources: SecretSources,
): Promise<ResolvedVariables> {
  const named = Object.entries(host.variables)
  const found = await Promise.all(
    named.map(async ([, value]) => (typeof value === 'string' ? { value } : resolveSecret(value, sources))),
  )
  const resolved: ResolvedVariables = { variables: {}, secrets: new Map(), missing: [], outages: [] }
  for (const [index, [name, written]] of named.entries()) {
    const each = found[index] as FoundSecret
    if ('why' in each) {
      const standIn = sources.standIn(name)
      resolved.variables[name] = standIn
      resolved.missing.push({ name, standIn, ...each })
      continue
    }
    resolved.variables[name] = each.value
    if (typeof written !== 'string') resolved.secrets.set(name, each.value)
    if (each.outage !== undefined && !resolved.outages.includes(each.outage))
      resolved.outages.push(each.outage)
  }
  return resolved
}

/** `the secret TOKEN is missing: /etc/token does not exist; next: create it ...` */
export const missingSentence = ({ name, why, next }: MissingSecret): string =>
  `the secret ${name} is missing: ${why}; next: ${next}`

/**
 * Stands in for resolveVariables where no secret may be needed (`validate` in a pull request): plain values as they
 * are, and for each secret a text that is no secret.
 * @param standIn that text
 */
export function standInVariables(
  host: Pick<Host, 'variables'>,
  standIn: (name: string) => string = (name) => `secret-${name}`,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(host.variables).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : standIn(name),
    ]),
  )
}

/** The secrets of a host.yaml that another one names alike: by the same name, and from the same place. */
export function sharedSecrets(
  host: Pick<Host, 'variables'>,
  other: Pick<Host, 'variables'>,
): Record<string, SecretReference> {
  const isShared = ([name, value]: [string, string | SecretReference]): boolean => {
    const there = Object.hasOwn(other.variables, name) ? other.variables[name] : undefined
    return typeof value !== 'string' && typeof there === 'object' && there.secret === value.secret
  }
  return Object.fromEntries(Object.entries(host.variables).filter(isShared)) as Record<
    string,
    SecretReference
  >
}

/** The value that a reference leads to: `env:NAME`, `file:/path`, `aws-sm:NAME#KEY`. */
export async function resolveSecret(
  { secret }: SecretReference,
  sources: Omit<SecretSources, 'standIn'>,
): Promise<FoundSecret> {
  const [kind, ...rest] = secret.split(':')
  const place = rest.join(':')
  if (kind === 'file') return readSecretFile(place)
  if (kind === 'aws-sm') return sources.secretsManager(place)
  const value = sources.lookup(place)
  const next = 'set it for Samovar and start it again'
  if (value === undefined) return { why: `the environment variable ${place} is not set`, next }
  return value === '' ? { why: `the environment variable ${place} is empty`, next } : { value }
}

/** One trailing line end is cut, as editors add one. */
async function readSecretFile(path: string): Promise<FoundSecret> {
  try {
    // NONBLOCK: a FIFO must not keep the whole reconciler waiting.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const facts = await handle.stat()
      if (!facts.isFile()) return { why: `${path} is not a regular file`, next: 'put the value into one' }
      if (facts.size > largestSecret)
        return { why: `${path} is larger than 64 KiB`, next: 'look whether it is the right file' }
      const value = (await handle.readFile('utf8')).replace(/\r?\n$/, '')
      return value === '' ? { why: `${path} is empty`, next: 'write the value into it' } : { value }
    } finally {
      await handle.close()
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT')
      return { why: `${path} does not exist`, next: 'create it, readable for Samovar only' }
    return { why: `${path} cannot be read (${code ?? 'unknown error'})`, next: 'check its owner and mode' }
  }
}
