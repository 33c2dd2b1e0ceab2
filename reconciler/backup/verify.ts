import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { codeOf, SamovarError, sentenceOf } from '../errors.ts'
import { cutShort, type Means } from './back-up.ts'
import { contextOf } from './encryption.ts'
import type { Manifest, Part, Verification, VerifyLevel } from './manifest.ts'
import type { OpenStore } from './open-stores.ts'
import { checkInScratch, readDump } from './postgres.ts'
import { keyOfVerification } from './read-manifest.ts'
import { checkStored, readPart } from './read-part.ts'
import type { Store } from './store.ts'
import { tarEntries } from './tar.ts'

/** A database is loaded into a fresh server; the slowest disk must be able to. */
const longestLoad = 6 * 60 * 60_000

export type VerifyOrder = {
  operation: string
  /** `v1/<host>/<class>/<id>` */
  key: string
  manifest: Manifest
  level: VerifyLevel
  /** An instance that has the programs of a server's version, running; null when the service does not run. */
  programsOf: (server: string) => Promise<string | null>
}

/**
 * Proves one backup in one store, and writes beside it what was found.
 *
 *   0  every object is there, with the size and the sha256 of the manifest
 *   1  and every stream is read to its end: unpacked, decrypted, the archives entry by entry, the dumps by pg_restore
 *   2  and every database is restored into a scratch server of the same image, without network, and its rows counted
 *
 * @returns the verdict; a damaged part is a problem in it, and does not keep the others from being checked
 * @throws SamovarError `store-failed` when the store cannot be asked, `engine-unreachable`, `backup-key`, `interrupted`
 */
export async function verifyBackup(means: Means, store: Store, order: VerifyOrder): Promise<Verification> {
  const began = means.now()
  const problems: string[] = []
  const total = order.manifest.parts.reduce(
    (sum, part) => sum + (order.level === 0 ? part.bytes : part.plainBytes),
    0,
  )
  let bytes = 0
  try {
    for (const part of order.manifest.parts) {
      if (means.stopping.aborted) throw new SamovarError('interrupted', 'Samovar was told to stop')
      const before = bytes
      means.progress({ doing: 'checking', part: part.name, bytes: before, total })
      const told = (more: number) =>
        means.progress({ doing: 'checking', part: part.name, bytes: before + more, total })
      problems.push(...(await problemsOf(means, store, { order, part, told })))
      bytes += order.level === 0 ? part.bytes : part.plainBytes
    }
    if (order.level === 2 && problems.length === 0)
      problems.push(...(await restoredInScratch(means, store, order)))
  } finally {
    await means.engine.removeScratch(order.operation)
  }
  const verification: Verification = {
    schema: 1,
    backup: order.manifest.id,
    level: order.level,
    ok: problems.length === 0,
    at: new Date(began).toISOString(),
    problems,
    ms: means.now() - began,
  }
  await writeVerdict(store, order.manifest, verification)
  return verification
}

type Reading = { order: VerifyOrder; part: Part; told: (bytes: number) => void }

/** What is wrong with one part; what is wrong with the store or the engine is thrown. */
async function problemsOf(means: Means, store: Store, { order, part, told }: Reading): Promise<string[]> {
  try {
    if (order.level === 0) await checkStored(store, `${order.key}/${part.name}`, part)
    else await readToItsEnd(means, { order, part, told }, await plainPart(means, store, { ...order, part }))
    return []
  } catch (error) {
    const about = codeOf(error)
    if (about !== 'backup-damaged' && about !== 'not-found') throw error
    // Whoever tells it names the store and the backup.
    const said = sentenceOf(error).replace(`${store.name}: ${order.key}/`, '')
    return [about === 'not-found' ? `${part.name} is not there` : said]
  }
}

async function readToItsEnd(means: Means, reading: Reading, plain: Readable): Promise<void> {
  const cut = cutShort(means.stopping, plain)
  await readOne(means, reading, plain).finally(cut)
}

