import type { ListedBackup } from './backup/list-backups.ts'
import type { BackupClass, Manifest, VerifyLevel } from './backup/manifest.ts'
import { isWaitedFor } from './compose/service-facts.ts'
import { dataIntentOf, surroundingsOf } from './data-of.ts'
import { dataOfBackup, onlyOf } from './data-of-backup.ts'
import { SamovarError } from './errors.ts'
import { inForce } from './in-force.ts'
import type { DataIntent, NewOperation, Operation } from './journal/operation.ts'
import { type Loaded, maskOf } from './load.ts'
import type { Memory } from './look.ts'
import type { Parts } from './parts.ts'
import { unitsOf } from './plan/data-unit.ts'
import { notFinished, recover } from './recover.ts'
import { configurationOf } from './roll-out-order.ts'
import { touched } from './rollout/put-back.ts'
import { restore } from './rollout/restore.ts'
import type { Work } from './rollout/step.ts'
import { takeBackupAlone, verifyAlone } from './rollout/take-backup.ts'
import { rewriteMounted } from './secrets/rewrite.ts'
import { backupsOf, newestOfEach, oneNamed } from './stored-backups.ts'
import { type PassOptions, workOf } from './work.ts'

export type Asked = { parts: Parts; memory: Memory; options: PassOptions }

/**
 * Backs up the data of services, unit by unit; of all that have data when none is named.
 *
 * @returns one operation for each unit: `applied` when the backup is in every required store and was read back
 * @throws SamovarError `not-found` for a service without data, `data-not-covered` without a store
 */
export async function backUpServices(
  asked: Asked,
  services: string[],
  kind: BackupClass,
): Promise<Operation[]> {
  const { parts } = asked
  await finishOpen(asked)
  const loaded = await inForce(parts, asked.memory)
  const units = unitsOf(loaded.state.services, surroundingsOf(loaded))
  refuseUnknown(
    services,
    units.flatMap((unit) => unit.owners),
  )
  if (loaded.state.host.backup === null && units.length > 0)
    throw new SamovarError('data-not-covered', 'host.yaml names no store for backups', {
      next: 'Add `backup: { stores: [...] }` to host.yaml.',
    })
  const operations: Operation[] = []
  for (const unit of units) {
    if (services.length > 0 && !unit.owners.some((owner) => services.includes(owner))) continue
    if (asked.options.stopping.aborted) break
    const data = dataIntentOf(loaded, unit.owners, kind)
    if (data === null) continue
    const wanted = operationOf('backup', loaded.commit, data)
    operations.push(
      await atWork(asked, loaded, data, (work) =>
        takeBackupAlone(work, wanted, () => configurationOf(parts, loaded)),
      ),
    )
  }
  return operations
}

/**
 * Proves a backup in every store that has it.
 *
 * @param id as `backups` shows it, or its end; null for the newest of every unit
 * @throws SamovarError `not-found`, `store-failed`
 */
export async function verifyBackups(
  asked: Asked,
  id: string | null,
  level: VerifyLevel,
): Promise<Operation[]> {
  await finishOpen(asked)
  const loaded = await inForce(asked.parts, asked.memory)
  const listed = await backupsOf(asked.parts, loaded)
  // Of what left the desired state nobody knows any more how to look at it, and its backups only grow older.
  const isWanted = ({ manifest }: ListedBackup): boolean =>
    manifest.class !== 'before-restore' &&
    manifest.services.some((service) => dataIntentOf(loaded, [service], 'manual') !== null)
  const chosen = id === null ? newestOfEach(listed.filter(isWanted)) : [oneNamed(listed, id)]
  const operations: Operation[] = []
  for (const backup of chosen) {
    if (asked.options.stopping.aborted) break
    const data = dataOfBackup(loaded, backup.manifest, backup.key)
    const wanted = operationOf('verify', loaded.commit, data)
    wanted.intent.level = level
    operations.push(await atWork(asked, loaded, data, (work) => verifyAlone(work, wanted)))
  }
  return operations
}

/** What a restore would replace, for a person to look at before it is done. */
export type RestorePreview = {
  manifest: Manifest
  /** Stores that have it. */
  stores: string[]
  data: DataIntent
  /** Services whose version now is not the one of the backup. */
  otherVersions: { service: string; atBackup: string; now: string }[]
}

