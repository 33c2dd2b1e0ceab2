import type { Means } from '../backup/back-up.ts'
import type { OpenStore } from '../backup/open-stores.ts'
import { emptyCommand } from '../backup/put-back.ts'
import type { Running } from '../engine/engine.ts'
import { codeOf, SamovarError, sentenceOf } from '../errors.ts'
import { durationInWords } from '../health/clock.ts'
import type { DataIntent, Operation } from '../journal/operation.ts'
import { containerOf } from '../plan/plan.ts'
import { sizeOfVolumes } from './size-of-volumes.ts'
import type { Work } from './step.ts'

/** Free disk that a roll-out with data wants, in sizes of the last backup: database and files twice, and some air. */
export const sizesOfTheLast = 2.5

/**
 * Everything about the data that can fail while the old version still serves: the stores answer, there is disk, the
 * database servers run, and an image is here in whose containers a volume can be emptied.
 */
export async function prepareData(work: Work, operation: Operation): Promise<string> {
  const { data } = operation.intent
  if (data === undefined) return 'no data'
  const stores = await storesOf(work, data)
  // What is only read needs no right to write.
  const writes = operation.kind !== 'restore' || operation.intent.safety === true
  if (writes) await tryStores(data, stores)
  if (operation.kind !== 'restore') refuseHalfRestored(work, data)
  const running = await work.engine.observe(work.project)
  // One whose own files are put back need not run for that; it may not even be there yet.
  for (const { server } of data.databases)
    if (writes || !data.stopAfterDumps.includes(server)) serverOf(server, running)
  await refuseStrangers(work, operation, running)
  if (data.volumes.length > 0) data.eraser = await findEraser(work, operation, running)
  data.estimate = lastOf(work, data)?.plainBytes ?? (await sizeOfVolumes(work, operation, data))
  await refuseLittleDisk(work, data.estimate)
  const good = stores.map(({ store }) => store.name).filter((name) => !isWithout(data, name))
  const silent = (data.without ?? []).map(({ store, said }) => `; ${store} is left out: ${said}`)
  return `${good.join(' and ')} ${good.length === 1 ? 'answers' : 'answer'}${silent.join('')}`
}

/** One that is not required and fails here is left out, so that nobody stands still while it is waited for. */
async function tryStores(data: DataIntent, stores: OpenStore[]): Promise<void> {
  data.without = []
  for (const { store, policy } of stores) {
    try {
      await store.check()
    } catch (error) {
      if (policy.required) throw error
      data.without.push({ store: store.name, said: sentenceOf(error) })
    }
  }
}

export const isWithout = (data: DataIntent, store: string): boolean =>
  data.without?.some((each) => each.store === store) === true

export const storesOf = (work: Work, data: DataIntent): Promise<OpenStore[]> => work.backups.open(data.stores)

/** What copying and putting back works with, for this operation. */
export function meansOf(work: Work, operation: Operation): Means {
  return {
    engine: work.engine,
    now: work.now,
    key: work.backups.key,
    stopping: work.stopping,
    progress: (seen) => work.progress.data(operation, seen),
  }
}

/** Found while everything still serves, and not when the files are to be put back. */
async function refuseStrangers(work: Work, operation: Operation, running: Running[]): Promise<void> {
  const { data, members } = operation.intent
  if (data === undefined || !data.restore || operation.kind === 'backup') return
  const ours = new Set([...data.stop, ...data.stopAfterDumps, ...members.map((member) => member.service)])
  const known = new Set(running.filter((each) => ours.has(each.service)).map((each) => each.instance))
  for (const { volumeName } of data.volumes) {
    const strangers = (await work.engine.mounting(volumeName)).filter(
      (each) => each.running && !known.has(each.instance) && !each.name.startsWith('samovar-scratch-'),
    )
    if (strangers.length === 0) continue
    throw new SamovarError(
      'data-not-covered',
      `${strangers.map((each) => each.name).join(', ')} runs on the volume ${volumeName}, so its files could not be put back`,
      { next: 'Stop that container, or name its service in the Compose files, so that Samovar stops it.' },
    )
  }
}

/** A copy of what is only half there would be taken for the newest good one. */
function refuseHalfRestored(work: Work, data: DataIntent): void {
  const half = work.journal.dirty().find((each) => data.owners.includes(each.service))
  if (half === undefined) return
  throw new SamovarError(
    'restore-incomplete',
    `the data of ${half.service} is only half put back from backup ${half.backup}`,
    { next: `samovar restore ${half.backup}` },
  )
}

async function refuseLittleDisk(work: Work, bytes: number | null): Promise<void> {
  const free = await work.engine.freeDisk()
  if (free === null || bytes === null || free >= sizesOfTheLast * bytes) return
  throw new SamovarError(
    'disk-full',
    `${sizeInWords(free)} of disk are free; with data it wants ${sizesOfTheLast} times the size of the last backup (${sizeInWords(bytes)})`,
  )
}

/** The newest backup of the same services that this host took. */
export const lastOf = (work: Pick<Work, 'journal'>, data: Pick<DataIntent, 'owners'>) =>
  work.journal
    .recordedBackups()
    .find((each) => each.services.toSorted().join() === data.owners.toSorted().join()) ?? null

/** The running container of a database server. */
export function serverOf(server: string, running: Running[]): Running {
  const current = containerOf(server, running)
  if (current?.state === 'running') return current
  throw new SamovarError(
    'backup-failed',
    `the database server ${server} ${current === null ? 'has no container' : `is ${current.state}`}, so its data cannot be copied`,
    {
      next: `Bring ${server} up first (samovar status), or set \`backup: { before: none }\` for this update.`,
    },
  )
}

