import type { Manifest } from '../backup/manifest.ts'
import type { OpenStore } from '../backup/open-stores.ts'
import { findServer } from '../backup/postgres.ts'
import {
  type Chosen,
  type DatabaseToPutBack,
  putAwayReplaced,
  putBackDatabases,
  putBackVolumes,
} from '../backup/put-back.ts'
import { readManifest } from '../backup/read-manifest.ts'
import { SamovarError, sentenceOf } from '../errors.ts'
import type { DataIntent, Operation } from '../journal/operation.ts'
import {
  holdStill,
  isSwapped,
  isWithout,
  meansOf,
  serverOf,
  serversToStop,
  startServers,
  storesOf,
} from './data.ts'
import { mustStop, type Work } from './step.ts'

/** A database server that was just started recovers first; after a kill that takes a while. */
const longestServerStart = 3 * 60_000
const betweenLooks = 250

/**
 * The data of a failed roll-out goes back before the old container starts: the files, and the databases whose server
 * runs on. The database server that was itself swapped gets its databases when it is back (`putBackInOwnServer`).
 *
 * Marked half restored in the journal from the first byte to the last: nothing is ever started in between, also not
 * after a crash, and not when this gives up.
 */
export async function putBack(work: Work, operation: Operation): Promise<string> {
  const { data } = operation.intent
  if (data?.backup === null || data === undefined) return 'no data was backed up, none goes back'
  if (operation.kind !== 'restore') noteLost(work, data)
  // Before the store is asked: when it does not answer, the data is that of the other version, which is no better.
  work.journal.markDirty(touched(data), {
    operation: operation.id,
    backup: data.backup.id,
    at: work.now(),
  })
  const chosen = await chosenBackup(work, operation, data)
  const means = meansOf(work, operation)
  await holdStill(work, operation, { services: [...data.stop, ...serversToStop(operation)], how: 'stopped' })
  if (data.volumes.length > 0)
    await putBackVolumes(means, chosen, {
      operation: operation.id,
      volumes: data.volumes,
      eraser: data.eraser ?? '',
    })
  await startServers(work, operation)
  const now = byDump(data).filter((each) => !isSwapped(operation, each.server))
  await putBackDatabases(means, chosen, await toPutBack(work, operation, { chosen, databases: now }))
  if (!swapsItsServer(operation)) work.journal.clearDirty(touched(data))
  return `as of ${chosen.manifest.dataFrom}, from backup ${data.backup.id}`
}

/** True when the server of a database is swapped by this operation, so that it runs only after `bring back`. */
export const swapsItsServer = (operation: Operation): boolean =>
  operation.intent.data !== undefined &&
  byDump(operation.intent.data).some((each) => isSwapped(operation, each.server))

/** Services that are the database server of the data. */
export const isServer =
  (operation: Operation) =>
  (service: string): boolean =>
    operation.intent.data?.databases.some((each) => each.server === service) === true

/** What a person must know, and do, when going back ended in the middle of the data; empty when it did not. */
export function halfPutBack(work: Work, operation: Operation): string {
  const half = work.journal.dirty().find((each) => each.operation === operation.id)
  return half === undefined
    ? ''
    : `; the data is only half put back and nothing was started on it; next: samovar restore ${half.backup}`
}

/** A server whose own files were put back has its databases from there already, of the same moment. */
const byDump = (data: DataIntent): DataIntent['databases'] =>
  data.databases.filter((each) => !data.stopAfterDumps.includes(each.server))

export async function putBackInOwnServer(work: Work, operation: Operation): Promise<string> {
  const { data } = operation.intent
  if (data?.backup === null || data === undefined) return 'no data was backed up, none goes back'
  const chosen = await chosenBackup(work, operation, data)
  const databases = byDump(data).filter((each) => isSwapped(operation, each.server))
  const all = await toPutBack(work, operation, { chosen, databases })
  await putBackDatabases(meansOf(work, operation), chosen, all)
  work.journal.clearDirty(touched(data))
  return `${databases.map((each) => each.database).join(', ')} from backup ${data.backup.id}`
}

