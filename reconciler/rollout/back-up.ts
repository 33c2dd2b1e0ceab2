import { takeBackup } from '../backup/back-up.ts'
import { keyOfBackup, newBackupId } from '../backup/backup-id.ts'
import type { Manifest } from '../backup/manifest.ts'
import { readManifest } from '../backup/read-manifest.ts'
import { requiredOnes, verifyBackup } from '../backup/verify.ts'
import type { Running } from '../engine/engine.ts'
import { SamovarError, sentenceOf } from '../errors.ts'
import type { DataIntent, Operation } from '../journal/operation.ts'
import { containerOf } from '../plan/plan.ts'
import {
  holdStill,
  isWithout,
  lastOf,
  meansOf,
  serverOf,
  sizeInWords,
  startServers,
  storesOf,
} from './data.ts'
import type { Body, Work } from './step.ts'

/** Copies the data to every store. Nothing irreversible was done yet: when this fails, everything goes on as before. */
export async function backUp(
  work: Work,
  operation: Operation,
  configuration: Body['configuration'],
): Promise<string> {
  const { data } = operation.intent
  if (data === undefined) return 'nothing to back up: the service has no data'
  const began = work.now()
  const running = await work.engine.observe(work.project)
  const last = lastOf(work, data)
  const id = newBackupId(began, work.journal.nextBackupNumber())
  const stores = (await storesOf(work, data)).filter(({ store }) => !isWithout(data, store.name))
  const { manifest, without } = await takeBackup(meansOf(work, operation), stores, {
    id,
    key: keyOfBackup({ host: data.host, class: data.class, id }),
    host: data.host,
    class: data.class,
    services: data.owners,
    operation: operation.id,
    commit: operation.commit,
    previous: last?.id ?? null,
    consistency: data.while,
    images: imagesOf(work, operation, running),
    databases: data.databases.map((each) => ({
      ...each,
      instance: serverOf(each.server, running).instance,
    })),
    volumes: data.volumes,
    reader: data.eraser,
    configuration,
    estimate: data.estimate ?? null,
    stoodStillAt: data.while === 'running' ? null : began,
    dumped: async () => {
      await holdStill(work, operation, { services: data.stopAfterDumps, how: 'stopped' })
    },
  })
  for (const { store, error } of without)
    data.without = [...(data.without ?? []), { store: store.name, said: sentenceOf(error) }]
  const having = stores.filter((each) => !without.some(({ store }) => store === each.store))
  note(work, operation, { data, manifest, began, stores: having.map(({ store }) => store.name) })
  await startServers(work, operation)
  if (data.while === 'paused') await thaw(work, operation, data)
  const missing = (data.without ?? []).map(({ store, said }) => `; ${store} does not have it: ${said}`)
  return `${manifest.id}, ${sizeInWords(data.backup?.bytes ?? 0)}${missing.join('')}`
}

/** They serve again while the backup is read back; when they stop for the swap they are down anew. */
async function thaw(work: Work, operation: Operation, data: DataIntent): Promise<void> {
  for (const each of data.paused) await work.engine.unpause(each)
  const { downSince } = operation.intent
  if (downSince != null) data.frozenMs = work.now() - downSince
  operation.intent.downSince = null
  work.journal.saveOperation(operation)
}

function note(
  work: Work,
  operation: Operation,
  taken: { data: DataIntent; manifest: Manifest; began: number; stores: string[] },
): void {
  const { data, manifest, began, stores } = taken
  const { id, parts } = manifest
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
  data.backup = {
    id,
    key: keyOfBackup(manifest),
    dataFrom: Date.parse(manifest.dataFrom),
    bytes,
    stores,
  }
  operation.backup = id
  work.journal.saveOperation(operation)
  work.journal.recordBackup({
    id,
    class: manifest.class,
    services: manifest.services,
    operation: operation.id,
    at: began,
    bytes,
    plainBytes: parts.reduce((sum, part) => sum + part.plainBytes, 0),
    ms: work.now() - began,
  })
}

/** What ran when the data was of this version, of the whole project: a fresh machine is set up with that. */
function imagesOf(work: Work, operation: Operation, running: Running[]): Manifest['images'] {
  const images: Manifest['images'] = {}
  for (const service of new Set(running.map((each) => each.service))) {
    const before = operation.intent.members.find((member) => member.service === service)?.before
    const image = before ?? containerOf(service, running)?.image
    if (service === '' || image === undefined || image.digest === '') continue
    const last = work.journal.lastApplied(service)
    images[service] = {
      ...{ name: image.name, tag: image.tag, digest: image.digest },
      ...(last?.to?.digest === image.digest ? { commit: last.commit } : {}),
    }
  }
  return images
}

/**
 * Reads the whole backup back from every store that must have it. A backup that cannot be read is none, and then
 * nothing is replaced.
 */
export async function prove(work: Work, operation: Operation): Promise<string> {
  const { data } = operation.intent
  if (data?.backup === null || data === undefined) return 'nothing to prove'
  const { backup } = data
  const running = await work.engine.observe(work.project)
  const programsOf = async (server: string): Promise<string | null> => {
    const current = containerOf(server, running)
    return current?.state === 'running' ? current.instance : null
  }
  const proven: string[] = []
  for (const { store } of requiredOnes(await storesOf(work, data))) {
    const manifest = await readManifest(store, backup.key)
    const about = { operation: operation.id, key: backup.key, manifest, level: 1 as const, programsOf }
    const { ok, problems } = await verifyBackup(meansOf(work, operation), store, about)
    if (!ok) {
      throw new SamovarError(
        'backup-failed',
        `the backup ${backup.id} was written to ${store.name}, but cannot be read back: ${problems.join('; ')}`,
        { next: 'Look at that store (disk, network, quota), then `samovar backup` tries it by itself.' },
      )
    }
    proven.push(store.name)
  }
  return `read back whole from ${proven.join(' and ')}`
}
