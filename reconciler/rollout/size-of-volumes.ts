import type { DataIntent, Operation } from '../journal/operation.ts'
import type { Work } from './step.ts'

/** A volume of many millions of files; the service still serves meanwhile. */
const longest = 10 * 60_000

/**
 * What the volumes take on the disk, asked of `du` in a container of an image of this host, before the first backup:
 * uploads are cut into parts by it, and free disk is measured by it. Later the backup before tells it better.
 *
 * @returns bytes, or null when no program tells
 */
export async function sizeOfVolumes(
  work: Work,
  operation: Operation,
  data: DataIntent,
): Promise<number | null> {
  if (data.eraser === null || data.volumes.length === 0) return null
  const folders = data.volumes.map((_, index) => `/samovar-${index}`)
  try {
    const instance = await work.engine.scratch(operation.id, {
      image: data.eraser,
      volumes: Object.fromEntries(data.volumes.map((each, index) => [each.volumeName, folders[index] ?? ''])),
      command: ['du', '-s', '-k', ...folders],
      environment: {},
      user: '0',
    })
    await work.engine.startScratch(instance)
    const { exitCode, output } = await work.engine.scratchEnded(instance, longest)
    const sizes = [...output.matchAll(/^(\d+)\s+\/samovar-\d+$/gm)].map(([, kibibytes]) => Number(kibibytes))
    if (exitCode !== 0 || sizes.length !== folders.length) return null
    return sizes.reduce((sum, each) => sum + each, 0) * 1024
  } catch {
    return null
  } finally {
    await work.engine.removeScratch(operation.id)
  }
}
