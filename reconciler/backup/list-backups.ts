import { manifestName, newestFirst, parseKey, parseVerdictName, prefixOfHost, timeOfId } from './backup-id.ts'
import type { BackupClass, Manifest, Verification, VerifyLevel } from './manifest.ts'
import type { OpenStore } from './open-stores.ts'
import { parseManifest, parseVerification, readText } from './read-manifest.ts'
import { openRememberedTexts, type RememberedTexts } from './remembered-texts.ts'
import type { Store, StoredObject } from './store.ts'

/** What one store has of one backup. */
export type Copy = {
  /** Name of the store. */
  store: string
  /** Every object of ours below the prefix. */
  keys: string[]
  /** Parts that are not there, or not with their size. */
  missing: string[]
  /** Why this copy must not be used: a verification failed, or another store has another manifest; else null. */
  damaged: string | null
  /** The highest level that this copy passed; null when none, or when it is damaged. */
  verified: VerifyLevel | null
}

export type ListedBackup = {
  manifest: Manifest
  /** `v1/<host>/<class>/<id>` */
  key: string
  /** When it was begun, milliseconds since 1970. */
  createdAt: number
  /** As it lies in one store. */
  bytes: number
  /** Every store that has its manifest, in the order of the desired state. */
  copies: Copy[]
  /** Stores that have all of it and where nobody found it damaged: those it can be restored from. */
  stores: string[]
  /** The highest level that a copy in `stores` passed, or null. */
  verified: VerifyLevel | null
  /** Why it cannot be restored from any store, or null. */
  bad: string | null
}

/** Objects of a backup without its manifest: it is being written, was cut short, or is half removed. */
export type Remains = {
  store: string
  key: string
  id: string
  class: BackupClass
  keys: string[]
  bytes: number
  /** Of the newest object, milliseconds since 1970, the store's clock. */
  changedAt: number
}

export type BackupList = {
  /** Newest first, as are the remains of each store. */
  backups: ListedBackup[]
  remains: Remains[]
  /** Stores that did not answer (nothing of theirs is in the lists), and manifests that cannot be read. */
  problems: ListProblem[]
}

/** `silent`: the store did not answer, so nothing is known of it; else only one backup of it cannot be read. */
export type ListProblem = { store: string; silent: boolean; error: Error }

type Found = { manifest: Manifest; text: string; key: string; copy: Copy }
type FoundInStore = { found: Found[]; remains: Remains[]; problems: ListProblem[] }

/** Manifests read from one store at a time. */
const atOnce = 8

/**
 * All backups of a host in all its stores. A store that does not answer is a problem in the answer, not the end.
 * Manifests and verifications never change, so they are remembered in a folder: the second listing costs the LIST.
 *
 * @param cacheFolder made when it is not there; everything in it can be removed at any time
 */
export async function listBackups(
  stores: OpenStore[],
  host: string,
  cacheFolder: string,
): Promise<BackupList> {
  const texts = await openRememberedTexts(cacheFolder)
  const answers = await Promise.all(
    stores.map(({ store }) =>
      lookInto(store, host, texts).catch((error: unknown): FoundInStore => {
        const problem = { store: store.name, silent: true, error: error as Error }
        return { found: [], remains: [], problems: [problem] }
      }),
    ),
  )
  const problems = answers.flatMap((answer) => answer.problems)
  if (problems.length === 0) await texts.forgetOthers()
  return {
    backups: together(answers.flatMap((answer) => answer.found)),
    remains: answers.flatMap((answer) => answer.remains.toSorted(newestFirst)),
    problems,
  }
}

