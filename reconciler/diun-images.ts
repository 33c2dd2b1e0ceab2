import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DesiredState } from './desired-state.ts'
import { renderDiunImages } from './version-bumps/render-diun.ts'

/**
 * Keeps `diun/images.yml` below the state directory as the desired state in force says. Diun has that folder mounted and
 * reads the file anew at each of its runs, so neither it nor a commit has to follow when a tag changes. A folder that
 * cannot be written stops nothing: an old file costs events, not versions, since the registries are asked by the clock.
 *
 * @param stateDir absolute
 */
export function keepDiunImages(stateDir: string, state: DesiredState): void {
  const folder = join(stateDir, 'diun')
  const file = join(folder, 'images.yml')
  const text = renderDiunImages(state)
  try {
    if (readOr(file) === text) return
    mkdirSync(folder, { recursive: true, mode: 0o755 })
    writeFileSync(`${file}.new`, text, { mode: 0o644 })
    renameSync(`${file}.new`, file)
  } catch {
    // Said above.
  }
}

function readOr(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
