import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { keyOf } from '../../reconciler/backup/backup-id.ts'
import type { Manifest, Part, Verification } from '../../reconciler/backup/manifest.ts'
import type { OpenStore } from '../../reconciler/backup/open-stores.ts'
import { keyOfVerification } from '../../reconciler/backup/read-manifest.ts'
import type { Store } from '../../reconciler/backup/store.ts'
import type { Retention } from '../../reconciler/desired-state.ts'
import { SamovarError } from '../../reconciler/errors.ts'

export const host = 'git.example.com'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const sizesOf = (text: string) => ({
  bytes: text.length,
  sha256: sha256(text),
  plainBytes: text.length,
  plainSha256: sha256(text),
})

/** What lies in the objects of the parts. */
export const contents: Record<string, string> = {
  'postgres-gitea.dump.zst': 'rows',
  'gitea-data.tar.zst': 'files and folders',
  'configuration.tar.zst': 'desired state',
}

const parts: Part[] = [
  {
    name: 'postgres-gitea.dump.zst',
    ...sizesOf('rows'),
    kind: 'database',
    server: 'postgres',
    database: 'gitea',
    user: 'gitea',
    major: 15,
    encoding: 'UTF8',
    collate: 'C',
    ctype: 'C',
    localeProvider: 'libc',
    locale: null,
    rows: { 'public.user': 3, 'public.repository': 12 },
  },
  {
    name: 'gitea-data.tar.zst',
    ...sizesOf('files and folders'),
    kind: 'volume',
    volume: 'gitea-data',
    volumeName: 'gitea_gitea-data',
    exclude: ['gitea/log'],
    files: 4,
    folders: 2,
  },
  { name: 'configuration.tar.zst', ...sizesOf('desired state'), kind: 'configuration' },
]

/** A manifest as it is written: of gitea, by the schedule, at the time in its id. */
export function manifestOf(id: string, other: Partial<Manifest> = {}): Manifest {
  const at = id.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z.*$/, '$1-$2-$3T$4:$5:$6.000Z')
  return {
    schema: 1,
    id,
    host,
    class: 'scheduled',
    services: ['gitea'],
    operation: '20261122-021400-abcd',
    commit: 'c'.repeat(40),
    previous: null,
    startedAt: at,
    finishedAt: at,
    dataFrom: at,
    consistency: 'stopped',
    images: { gitea: { name: 'docker.io/gitea/gitea', tag: '1.27.1', digest: `sha256:${'a'.repeat(64)}` } },
    tools: { samovar: '0.1.0' },
    encryption: null,
    parts,
    ...other,
  }
}

export const putText = (store: Store, key: string, text: string): Promise<void> =>
  store.put(key, Readable.from([Buffer.from(text)]), text.length)

/** Puts a backup into a store: its parts, then its manifest. */
export async function storeBackup(
  store: Store,
  manifest: Manifest,
  options: { without?: string[] } = {},
): Promise<void> {
  for (const { name } of manifest.parts)
    if (options.without?.includes(name) !== true)
      await putText(store, keyOf(manifest, name), contents[name] ?? '')
  if (options.without?.includes('manifest.json') !== true)
    await putText(store, keyOf(manifest, 'manifest.json'), JSON.stringify(manifest))
}

/** Puts what a verification found beside a backup. */
export async function storeVerdict(
  store: Store,
  manifest: Manifest,
  found: Pick<Verification, 'at' | 'level' | 'ok'>,
): Promise<void> {
  const problems = found.ok ? [] : ['gitea-data.tar.zst has another hash']
  const verification: Verification = { schema: 1, backup: manifest.id, problems, ms: 5, ...found }
  await putText(store, keyOfVerification(manifest, verification), JSON.stringify(verification))
}

export const opened = (store: Store, keep: Retention | null = null, required = true): OpenStore => ({
  store,
  policy: { kind: 'file', folder: '/', required, keep },
})

/** The same store, with everything that is asked of it written down. */
export function watched(store: Store): Store & { asked: string[] } {
  const asked: string[] = []
  const note = (what: string) => void asked.push(what)
  return {
    ...store,
    asked,
    get(key) {
      note(`get ${key}`)
      return store.get(key)
    },
    list(prefix) {
      note(`list ${prefix}`)
      return store.list(prefix)
    },
    remove(keys) {
      note(`remove ${keys.join(' ')}`)
      return store.remove(keys)
    },
  }
}

/** A store that does not answer, in the calls that are named. */
export function silent(store: Store, calls: ('list' | 'get' | 'remove')[]): Store {
  const refuse = () => {
    throw new SamovarError('store-failed', `${store.name} does not answer`, { next: 'Look at the disk.' })
  }
  return {
    ...store,
    get: (key) => (calls.includes('get') ? Promise.resolve().then(refuse) : store.get(key)),
    remove: (keys) => (calls.includes('remove') ? Promise.resolve().then(refuse) : store.remove(keys)),
    async *list(prefix) {
      let count = 0
      for await (const object of store.list(prefix)) {
        // In the middle of its answer: the worst moment.
        if (calls.includes('list') && count++ === 2) refuse()
        yield object
      }
      if (calls.includes('list')) refuse()
    },
  }
}

export async function keysIn(store: Store): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list('')) keys.push(key)
  return keys.toSorted()
}
