import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { SamovarError } from '../errors.ts'

/** Where bootstrap keeps what nobody shall read; one that is told to change nothing writes nothing. */
export type SecretFiles = {
  /** Without white space at its ends; null when there is no such file, or an empty one. */
  read(path: string): string | null
  write(path: string, secret: string): void
}

/** Files that only their owner may read (mode 0600), replaced as a whole. */
export const secretFiles: SecretFiles = {
  read(path) {
    try {
      return readFileSync(path, 'utf8').trim() || null
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw unusable(path, 'read', error)
    }
  },
  write(path, secret) {
    const draft = `${path}.${randomBytes(4).toString('hex')}`
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    } catch (error) {
      throw unusable(path, 'written', error)
    }
    try {
      writeFileSync(draft, `${secret}\n`, { mode: 0o600, flag: 'wx', flush: true })
      renameSync(draft, path)
    } catch (error) {
      rmSync(draft, { force: true })
      throw unusable(path, 'written', error)
    }
  },
}

function unusable(path: string, act: string, error: unknown): SamovarError {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
  return new SamovarError('settings-invalid', `${path} cannot be ${act}: ${code}`, {
    next: 'Name a file that this user may write: --token-file for the token, --secret-file for the webhook secret.',
    cause: error,
  })
}