/** The database of the failed version is dropped, or one of it stays for a look. */
export async function putAway(work: Work, operation: Operation): Promise<string | undefined> {
  const { data } = operation.intent
  if (data?.backup === null || data === undefined || data.databases.length === 0) return undefined
  try {
    const all = []
    for (const { database, server } of byDump(data))
      all.push({ database, server: await whenServing(work, server), operation: operation.id })
    const kept = await putAwayReplaced(all, data.failed)
    return kept.length === 0 ? undefined : `the database of the failed version is kept as ${kept.join(', ')}`
  } catch (error) {
    // Everything that matters is well by now; what stays beside it is seen at the next restore.
    if (mustStop(work, error)) throw error
    return `not put away: ${sentenceOf(error)}`
  }
}

/** Services that must not start while their data is half there; a server that a dump goes into has to run for that. */
export function touched(data: DataIntent): string[] {
  const servers = new Set(byDump(data).map((each) => each.server))
  const all = new Set([...data.owners, ...data.stop, ...data.stopAfterDumps])
  return [...all].filter((service) => !servers.has(service))
}

/** What the old version wrote between the copy and its stop; nothing when it stood still from the copy on. */
function noteLost(work: Work, data: DataIntent): void {
  const stoppedAt = data.stoppedAt ?? work.now()
  data.lostMs ??= data.while === 'stopped' ? 0 : Math.max(0, stoppedAt - (data.backup?.dataFrom ?? 0))
}

/** The manifest from the store that was proven, or the first that has it; the parts are asked of all stores, in that order. */
export async function chosenBackup(work: Work, operation: Operation, data: DataIntent): Promise<Chosen> {
  // What could not be written to before a restore may still have what is to be restored.
  const all = (await storesOf(work, data)).filter(
    ({ store }) => operation.kind === 'restore' || !isWithout(data, store.name),
  )
  const isProven = ({ store }: OpenStore): boolean => store.name === data.proven
  const stores = [...all.filter(isProven), ...all.filter((each) => !isProven(each))]
  const key = data.backup?.key ?? ''
  const problems: string[] = []
  let manifest: Manifest | null = null
  const having: OpenStore[] = []
  for (const each of stores) {
    try {
      manifest ??= await readManifest(each.store, key)
      having.push(each)
    } catch (error) {
      problems.push(`${each.store.name}: ${sentenceOf(error)}`)
    }
  }
  if (manifest !== null) return { manifest, key, stores: having }
  throw new SamovarError(
    'store-failed',
    `no store gave the manifest of backup ${data.backup?.id}: ${problems.join('; ')}`,
  )
}

async function toPutBack(
  work: Work,
  operation: Operation,
  about: { chosen: Chosen; databases: DataIntent['databases'] },
): Promise<DatabaseToPutBack[]> {
  const all: DatabaseToPutBack[] = []
  for (const { server, database } of about.databases) {
    const part = about.chosen.manifest.parts.find(
      (each) => each.kind === 'database' && each.server === server && each.database === database,
    )
    if (part?.kind !== 'database')
      throw new SamovarError(
        'backup-damaged',
        `backup ${about.chosen.manifest.id} has no database ${database} of ${server}`,
      )
    all.push({ part, server: await whenServing(work, server), operation: operation.id })
  }
  return all
}

async function whenServing(work: Work, server: string) {
  const deadline = work.clock.now() + longestServerStart
  for (;;) {
    try {
      const running = await work.engine.observe(work.project)
      return await findServer(work.engine, serverOf(server, running).instance)
    } catch (error) {
      if (work.stopping.aborted) throw new SamovarError('interrupted', 'Samovar was told to stop')
      if (work.clock.now() > deadline) throw error
      await work.clock.sleep(betweenLooks, work.stopping)
    }
  }
}
