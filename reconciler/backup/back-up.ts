import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { Engine } from '../engine/engine.ts'
import { SamovarError, sentenceOf } from '../errors.ts'
import { version } from '../version.ts'
import { contextOf, keyName } from './encryption.ts'
import type { BackupClass, Consistency, Manifest, Part } from './manifest.ts'
import type { OpenStore } from './open-stores.ts'
import { dumpRoles, findServer, openDump } from './postgres.ts'
import type { Store } from './store.ts'
import { tarEntries } from './tar.ts'
import { writePart } from './write-part.ts'

/** How far the copying, checking or putting back of data is. `total` is an estimate, or null when nobody knows. */
export type DataProgress = {
  doing: 'backing up' | 'checking' | 'putting back'
  part: string
  bytes: number
  total: number | null
}

/** What copying data works with. */
export type Means = {
  engine: Engine
  /** Milliseconds since 1970. */
  now: () => number
  /** Parts are encrypted with it, or not at all. */
  key: Buffer | null
  stopping: AbortSignal
  progress: (seen: DataProgress) => void
}

export type BackupOrder = {
  id: string
  /** `v1/<host>/<class>/<id>`: where its objects go. */
  key: string
  host: string
  class: BackupClass
  services: string[]
  operation: string
  commit: string
  previous: string | null
  consistency: Consistency
  images: Manifest['images']
  databases: { server: string; instance: string; database: string; user: string }[]
  volumes: { volume: string; volumeName: string; exclude: string[] }[]
  /** Local id of any image: a container of it, never started, is how the volumes are read. */
  reader: string | null
  configuration: () => Promise<Readable>
  /** Bytes of the backup before this one, or null. */
  estimate: number | null
  /** When everybody stood still; null when the data goes on changing. Milliseconds since 1970. */
  stoodStillAt: number | null
  /** Called when the databases are dumped and before the files are read. */
  dumped: () => Promise<void>
}

export type BackupTaken = {
  manifest: Manifest
  /** Stores that are not required and do not have it. */
  without: { store: Store; error: Error }[]
}

/**
 * Copies the data of one unit to every store and writes the manifest last. Streams all the way: no part is ever
 * whole in memory or on this host's disk. Databases first: should anything write meanwhile, files are then newer than
 * the rows that name them, which is the harmless order.
 *
 * @throws SamovarError `backup-failed`, `store-failed`; then no store has a manifest of it
 */
export async function takeBackup(
  means: Means,
  stores: OpenStore[],
  order: BackupOrder,
): Promise<BackupTaken> {
  const startedAt = means.now()
  const writer = partWriter(means, stores, order)
  try {
    const dataFrom = order.stoodStillAt ?? means.now()
    const tools: Record<string, string> = { samovar: version, node: process.versions.node }
    for (const database of order.databases) await writeDatabase(means, writer, { order, database, tools })
    for (const server of byServer(order.databases)) await writeRoles(means, writer, server)
    await order.dumped()
    await writeVolumes(means, writer, order)
    await writer.write('configuration.tar.zst', { plain: await order.configuration() }, () => ({
      kind: 'configuration' as const,
    }))
    const manifest: Manifest = {
      schema: 1,
      id: order.id,
      host: order.host,
      class: order.class,
      services: order.services,
      operation: order.operation,
      commit: order.commit,
      previous: order.previous,
      startedAt: new Date(startedAt).toISOString(),
      finishedAt: new Date(means.now()).toISOString(),
      dataFrom: new Date(dataFrom).toISOString(),
      consistency: order.consistency,
      images: order.images,
      tools,
      encryption: means.key === null ? null : { method: 'aes-256-gcm-chunked-v1', key: keyName(means.key) },
      parts: writer.parts,
    }
    await writer.commit(manifest)
    return { manifest, without: writer.without }
  } finally {
    await means.engine.removeScratch(order.operation)
  }
}

type Writer = ReturnType<typeof partWriter>
type WithoutSizes<P> = P extends unknown
  ? Omit<P, 'name' | 'bytes' | 'sha256' | 'plainBytes' | 'plainSha256'>
  : never
export type PartFacts = WithoutSizes<Part>

