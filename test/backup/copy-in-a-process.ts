import { readFileSync, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type BackupOrder, type Means, takeBackup } from '../../reconciler/backup/back-up.ts'
import type { Manifest } from '../../reconciler/backup/manifest.ts'
import { openStores } from '../../reconciler/backup/open-stores.ts'
import { findServer } from '../../reconciler/backup/postgres.ts'
import { putAwayReplaced, putBackDatabases, putBackVolumes } from '../../reconciler/backup/put-back.ts'
import type { StorePolicy } from '../../reconciler/desired-state.ts'
import { connectDocker } from '../../reconciler/engine/docker.ts'

/**
 * One backup, or one restore of it, in a process of its own, as `samovar backup` and `samovar restore` do it: a job
 * as JSON on the standard input, a `Done` as JSON on the standard output. For what it takes: time and memory.
 */
export type Job = {
  dockerHost: string
  /** 32 bytes in hexadecimal, or null. */
  backupKey: string | null
  store: StorePolicy
  s3Endpoint: string | null
  operation: string
} & (
  | { act: 'back up'; order: Pick<BackupOrder, 'id' | 'databases' | 'volumes' | 'reader' | 'estimate'> }
  | {
      act: 'put back'
      manifest: Manifest
      volumes: { volume: string; volumeName: string }[]
      eraser: string
      server: string
    }
)

/** Bytes; `before` when everything is loaded and connected, `highest` while it was done. */
export type Done = { ms: number; before: number; highest: number; manifest: Manifest }

const keyOf = (id: string): string => `v1/host.example.com/manual/${id}`

// In one line: what failed is told at the end of a long trace.
process.on('uncaughtException', (error) => {
  console.error(error.message)
  process.exit(1)
})
const job = JSON.parse(await text(process.stdin)) as Job
const engine = await connectDocker(job.dockerHost)
const stores = await openStores([job.store], { s3Endpoint: job.s3Endpoint, storeTimeoutMs: 60_000 })
for (const { store } of stores) await store.check()
const means: Means = {
  engine,
  now: Date.now,
  key: job.backupKey === null ? null : Buffer.from(job.backupKey, 'hex'),
  stopping: new AbortController().signal,
  progress: () => {},
}
// Resets the highest value, which is that of the start by now.
writeFileSync('/proc/self/clear_refs', '5')
const before = memory('VmRSS')
const began = performance.now()
const manifest = job.act === 'back up' ? await backUp(job) : await putBack(job)
const done: Done = { ms: performance.now() - began, before, highest: memory('VmHWM'), manifest }
for (const { store } of stores) await store.close()
await engine.close()
process.stdout.write(JSON.stringify(done), () => process.exit(0))

async function backUp({ order, operation }: Extract<Job, { act: 'back up' }>): Promise<Manifest> {
  const taken = await takeBackup(means, stores, {
    ...order,
    operation,
    key: keyOf(order.id),
    host: 'host.example.com',
    class: 'manual',
    services: ['bench'],
    commit: 'c'.repeat(40),
    previous: null,
    consistency: 'running',
    images: {},
    configuration: () => Promise.resolve(Readable.from([Buffer.from('none')])),
    stoodStillAt: null,
    dumped: () => Promise.resolve(),
  })
  return taken.manifest
}

async function putBack(wanted: Extract<Job, { act: 'put back' }>): Promise<Manifest> {
  const { operation, volumes, eraser } = wanted
  const chosen = { manifest: wanted.manifest, key: keyOf(wanted.manifest.id), stores }
  if (volumes.length > 0) await putBackVolumes(means, chosen, { operation, volumes, eraser })
  const parts = wanted.manifest.parts.filter((part) => part.kind === 'database')
  if (parts.length > 0) {
    const server = await findServer(engine, wanted.server)
    const databases = parts.map((part) => ({ part, server, operation }))
    await putBackDatabases(means, chosen, databases)
    const replaced = databases.map((each) => ({ ...each, database: each.part.database }))
    await putAwayReplaced(replaced, 'drop')
  }
  return wanted.manifest
}

function memory(name: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'utf8'))
  return Number(line?.[1] ?? 0) * 1024
}
