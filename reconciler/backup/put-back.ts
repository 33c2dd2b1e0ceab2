import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { codeOf, SamovarError, sentenceOf } from '../errors.ts'
import type { Means } from './back-up.ts'
import type { Manifest, Part } from './manifest.ts'
import type { OpenStore } from './open-stores.ts'
import { type DatabaseServer, dropDatabase, keptAside, loadDatabase, switchInDatabase } from './postgres.ts'
import type { Store } from './store.ts'
import { plainPart } from './verify.ts'

type DatabasePart = Extract<Part, { kind: 'database' }>
type VolumePart = Extract<Part, { kind: 'volume' }>

/** A backup that is to be put back, and where it lies. */
export type Chosen = { manifest: Manifest; key: string; stores: OpenStore[] }

/** Emptying a volume of millions of files on a slow disk. */
const longestErase = 60 * 60_000

/**
 * How a volume is emptied, in a container of an image of this host; looked for before anything is stopped. Without
 * `-delete`, which Debian's busybox does not have, and without a shell.
 */
export const emptyCommand = (folder: string): string[] => [
  ...['find', folder, '-mindepth', '1', '-maxdepth', '1'],
  ...['-exec', 'rm', '-rf', '--', '{}', '+'],
]

/**
 * Fills volumes with what a backup has of them: emptied first, then unpacked. Nothing may run on them. Safe to repeat:
 * what an interrupted try left is emptied again.
 *
 * @param about.eraser local id of an image that has `find`
 * @throws SamovarError `backup-damaged` when no store has a part whole, `engine-refused`, `restore-incomplete`
 */
export async function putBackVolumes(
  means: Means,
  chosen: Chosen,
  about: { operation: string; volumes: { volume: string; volumeName: string }[]; eraser: string },
): Promise<void> {
  try {
    for (const { volume, volumeName } of about.volumes) {
      const part = chosen.manifest.parts.find(
        (each): each is VolumePart => each.kind === 'volume' && each.volume === volume,
      )
      if (part === undefined)
        throw new SamovarError('backup-damaged', `backup ${chosen.manifest.id} has no volume ${volume}`)
      await fromAnyStore(chosen, part, async (store) => {
        await refuseWhileUsed(means, volumeName)
        await emptied(means, { operation: about.operation, volumeName, image: about.eraser })
        const filler = await means.engine.scratch(about.operation, {
          image: about.eraser,
          volumes: { [volumeName]: '/samovar' },
          command: ['true'],
          environment: {},
        })
        const plain = await plainPart(means, store, { ...chosen, part })
        await means.engine.writeFiles(filler, '/samovar', told(means, part, plain))
      })
    }
  } finally {
    await means.engine.removeScratch(about.operation)
  }
}

/** The last look before files are deleted: whatever was planned, nothing may run on the volume now. */
async function refuseWhileUsed(means: Means, volumeName: string): Promise<void> {
  const running = (await means.engine.mounting(volumeName)).filter((each) => each.running)
  if (running.length === 0) return
  throw new SamovarError(
    'restore-incomplete',
    `${running.map((each) => each.name).join(', ')} runs on the volume ${volumeName}, so it was not touched`,
    { next: 'Stop that container, then `samovar restore` again.' },
  )
}

async function emptied(
  means: Means,
  about: { operation: string; volumeName: string; image: string },
): Promise<void> {
  const eraser = await means.engine.scratch(about.operation, {
    image: about.image,
    volumes: { [about.volumeName]: '/samovar' },
    command: emptyCommand('/samovar'),
    environment: {},
    user: '0',
  })
  await means.engine.startScratch(eraser)
  const { exitCode, output } = await means.engine.scratchEnded(eraser, longestErase)
  if (exitCode !== 0)
    throw new SamovarError('engine-refused', `the volume ${about.volumeName} could not be emptied: ${output}`)
}

export type DatabaseToPutBack = { part: DatabasePart; server: DatabaseServer; operation: string }

/** The names that a database has while it is put back; PostgreSQL cuts names at 63 bytes. */
export function namesOf(database: string, operation: string) {
  // Two long names may begin alike: then only the hash tells them apart.
  const hash = createHash('sha256').update(database).digest('hex').slice(0, 8)
  const cut = Buffer.from(database).subarray(0, 15).toString('utf8').replaceAll('\uFFFD', '')
  const short = Buffer.byteLength(database) <= 24 ? database : `${cut}~${hash}`
  return {
    loading: `${short}_loading_${operation}`,
    ready: `${short}_ready_${operation}`,
    failed: `${short}_failed_${operation}`,
  }
}

/**
 * Databases as a backup has them: all are loaded and counted under other names first, then each takes its place by a
 * rename. What was there stays as `..._failed_<operation>`. Safe to repeat.
 *
 * @throws SamovarError `backup-damaged` when no store has a part whole, `restore-incomplete`
 */
export async function putBackDatabases(
  means: Means,
  chosen: Chosen,
  databases: DatabaseToPutBack[],
): Promise<void> {
  for (const { part, server, operation } of databases) {
    const roles = chosen.manifest.parts.find((each) => each.kind === 'roles' && each.server === part.server)
    await fromAnyStore(chosen, part, (store) =>
      loadDatabase(server, {
        part,
        names: namesOf(part.database, operation),
        dump: async () => told(means, part, await plainPart(means, store, { ...chosen, part })),
        roles: roles === undefined ? null : () => plainPart(means, store, { ...chosen, part: roles }),
      }),
    )
  }
  for (const { part, server, operation } of databases)
    await switchInDatabase(server, { database: part.database, names: namesOf(part.database, operation) })
}

/** The database that was replaced goes, or stays for a look; of those that stayed before only the newest stays. */
export async function putAwayReplaced(
  databases: { database: string; server: DatabaseServer; operation: string }[],
  failed: 'keep' | 'drop',
): Promise<string[]> {
  const kept: string[] = []
  for (const { database, server, operation } of databases) {
    const mine = namesOf(database, operation).failed
    for (const name of await keptAside(server, database)) {
      if (name === mine && failed === 'keep') kept.push(name)
      else await dropDatabase(server, name)
    }
  }
  return kept
}

/** Tries one store after the other; a store whose part is damaged, or that does not answer, is not the end. */
async function fromAnyStore(
  chosen: Chosen,
  part: Part,
  act: (store: Store) => Promise<unknown>,
): Promise<void> {
  const problems: unknown[] = []
  for (const { store } of chosen.stores) {
    try {
      await act(store)
      return
    } catch (error) {
      const fault = codeOf(error)
      if (fault !== 'backup-damaged' && fault !== 'store-failed' && fault !== 'not-found') throw error
      problems.push(error)
    }
  }
  const [first] = problems
  throw first instanceof SamovarError && problems.length === 1
    ? first
    : new SamovarError(
        'backup-damaged',
        `${part.name} of backup ${chosen.manifest.id} could not be read from any store: ${problems.map(sentenceOf).join('; ')}`,
        { cause: first },
      )
}

function told(means: Means, part: Part, plain: Readable): Readable {
  let bytes = 0
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of plain) {
      bytes += (chunk as Buffer).length
      means.progress({ doing: 'putting back', part: part.name, bytes, total: part.plainBytes })
      yield chunk as Buffer
    }
  }
  return Readable.from(counted(), { objectMode: false, highWaterMark: 1024 * 1024 })
}
