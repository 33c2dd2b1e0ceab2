import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Folders that tests make begin with this and the run's id, so that a killed run's can be found. */
export const tempPrefix = 'samovar-test-'

export type TempFolder = { path: string } & AsyncDisposable

/** A folder that is gone at the end of the block: `await using folder = await tempFolder('what-for')`. */
export async function tempFolder(purpose: string): Promise<TempFolder> {
  const run = process.env['SAMOVAR_TEST_RUN'] ?? 'no-run'
  const path = await realpath(await mkdtemp(join(tmpdir(), `${tempPrefix}${run}-${purpose}-`)))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) }
}
