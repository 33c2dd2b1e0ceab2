import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Host } from '../desired-state.ts'
import { SamovarError } from '../errors.ts'
import { isRegistrationToken, type SecretKind, secretKind } from './secret-kinds.ts'

/** A `file:` secret of host.yaml that is not on this host. */
export type MissingFile = { variable: string; path: string; kind: SecretKind | null }

/** Those whose file is missing or empty; what Gitea makes later is not among them. */
export function missingFiles(host: Pick<Host, 'variables'>): MissingFile[] {
  return fileSecrets(host)
    .filter(({ variable, path }) => !isRegistrationToken(variable) && !isThere(path))
    .map((each) => ({ ...each, kind: secretKind(each.variable) }))
}

/** Where the registration token of the runners goes, once for each file. */
export function registrationFiles(host: Pick<Host, 'variables'>): string[] {
  const found = fileSecrets(host).filter(({ variable }) => isRegistrationToken(variable))
  return [...new Set(found.map(({ path }) => path))]
}

/** Variables of Samovar's own environment that host.yaml names and that are not set. */
export function missingVariables(
  host: Pick<Host, 'variables'>,
  lookup: (name: string) => string | undefined,
): string[] {
  const named = Object.values(host.variables).flatMap((value) =>
    typeof value !== 'string' && value.secret.startsWith('env:') ? [value.secret.slice('env:'.length)] : [],
  )
  return named.filter((name) => !lookup(name))
}

function fileSecrets(host: Pick<Host, 'variables'>): { variable: string; path: string }[] {
  return Object.entries(host.variables).flatMap(([variable, value]) =>
    typeof value !== 'string' && value.secret.startsWith('file:')
      ? [{ variable, path: value.secret.slice('file:'.length) }]
      : [],
  )
}

export const isThere = (path: string): boolean => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0

/**
 * A new file with mode 0600, complete from its first moment on; never in place of one that is there.
 *
 * @returns false when somebody else made it meanwhile
 * @throws SamovarError `settings-invalid`
 */
export function makeSecretFile(path: string, secret: string): boolean {
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  } catch (error) {
    throw unusable(path, error)
  }
  try {
    // An empty file holds nothing that could be lost.
    if (statSync(path, { throwIfNoEntry: false })?.size === 0) rmSync(path)
    const file = openSync(draft, 'wx', 0o600)
    writeSync(file, `${secret}\n`)
    fsyncSync(file)
    closeSync(file)
    linkSync(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw unusable(path, error)
  } finally {
    rmSync(draft, { force: true })
  }
}

function unusable(path: string, error: unknown): SamovarError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error)
  return new SamovarError('settings-invalid', `${path} cannot be made: ${code}`, {
    next: 'Run this as root, or write the secret into it yourself.',
    cause: error,
  })
}
