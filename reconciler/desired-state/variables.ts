import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Host, SecretReference } from '../desired-state.ts'
import { SamovarError } from '../errors.ts'

/** A password or key; whatever is larger was named by mistake. */
const largestSecret = 64 * 1024

export type ResolvedVariables = {
  variables: Record<string, string>
  /** Every value that came from a secret: what must be masked wherever text leaves Samovar. */
  secrets: Set<string>
}

/**
 * The values of `variables` in host.yaml, secrets included.
 * @param lookup reads one environment variable of Samovar (settings.ts is the only one that may)
 * @throws SamovarError `settings-invalid` that names every variable without a value, and never a value
 */
export async function resolveVariables(
  host: Pick<Host, 'variables'>,
  lookup: (name: string) => string | undefined,
): Promise<ResolvedVariables> {
  const secrets = new Set<string>()
  const problems: string[] = []
  const entries: [string, string][] = []
  for (const [name, value] of Object.entries(host.variables)) {
    const found = typeof value === 'string' ? { value } : await resolveSecret(value, lookup)
    if ('problem' in found) {
      problems.push(`${name}: ${found.problem}`)
      continue
    }
    entries.push([name, found.value])
    if (typeof value !== 'string') secrets.add(found.value)
  }
  if (problems.length > 0) {
    throw new SamovarError(
      'settings-invalid',
      `The variables of host.yaml are not complete: ${problems.join('; ')}.`,
      {
        next: 'Give Samovar what is missing and start it again, or correct the reference in host.yaml.',
      },
    )
  }
  return { variables: Object.fromEntries(entries), secrets }
}

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

type Found = { value: string } | { problem: string }

async function resolveSecret(
  { secret }: SecretReference,
  lookup: (name: string) => string | undefined,
): Promise<Found> {
  const [kind, ...rest] = secret.split(':')
  const place = rest.join(':')
  if (kind === 'env') {
    const value = lookup(place)
    if (value === undefined)
      return { problem: `the environment variable ${place} is not set; set it for Samovar` }
    return value === ''
      ? { problem: `the environment variable ${place} is empty; set it for Samovar` }
      : { value }
  }
  if (kind === 'file') return readSecretFile(place)
  return { problem: 'aws-sm: is not supported yet; use env:NAME or file:/path' }
}

/** One trailing line end is cut, as editors add one. */
async function readSecretFile(path: string): Promise<Found> {
  try {
    // NONBLOCK: a FIFO must not keep the whole reconciler waiting.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const facts = await handle.stat()
      if (!facts.isFile()) return { problem: `${path} is not a regular file; put the value into one` }
      if (facts.size > largestSecret)
        return { problem: `${path} is larger than 64 KiB; is it the right file?` }
      const value = (await handle.readFile('utf8')).replace(/\r?\n$/, '')
      return value === '' ? { problem: `${path} is empty; write the value into it` } : { value }
    } finally {
      await handle.close()
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT')
      return { problem: `${path} does not exist; create it with the value, readable for Samovar only` }
    return { problem: `${path} cannot be read (${code ?? 'unknown error'}); check its owner and mode` }
  }
}