async function readOne(means: Means, { order, part, told }: Reading, plain: Readable): Promise<void> {
  plain.on('data', countInto(told))
  plain.pause()
  if (part.kind === 'database') {
    const instance = await programsFor(means, order, part.server)
    await readDump({ engine: means.engine, instance }, plain)
  } else if (part.kind === 'volume') {
    const entries = tarEntries({ exclude: [] })
    await pipeline(plain, entries, nowhere())
    const { files, folders } = entries.counted()
    if (files !== part.files || folders !== part.folders) {
      throw new SamovarError(
        'backup-damaged',
        `${part.name} has ${files} files in ${folders} folders, its manifest says ${part.files} in ${part.folders}`,
      )
    }
  } else await pipeline(plain, nowhere())
}

function countInto(told: (bytes: number) => void): (chunk: Buffer) => void {
  let bytes = 0
  return (chunk) => {
    bytes += chunk.length
    told(bytes)
  }
}

const nowhere = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() })

/** A part as it was before it was packed. */
export async function plainPart(
  means: Pick<Means, 'key'>,
  store: Store,
  about: { key: string; manifest: Manifest; part: Part },
): Promise<Readable> {
  const { manifest, part } = about
  if (manifest.encryption !== null && means.key === null) {
    throw new SamovarError(
      'backup-key',
      `backup ${manifest.id} is encrypted (key ${manifest.encryption.key}), and SAMOVAR_BACKUP_KEY is not set`,
    )
  }
  const encryption =
    manifest.encryption === null || means.key === null
      ? null
      : { key: means.key, context: contextOf(manifest.id, part.name) }
  return readPart(store, `${about.key}/${part.name}`, part, encryption)
}

/** The server of the service when it runs, else a scratch container of the image that the backup names. */
async function programsFor(means: Means, order: VerifyOrder, server: string): Promise<string> {
  const running = await order.programsOf(server)
  if (running !== null) return running
  const instance = await means.engine.scratch(order.operation, {
    image: await imageOf(means, order.manifest, server),
    volumes: {},
    command: ['sleep', '86400'],
    environment: {},
  })
  await means.engine.startScratch(instance)
  return instance
}

async function imageOf(means: Means, manifest: Manifest, server: string): Promise<string> {
  const image = manifest.images[server]
  if (image === undefined) throw new SamovarError('backup-damaged', `it does not name the image of ${server}`)
  return (await means.engine.holdImage(image)).id
}

async function restoredInScratch(means: Means, store: Store, order: VerifyOrder): Promise<string[]> {
  const { manifest } = order
  const problems: string[] = []
  for (const part of manifest.parts) {
    if (part.kind !== 'database') continue
    const roles = manifest.parts.find((each) => each.kind === 'roles' && each.server === part.server)
    const found = await checkInScratch(means.engine, {
      operation: order.operation,
      image: await imageOf(means, manifest, part.server),
      part,
      dump: () => plainPart(means, store, { ...order, part }),
      roles: roles === undefined ? null : () => plainPart(means, store, { ...order, part: roles }),
      timeoutMs: longestLoad,
    })
    problems.push(...found.map((each) => `${part.name}: ${each}`))
  }
  return problems
}

/** Beside the manifest, under a key of its own: what was found stays with the backup, wherever it is copied to. */
async function writeVerdict(store: Store, manifest: Manifest, verification: Verification): Promise<void> {
  const text = Buffer.from(`${JSON.stringify(verification, null, 2)}\n`)
  try {
    await store.put(keyOfVerification(manifest, verification), Readable.from([text]), text.length)
  } catch (error) {
    // The same second, the same level: what stands there says the same. And who may only read has proven it all the
    // same; the verdict is in the journal.
    const fault = codeOf(error)
    if (fault !== 'store-conflict' && fault !== 'store-failed') throw error
  }
}

/** The stores that a backup must be proven in before anything is replaced. */
export const requiredOnes = (stores: OpenStore[]): OpenStore[] =>
  stores.filter((each) => each.policy.required)