/** Writes part by part to every store that still keeps up; a required one that fails ends the backup. */
function partWriter(means: Means, stores: OpenStore[], order: BackupOrder) {
  let good = stores
  const parts: Part[] = []
  const without: BackupTaken['without'] = []
  let before = 0

  const failedIn = (failed: { store: Store; error: Error }[]): void => {
    for (const each of failed) {
      const policy = stores.find((one) => one.store === each.store)?.policy
      if (policy?.required !== false) throw each.error
      without.push(each)
    }
    good = good.filter((each) => !failed.some((one) => one.store === each.store))
    if (good.length === 0) throw without[0]?.error ?? new SamovarError('backup-failed', 'no store is left')
  }

  return {
    parts,
    without,
    async write(
      name: string,
      content: { plain: Readable; estimate?: number | null },
      facts: () => PartFacts | Promise<PartFacts>,
    ): Promise<void> {
      if (means.stopping.aborted) {
        content.plain.destroy()
        throw new SamovarError('interrupted', 'Samovar was told to stop')
      }
      const cut = cutShort(means.stopping, content.plain)
      const told = (bytes: number) =>
        means.progress({ doing: 'backing up', part: name, bytes: before + bytes, total: order.estimate })
      const { failed, ...sizes } = await writePart(
        good.map((each) => each.store),
        {
          key: `${order.key}/${name}`,
          plain: content.plain,
          encryption: means.key === null ? null : { key: means.key, context: contextOf(order.id, name) },
          estimate: withRoom(content.estimate ?? order.estimate),
          onBytes: told,
        },
      ).finally(cut)
      failedIn(failed)
      before += sizes.plainBytes
      parts.push({ name, ...sizes, ...(await facts()) } as Part)
    },
    /** From this moment on the backup exists. Not undone for a stop that arrives now. */
    async commit(manifest: Manifest): Promise<void> {
      const text = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)
      const failed: BackupTaken['without'] = []
      for (const { store } of good) {
        try {
          await store.put(`${order.key}/manifest.json`, Readable.from([text]), text.length)
        } catch (error) {
          failed.push({ store, error: error as Error })
        }
      }
      try {
        failedIn(failed)
      } catch (error) {
        // It counts nowhere then. A store that does not let go of the manifest has all of the backup.
        for (const { store } of good)
          await store.remove([`${order.key}/manifest.json`]).catch(() => undefined)
        throw error
      }
    },
  }
}

/** A volume may have grown since, and text of a database may be twice as long in its dump: parts of an upload have a size. */
const withRoom = (estimate: number | null): number | null => (estimate === null ? null : estimate * 4)

/** Told to stop, a copy ends at once: the service waits for its end to go on. Answers how to let go. */
export function cutShort(stopping: AbortSignal, stream: Readable): () => void {
  const end = () => stream.destroy(new SamovarError('interrupted', 'Samovar was told to stop'))
  stopping.addEventListener('abort', end, { once: true })
  return () => stopping.removeEventListener('abort', end)
}

type Database = BackupOrder['databases'][number]

async function writeDatabase(
  means: Means,
  writer: Writer,
  about: { order: BackupOrder; database: Database; tools: Record<string, string> },
): Promise<void> {
  const { order, database } = about
  const server = await findServer(means.engine, database.instance)
  const dump = await openDump(server, database)
  try {
    about.tools[`PostgreSQL of ${database.server}`] = server.version
    // Awaited below; a failure of both must not leave one of them unheard.
    dump.rows.catch(() => undefined)
    const name = partName(order.databases, database)
    await writer.write(name, { plain: dump.output, estimate: dump.sizeBytes }, async () => ({
      kind: 'database' as const,
      server: database.server,
      database: database.database,
      user: database.user,
      ...dump.facts,
      rows: await dump.rows,
    }))
  } finally {
    await dump.close()
  }
}

/** Two names may be alike once what a key cannot hold is taken out. */
function partName(all: Database[], database: Database): string {
  const plain = (each: Database) => `${each.server}-${each.database}`.replaceAll(/[^A-Za-z0-9_.-]/g, '_')
  const alike = all.filter((each) => plain(each) === plain(database))
  const number = alike.length > 1 ? `-${alike.indexOf(database) + 1}` : ''
  return `${plain(database)}${number}.dump.zst`
}

const byServer = (databases: Database[]): Database[] =>
  databases.filter((each, at) => databases.findIndex((one) => one.server === each.server) === at)

/** Hashes of passwords are only written where the part is encrypted. */
async function writeRoles(means: Means, writer: Writer, { server: name, instance }: Database): Promise<void> {
  const server = await findServer(means.engine, instance)
  const plain = dumpRoles(server, { passwords: means.key !== null })
  const { major } = server
  await writer.write(`${name}-roles.sql.zst`, { plain: await plain, estimate: 64 * 1024 }, () => ({
    kind: 'roles' as const,
    server: name,
    major,
  }))
}

/** Through a container that never starts: so the files can be read whether anything runs on them or not. */
async function writeVolumes(means: Means, writer: Writer, order: BackupOrder): Promise<void> {
  if (order.volumes.length === 0) return
  if (order.reader === null) throw new SamovarError('backup-failed', 'there is no image to read volumes with')
  const folderOf = (index: number) => `/samovar-${index}`
  const reader = await means.engine.scratch(order.operation, {
    image: order.reader,
    volumes: Object.fromEntries(order.volumes.map((each, index) => [each.volumeName, folderOf(index)])),
    command: ['true'],
    environment: {},
  })
  for (const [index, { volume, volumeName, exclude }] of order.volumes.entries()) {
    const entries = tarEntries({ exclude })
    const source = await means.engine.readFiles(reader, folderOf(index))
    source.on('error', (error) => entries.destroy(readingFailed(volume, error)))
    const plain = source.pipe(entries)
    entries.on('close', () => source.destroy())
    finished(plain).catch(() => undefined)
    await writer.write(`${volume}.tar.zst`, { plain }, () => ({
      kind: 'volume' as const,
      volume,
      volumeName,
      exclude,
      ...entries.counted(),
    }))
  }
}

const readingFailed = (volume: string, error: Error): SamovarError =>
  new SamovarError('backup-failed', `the volume ${volume} could not be read: ${sentenceOf(error)}`, {
    cause: error,
  })
