import type { ComposeModel } from '../compose/model.ts'
import type { Inspected, Running } from '../engine/engine.ts'
import { SamovarError } from '../errors.ts'
import type { DataIntent } from '../journal/operation.ts'
import type { Change } from '../plan/change.ts'
import { hold, type Standing } from '../plan/hold.ts'
import type { Target } from '../plan/target.ts'
import { serverOf, sizeInWords, sizesOfTheLast } from '../rollout/data.ts'
import { leastFreeDisk } from '../rollout/prepare.ts'
import type { ToldData } from './head-plan.ts'

export type Prospect = {
  change: Change
  target: Target
  /** The container that is swapped, looked at exactly; null when there is none. */
  seen: Inspected | null
  model: ComposeModel
  standing: Standing
  running: Running[]
  data: DataIntent | null
  told: ToldData | null
  freeDisk: number | null
  /** Why the change cannot be ordered, from a service that is swapped along. */
  problem: string | null
}

/**
 * What a roll-out of this change would refuse, as far as it can be told without its image: the same questions that
 * rollout/prepare.ts and rollout/data.ts ask of the real thing. Whether a container name is free and whether the stores
 * answer is not asked.
 */
export function problemsOf(prospect: Prospect): string[] {
  const { change, target, standing } = prospect
  const undisturbed = { ...standing, ignoreWindows: true, paused: new Set<string>(), stuck: [], setbacks: [] }
  const found = [hold(target, change, undisturbed), prospect.problem]
  if (change.action === 'replace' || change.action === 'create')
    found.push(
      otherMajor(prospect),
      anonymousVolume(prospect),
      littleDisk(prospect),
      ...dataProblems(prospect),
    )
  return [...new Set(found.filter((each) => each !== null))]
}

/** By the tag, since the image is not here: those of PostgreSQL begin with the major, as PG_MAJOR of the old one shows. */
function otherMajor({ target, seen, change }: Prospect): string | null {
  const before = seen?.imageDefaults?.Env?.find((entry) => entry.startsWith('PG_MAJOR='))?.slice(9)
  const majorIn = (tag: string | undefined) => /^v?(\d+)(?![\d])/.exec(tag ?? '')?.[1]
  const after = majorIn(target.image.tag)
  if (before === undefined || after === undefined || after === before) return null
  if (majorIn(change.current?.image.tag) !== before) return null
  return `${target.service} would go from PostgreSQL ${before} to ${after}, which cannot read the files of ${before}; next: stay on the same major, or move the data by dump and restore by hand`
}

/** The new image most likely declares the volumes that the old one does. */
function anonymousVolume({ seen, model, target }: Prospect): string | null {
  const service = model.services[target.service]
  const mounted = new Set([
    ...(service?.volumes ?? []).map((volume) => volume.target ?? ''),
    ...(service?.tmpfs ?? []).map((entry) => entry.split(':')[0] ?? ''),
  ])
  const declared = [...(seen?.anonymousVolumes ?? []), ...Object.keys(seen?.imageDefaults?.Volumes ?? {})]
  const path = declared.find((each) => !mounted.has(each))
  return path === undefined
    ? null
    : `${target.service}: ${path} is an anonymous volume; its data would be left behind with the old container; next: name it in the Compose file, as in "volumes: [${target.service}-data:${path}]", and copy the data into it once`
}

function littleDisk({ freeDisk, told }: Prospect): string | null {
  if (freeDisk === null) return null
  if (freeDisk < leastFreeDisk)
    return `only ${sizeInWords(freeDisk)} of disk are free; a roll-out wants at least ${sizeInWords(leastFreeDisk)}; next: docker system df shows where it went`
  const last = told?.last?.bytes ?? 0
  if (freeDisk >= sizesOfTheLast * last) return null
  return `${sizeInWords(freeDisk)} of disk are free; with data it wants ${sizesOfTheLast} times the size of the last backup (${sizeInWords(last)}); next: docker system df shows where it went`
}

function dataProblems({ data, running, standing }: Prospect): (string | null)[] {
  if (data === null) return []
  const half = standing.dirty.find((each) => data.owners.includes(each.service))
  const servers = data.databases.map(({ server }) => {
    // One that is not there yet may come with the same pull request.
    if (!running.some((each) => each.service === server)) return null
    try {
      serverOf(server, running)
      return null
    } catch (error) {
      if (!(error instanceof SamovarError)) throw error
      return `${error.message}; next: ${error.next}`
    }
  })
  const unfinished =
    half === undefined
      ? null
      : `the data of ${half.service} is only half put back from backup ${half.backup}; next: samovar restore ${half.backup}`
  return [unfinished, ...servers]
}