/** @param service only its data, or null for all of the backup */
export async function previewRestore(
  parts: Parts,
  memory: Memory,
  wanted: { id: string; service: string | null },
): Promise<RestorePreview> {
  const loaded = await inForce(parts, memory)
  const backup = oneNamed(await backupsOf(parts, loaded), wanted.id)
  const data = onlyOf(loaded, dataOfBackup(loaded, backup.manifest, backup.key), wanted.service)
  const running = await parts.engine.observe(loaded.state.host.project)
  const about = new Set([...data.owners, ...data.databases.map((each) => each.server)])
  const images = Object.entries(backup.manifest.images).filter(([service]) => about.has(service))
  const otherVersions = images.flatMap(([service, image]) => {
    const now = running.find((each) => each.service === service && each.state === 'running')?.image
    return now === undefined || now.digest === image.digest
      ? []
      : [{ service, atBackup: image.tag, now: now.tag }]
  })
  return { manifest: backup.manifest, stores: backup.stores, data, otherVersions }
}

/**
 * Puts the data of a backup back in place.
 *
 * @param wanted.safety whether what is there now is backed up first
 */
export async function restoreBackup(
  asked: Asked,
  wanted: { id: string; service: string | null; safety: boolean },
): Promise<Operation> {
  const { parts } = asked
  await finishOpen(asked)
  const loaded = await inForce(parts, asked.memory)
  const backup = oneNamed(await backupsOf(parts, loaded), wanted.id)
  const data = onlyOf(loaded, dataOfBackup(loaded, backup.manifest, backup.key), wanted.service)
  const services = new Set(touched(data))
  const half = parts.journal.dirty().find((each) => services.has(each.service))
  if (half !== undefined && wanted.service !== null)
    throw new SamovarError(
      'restore-incomplete',
      `the data of ${half.service} is only half put back, so a part of a backup would leave it a mix`,
      { next: `samovar restore ${half.backup}, without --service.` },
    )
  // What is only half there is not worth a backup, and would pass for a good one.
  return restoreData(asked, loaded, data, wanted.safety && half === undefined)
}

/** @param data which backup, and what of it */
export function restoreData(
  asked: Asked,
  loaded: Loaded,
  data: DataIntent,
  safety = false,
): Promise<Operation> {
  const order = operationOf('restore', loaded.commit, data)
  order.intent.safety = safety
  order.intent.ownerHealth = Object.fromEntries(
    data.owners.flatMap((owner) => {
      const policy = loaded.state.services[owner]
      return policy === undefined ? [] : [[owner, policy.health]]
    }),
  )
  const configuration = safety ? () => configurationOf(asked.parts, loaded) : null
  return atWork(asked, loaded, data, (work) => restore(work, order, configuration))
}

/** What a crash cut short comes first. @throws SamovarError when it could not be finished */
export async function finishOpen({ parts, memory, options }: Asked): Promise<void> {
  const open = (await recover(parts, memory, options)).find((each) => each.result === 'running')
  if (open !== undefined) throw notFinished(open, options)
}

async function atWork(
  { parts, options }: Asked,
  loaded: Loaded,
  data: DataIntent,
  act: (work: Work) => Promise<Operation>,
): Promise<Operation> {
  const { project } = loaded.state.host
  parts.journal.writeNote('project', project)
  const work = workOf(parts, options, {
    project,
    root: loaded.root,
    endsByItself: (service) => isWaitedFor(loaded.model, service),
    secrets: maskOf(loaded),
  })
  options.busy([...data.owners, ...data.stop, ...data.stopAfterDumps])
  try {
    // What stands still for it is started again.
    await rewriteMounted(parts, { loaded, running: await parts.engine.observe(project) })
    const operation = await act(work)
    options.ended?.(operation)
    return operation
  } finally {
    options.busy([])
  }
}

function operationOf(kind: 'backup' | 'verify' | 'restore', commit: string, data: DataIntent): NewOperation {
  return {
    service: data.owners[0] ?? '',
    kind,
    commit,
    from: null,
    to: null,
    intent: {
      members: [],
      quiesced: [],
      health: { within: 60_000, steady: 0, soak: 0, checks: [] },
      oldHealth: null,
      configuration: '',
      reasons: [],
      drift: false,
      data,
    },
  }
}

function refuseUnknown(services: string[], known: string[]): void {
  const unknown = services.filter((service) => !known.includes(service))
  if (unknown.length > 0)
    throw new SamovarError(
      'not-found',
      `${unknown.join(', ')} ${unknown.length === 1 ? 'has' : 'have'} no data of their own to back up`,
      { next: `Services with data: ${known.length === 0 ? 'none' : known.join(', ')}.` },
    )
}
