import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Running } from './engine/engine.ts'

/** Younger folders stay: another look may have just written one for a container that is not there yet. */
const youngest = 60 * 60_000

/**
 * Removes the content-addressed folders that no container mounts and the desired state does not ask for. A container
 * that was set aside counts: it must find its old files when it comes back.
 *
 * @param wanted text in which the paths of the desired state occur
 * @param now milliseconds since 1970
 */
export async function removeUnusedMountedFiles(
  stateDir: string,
  about: { running: Running[]; wanted: string; now: number },
): Promise<void> {
  const files = join(stateDir, 'files')
  const inUse = about.running.flatMap((each) => each.mounts)
  for (const name of await readdir(files).catch(() => [])) {
    const folder = join(files, name)
    if (about.wanted.includes(folder) || inUse.some((path) => path.startsWith(`${folder}/`))) continue
    const { mtimeMs } = await stat(folder)
    if (about.now - mtimeMs > youngest) await rm(folder, { recursive: true, force: true })
  }
}
