import type { LocalImage, Running } from '../engine/engine.ts'
import type { DataIntent, Operation } from '../journal/operation.ts'
import type { Journal } from '../journal.ts'
import type { Target } from '../plan/target.ts'
import { whenToStart } from '../plan/when-to-start.ts'
import { type WindowStanding, windowsOf } from '../plan/window-hold.ts'
import { lastOf, sizesOfTheLast } from '../rollout/data.ts'
import type { HeadChange, ToldData } from './head-plan.ts'

/** Older roll-outs say little about the next. */
const lastRollOuts = 9
const lookedBack = 200

/**
 * How long the service will be away: the median of its last roll-outs that held. A service that has none gets that of
 * all services; null when nothing was ever replaced here.
 */
export function expectedDowntime(journal: Pick<Journal, 'history'>, service: string): HeadChange['downtime'] {
  const own = downtimes(journal.history(lookedBack, service))
  if (own.length > 0) return { ms: median(own), of: 'service', count: own.length }
  const all = downtimes(journal.history(lookedBack))
  return all.length > 0 ? { ms: median(all), of: 'host', count: all.length } : null
}

function downtimes(operations: Operation[]): number[] {
  return operations
    .filter(({ kind, result }) => kind === 'replace' && result === 'applied')
    .flatMap(({ downtimeMs }) => downtimeMs ?? [])
    .slice(0, lastRollOuts)
}

export function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}

/** What will be copied, and how large the copy before was. */
export function expectedData(journal: Pick<Journal, 'recordedBackups'>, data: DataIntent): ToldData {
  const last = lastOf({ journal } as Parameters<typeof lastOf>[0], data)
  return {
    owners: data.owners,
    databases: data.databases.map(({ server, database }) => ({ server, database })),
    volumes: data.volumes.map(({ volume }) => volume),
    while: data.while,
    stop: [...new Set([...data.stop, ...data.stopAfterDumps])],
    restore: data.restore,
    last: last === null ? null : { bytes: last.plainBytes, at: last.at },
  }
}

/**
 * When the change may start by the windows: by the one it names, and by those that deny. Of a change that names none only
 * a start that is put off is told.
 */
export function expectedStart(
  { service, window }: Pick<Target, 'service' | 'window'>,
  standing: WindowStanding & { now: number },
): HeadChange['window'] {
  const windows = windowsOf({ windows: [window] }, standing)
  const start = whenToStart(windows, standing.now, standing.takes.get(service) ?? 0)
  if (start.obstacle !== null) return { name: start.obstacle.window.name, opensAt: start.at }
  return windows.allow.length === 0 ? null : { name: window ?? '', opensAt: null }
}

/**
 * What new images and the copy of the data will take, as far as it is known: a new image is taken to be as large as the
 * one that runs, and of the data the largest counts, since one service is worked on at a time.
 *
 * @returns bytes, or null when there is nothing to go by
 */
export function expectedDisk(
  changed: { target: Target; current: Running | null; data: ToldData | null }[],
  local: LocalImage[],
): number | null {
  const here = new Set(local.flatMap((image) => image.digests))
  const bytesOf = new Map(local.map((image) => [image.id, image.bytes]))
  const images = new Map<string, number>()
  for (const { target, current } of changed) {
    const bytes = bytesOf.get(current?.image.id ?? '')
    if (bytes !== undefined && !here.has(target.image.digest)) images.set(target.image.digest, bytes)
  }
  const copies = changed.map(({ data }) => sizesOfTheLast * (data?.last?.bytes ?? 0))
  const needed = [...images.values()].reduce((sum, bytes) => sum + bytes, 0) + Math.max(0, ...copies)
  return needed === 0 ? null : needed
}