async function lookInto(store: Store, host: string, texts: RememberedTexts): Promise<FoundInStore> {
  const folders = new Map<string, StoredObject[]>()
  for await (const object of store.list(prefixOfHost(host))) {
    const parsed = parseKey(object.key)
    // What others keep in the same place is none of ours.
    if (parsed === null || parsed.host !== host) continue
    const folder = object.key.slice(0, object.key.lastIndexOf('/'))
    folders.set(folder, [...(folders.get(folder) ?? []), object])
  }
  const answer: FoundInStore = { found: [], remains: [], problems: [] }
  const work = [...folders]
  const next = async (): Promise<void> => {
    for (let entry = work.pop(); entry !== undefined; entry = work.pop()) {
      const [key, objects] = entry
      if (!objects.some((object) => object.key === `${key}/${manifestName}`)) {
        answer.remains.push(remainsOf(store, key, objects))
        continue
      }
      try {
        answer.found.push(await foundAt(store, { key, objects, texts }))
      } catch (error) {
        answer.problems.push({ store: store.name, silent: false, error: error as Error })
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, next))
  return answer
}

function remainsOf(store: Store, key: string, objects: StoredObject[]): Remains {
  const [, , kind, id = ''] = key.split('/')
  return {
    store: store.name,
    key,
    id,
    class: kind as BackupClass,
    keys: objects.map((object) => object.key),
    bytes: objects.reduce((sum, object) => sum + object.bytes, 0),
    changedAt: Math.max(...objects.map((object) => object.changedAt)),
  }
}

async function foundAt(
  store: Store,
  about: { key: string; objects: StoredObject[]; texts: RememberedTexts },
): Promise<Found> {
  const { key, objects, texts } = about
  const read = <T>(object: StoredObject, parse: (text: string, key: string) => Promise<T>) =>
    texts.read({ store: store.name, ...object }, () => readText(store, object.key), parse)
  const ends = (name: string) => objects.find((object) => object.key === `${key}/${name}`)
  const manifestObject = ends(manifestName)
  if (manifestObject === undefined) throw new Error(`${key} has no manifest`)
  const { value: manifest, text } = await read(manifestObject, parseManifest)
  const verdicts: Verification[] = []
  for (const object of objects) {
    if (parseVerdictName(object.key.slice(key.length + 1)) === null) continue
    verdicts.push((await read(object, parseVerification)).value)
  }
  const missing = manifest.parts.filter((part) => ends(part.name)?.bytes !== part.bytes)
  const copy: Copy = {
    store: store.name,
    keys: objects.map((object) => object.key),
    missing: missing.map((part) => part.name),
    ...verdictOf(verdicts),
  }
  return { manifest, text, key, copy }
}

/** A failure counts until a look at least as deep, later, found nothing. */
function verdictOf(verdicts: Verification[]): Pick<Copy, 'damaged' | 'verified'> {
  const newest = verdicts.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at))
  const failed = newest.find(
    (verdict, index) =>
      !verdict.ok && !newest.slice(0, index).some((later) => later.ok && later.level >= verdict.level),
  )
  if (failed !== undefined) {
    const [problem = 'it was damaged', ...more] = failed.problems
    const others = more.length === 0 ? '' : ` and ${more.length} more`
    return { damaged: `a verification of ${failed.at} found: ${problem}${others}`, verified: null }
  }
  const levels = newest.filter((verdict) => verdict.ok).map((verdict) => verdict.level)
  return { damaged: null, verified: levels.length === 0 ? null : (Math.max(...levels) as VerifyLevel) }
}

/** The copies of one backup in one entry. The first store in the order of the desired state has the say. */
function together(found: Found[]): ListedBackup[] {
  const all = [...Map.groupBy(found, (each) => each.key).values()].flatMap((group) => {
    const [first, ...others] = group
    if (first === undefined) return []
    for (const { text, copy } of others)
      if (text !== first.text) {
        copy.damaged = `its manifest is not the one that ${first.copy.store} has`
        copy.verified = null
      }
    return [
      listed(
        first,
        group.map((each) => each.copy),
      ),
    ]
  })
  return all.sort((a, b) => newestFirst(a.manifest, b.manifest))
}

function listed({ manifest, key }: Found, copies: Copy[]): ListedBackup {
  const usable = copies.filter((copy) => isWhole(copy))
  const levels = usable.map((copy) => copy.verified).filter((level) => level !== null)
  return {
    manifest,
    key,
    createdAt: timeOfId(manifest.id) ?? Date.parse(manifest.startedAt),
    bytes: manifest.parts.reduce((sum, part) => sum + part.bytes, 0),
    copies,
    stores: usable.map((copy) => copy.store),
    verified: levels.length === 0 ? null : (Math.max(...levels) as VerifyLevel),
    bad: usable.length > 0 ? null : copies.map(faultOf).join('; '),
  }
}

export const isWhole = (copy: Copy): boolean => copy.missing.length === 0 && copy.damaged === null

/** What is wrong with a copy, with the name of its store; empty when it is whole. */
export function faultOf(copy: Copy): string {
  if (isWhole(copy)) return ''
  const lacks = copy.missing.length === 0 ? null : `${copy.missing.join(', ')} is missing or cut`
  return `${copy.store}: ${[copy.damaged, lacks].filter((each) => each !== null).join('; ')}`
}

/** The shape of `backups --json` and of GET /api/backups: fields are added, never renamed. */
export function backupDocument(backup: ListedBackup): Record<string, unknown> {
  const { manifest, copies, stores, verified, bad, bytes } = backup
  return {
    id: manifest.id,
    createdAt: new Date(backup.createdAt).toISOString(),
    service: manifest.services[0],
    services: manifest.services,
    kind: manifest.class,
    stores,
    bytes,
    verified,
    parts: manifest.parts.map(({ name, bytes: size, sha256 }) => ({ name, bytes: size, sha256 })),
    bad,
    copies: copies.map(({ store, missing, damaged, verified: level }) => ({
      store,
      missing,
      damaged,
      verified: level,
    })),
    dataFrom: manifest.dataFrom,
    consistency: manifest.consistency,
    commit: manifest.commit,
    operation: manifest.operation,
    encrypted: manifest.encryption !== null,
  }
}
