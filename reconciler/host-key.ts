import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Made once per state directory; hashes in labels and file names say nothing to somebody who guesses values. */
export function hostKey(stateDir: string): string {
  const file = join(stateDir, 'key')
  try {
    return readFileSync(file, 'utf8')
  } catch {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    try {
      writeFileSync(file, randomBytes(32).toString('hex'), { mode: 0o600, flag: 'wx' })
    } catch {
      // Another process was first; its key counts.
    }
    return readFileSync(file, 'utf8')
  }
}
