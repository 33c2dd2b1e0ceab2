import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest } from '../../reconciler/backup/manifest.ts'
import type { StorePolicy } from '../../reconciler/desired-state.ts'
import { mustRun } from '../rig/process.ts'
import type { S3Server } from '../rig/s3-server.ts'
import type { Host, Server, Volume } from './at-scale.ts'
import type { Done, Job } from './copy-in-a-process.ts'

/** Where copies go, and what a process needs to reach it. */
export type Target = {
  policy: StorePolicy
  s3: S3Server | null
  backupKey?: string
}

export const toFolder = (folder: string): Target => ({
  policy: { kind: 'file', folder, required: true, keep: null },
  s3: null,
})

export async function toBucket(s3: S3Server, bucket: string): Promise<Target> {
  await s3.createBucket(bucket)
  return { policy: { kind: 's3', bucket, prefix: '', region: null, required: true, keep: null }, s3 }
}

/** A backup in a process of its own. `estimate`: bytes. */
export function backUp(
  host: Host,
  target: Target,
  data: { server?: Server; volume?: Volume; estimate?: number },
): Promise<Done> {
  const databases =
    data.server === undefined
      ? []
      : [{ server: 'postgres', instance: data.server.container, database: 'bench', user: 'postgres' }]
  const volumes =
    data.volume === undefined ? [] : [{ volume: 'data', volumeName: data.volume.name, exclude: [] }]
  const id = `${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}-0001-${randomBytes(3).toString('hex')}`
  const order = { id, databases, volumes, reader: host.image, estimate: data.estimate ?? null }
  return inAProcess({ ...common(host, target), act: 'back up', order }, target)
}

/** Its restore: the database into the server it came from, the volume into another one. */
export function putBack(
  host: Host,
  target: Target,
  { manifest, server, volume }: { manifest: Manifest; server?: Server; volume?: Volume },
): Promise<Done> {
  const volumes = volume === undefined ? [] : [{ volume: 'data', volumeName: volume.name }]
  const about = { manifest, volumes, eraser: host.image, server: server?.container ?? '' }
  return inAProcess({ ...common(host, target), act: 'put back', ...about }, target)
}

/** Everything that is in it. */
export async function removeAll(target: Target): Promise<void> {
  if (target.policy.kind === 'file') return rm(target.policy.folder, { recursive: true, force: true })
  const { bucket } = target.policy
  const list = await fetch(`${target.s3?.endpoint}/${bucket}?list-type=2`)
  for (const [, key] of (await list.text()).matchAll(/<Key>([^<]*)<\/Key>/g))
    await fetch(`${target.s3?.endpoint}/${bucket}/${key}`, { method: 'DELETE' })
}

const common = (host: Host, target: Target) => ({
  dockerHost: host.rig.dockerHost,
  backupKey: target.backupKey ?? null,
  store: target.policy,
  s3Endpoint: target.s3?.endpoint ?? null,
  operation: `at-scale-${randomBytes(4).toString('hex')}`,
})

async function inAProcess(job: Job, target: Target): Promise<Done> {
  const program = [join(import.meta.dirname, 'copy-in-a-process.ts')]
  const env = { ...process.env, ...target.s3?.environment }
  const said = await mustRun(process.execPath, [...profiled(), ...program], {
    env,
    input: JSON.stringify(job),
    timeoutMs: 1_800_000,
  })
  return JSON.parse(said) as Done
}

/** SAMOVAR_BENCH_PROFILE=FOLDER writes a CPU profile of each process there. */
function profiled(): string[] {
  const folder = process.env['SAMOVAR_BENCH_PROFILE']
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`]
}