/** Its own image first; some have no programs at all, and then any other image of the project will do. */
async function findEraser(work: Work, operation: Operation, running: Running[]): Promise<string> {
  const own = operation.intent.members.map((member) => member.oldImageId)
  const owners = running.filter((each) => operation.intent.data?.owners.includes(each.service))
  const held = work.journal.images().map((each) => each.id)
  const all = [
    ...own,
    ...owners.map((each) => each.image.id),
    ...running.map((each) => each.image.id),
    ...held.toReversed(),
  ]
  const images = [...new Set(all.filter((each) => each !== null))]
  const problems: string[] = []
  try {
    for (const image of images) {
      try {
        const wanted = { image, volumes: {}, command: emptyCommand('/tmp'), environment: {} }
        const instance = await work.engine.scratch(operation.id, { ...wanted, user: '0' })
        await work.engine.startScratch(instance)
        // Its own /tmp, which goes with the container: programs that are missing, or do not know an option, show here.
        const { exitCode, output } = await work.engine.scratchEnded(instance, 60_000)
        if (exitCode === 0) return image
        problems.push(output)
      } catch (error) {
        problems.push(sentenceOf(error))
      }
    }
  } finally {
    await work.engine.removeScratch(operation.id)
  }
  throw new SamovarError(
    'data-not-covered',
    `no image of the project has the program find, with which a volume is emptied before it is put back (${problems[0] ?? 'there is no image'})`,
    { next: 'Add a service whose image has a shell and find, such as busybox, with a profile of its own.' },
  )
}

/**
 * Those whose data is copied stand still from here on, dependents first: stopped with the grace of the Compose
 * model, or frozen. How each comes back is in the journal before it is touched.
 */
export async function standStill(work: Work, operation: Operation): Promise<string | undefined> {
  const { data } = operation.intent
  if (data === undefined || data.while === 'running') return undefined
  return holdStill(work, operation, { services: data.stop, how: data.while })
}

/** Stops, or freezes, the running containers of services; said in a sentence. Safe to repeat. */
export async function holdStill(
  work: Work,
  operation: Operation,
  { services, how }: { services: string[]; how: 'stopped' | 'paused' },
): Promise<string | undefined> {
  const { data, members } = operation.intent
  if (data === undefined || services.length === 0) return undefined
  const running = await work.engine.observe(work.project)
  const stopped: string[] = []
  for (const service of services) {
    const current = containerOf(service, running)
    if (current === null || !['running', 'restarting', 'paused'].includes(current.state)) continue
    if (how === 'paused' && current.state === 'paused') continue
    const member = members.find((each) => each.service === service)
    operation.intent.downSince ??= work.now()
    if (how === 'paused') {
      data.paused.push({ instance: current.instance, name: current.name, revision: current.revision })
      work.journal.saveOperation(operation)
      await work.engine.pause(current)
    } else {
      const kept = member?.kept ?? (await work.engine.describe(operation.id, current, service))
      if (member === undefined && !data.stopped.some((each) => each.instance === kept.instance))
        data.stopped.push(kept)
      work.journal.saveOperation(operation)
      await work.engine.retire(kept)
    }
    stopped.push(current.name)
  }
  if (stopped.length === 0) return undefined
  return `${how === 'paused' ? 'froze' : 'stopped'} ${stopped.join(', ')}`
}

/** What was frozen goes on; what was stopped for its data starts again, unless its data is half put back. */
export async function goOn(work: Work, operation: Operation): Promise<string[]> {
  const { data } = operation.intent
  if (data === undefined) return []
  const problems: string[] = []
  const dirty = new Set(work.journal.dirty().map((each) => each.service))
  for (const each of data.paused) await work.engine.unpause(each)
  // The last that was stopped is what the others need.
  for (const kept of data.stopped.toReversed()) {
    if (dirty.has(kept.service)) {
      problems.push(`${kept.service} stays down: its data is only half put back`)
      continue
    }
    try {
      await work.engine.bringBack(kept)
    } catch (error) {
      if (codeOf(error) === 'engine-unreachable') throw error
      problems.push(sentenceOf(error))
    }
  }
  return problems
}

/**
 * Database servers whose own files are part of the data stand still only while those are copied, or put back: the
 * rest of the work needs them. One that is swapped itself is left to its roll-out.
 */
export const serversToStop = (operation: Operation): string[] =>
  (operation.intent.data?.stopAfterDumps ?? []).filter((server) => !isSwapped(operation, server))

export async function startServers(work: Work, operation: Operation): Promise<void> {
  const { data } = operation.intent
  const servers = new Set(serversToStop(operation))
  for (const kept of data?.stopped ?? []) if (servers.has(kept.service)) await work.engine.bringBack(kept)
  if (data !== undefined) data.stopped = data.stopped.filter((kept) => !servers.has(kept.service))
  work.journal.saveOperation(operation)
}

export const isSwapped = (operation: Operation, server: string): boolean =>
  operation.intent.members.some((member) => member.service === server)

/** `0 s` when nothing could be written between the backup and the stop. */
export const lostInWords = (data: DataIntent): string =>
  data.lostMs === 0 ? '0 s' : durationInWords(data.lostMs ?? 0)

/** `640 kB`, `84.2 MB`, `1.4 GB`. */
export function sizeInWords(bytes: number): string {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`
}
