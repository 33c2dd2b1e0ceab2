import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline as pipelineOf, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { newestFirst } from './backup/backup-id.ts'
import { type CommitFile, readConfiguration } from './backup/configuration.ts'
import { type ListedBackup, listBackups } from './backup/list-backups.ts'
import type { OpenStore } from './backup/open-stores.ts'
import { tarEntries } from './backup/tar.ts'
import { plainPart } from './backup/verify.ts'
import { checkServices } from './check-services.ts'
import { projectNetworks, projectVolumes } from './compose/project-objects.ts'
import { dataOfBackup } from './data-of-backup.ts'
import { restoreData } from './data-operations.ts'
import type { StorePolicy } from './desired-state.ts'
import { SamovarError } from './errors.ts'
import type { Operation } from './journal/operation.ts'
import type { Loaded } from './load.ts'
import { load, type Memory } from './look.ts'
import type { Parts } from './parts.ts'
import type { Target } from './plan/target.ts'
import { type PassReport, pass } from './reconcile.ts'
import { touched } from './rollout/put-back.ts'
import { missingFor } from './secrets/missing.ts'
import { manifestCache } from './settings.ts'
import { newestOfEach } from './stored-backups.ts'
import { targetsOf } from './targets.ts'
import { rememberWhatRan } from './what-ran.ts'
import type { PassOptions } from './work.ts'

/** The backups that a host is set up from: the newest of every set of services, one commit. */
export type Choice = { host: string; commit: string; backups: ListedBackup[]; newest: ListedBackup }

/** Where the configuration of a backup said the host repository is. */
export type Bundled = CommitFile & { file: string }

/**
 * Chooses what to bring back: the newest good backup of every set of services that is not newer than the named one.
 *
 * @param wanted.host needed only when the store has several
 * @param wanted.backup id, or null for the newest
 * @throws SamovarError `not-found`
 */
export async function chooseBackups(
  stores: OpenStore[],
  wanted: { host: string | null; backup: string | null; stateDir: string },
): Promise<Choice> {
  const host = wanted.host ?? (await onlyHost(stores))
  const { backups, problems } = await listBackups(stores, host, manifestCache(wanted.stateDir))
  const [problem] = problems
  if (problem !== undefined && backups.length === 0) throw problem.error
  // One that a person names may have been found damaged: it is proven again before anything is put back from it.
  const isNamed = ({ manifest: { id } }: ListedBackup): boolean =>
    wanted.backup !== null && (id.startsWith(wanted.backup) || id.endsWith(wanted.backup))
  // What was copied before a restore is what a person threw away.
  const good = backups.filter(
    (each) =>
      isNamed(each) ||
      (each.bad === null && each.stores.length > 0 && each.manifest.class !== 'before-restore'),
  )
  const sorted = good.toSorted((a, b) => newestFirst(a.manifest, b.manifest))
  const named = wanted.backup === null ? sorted[0] : sorted.find(isNamed)
  if (named === undefined)
    throw new SamovarError('not-found', `there is no whole backup of ${host} that could be brought back`, {
      next: 'Look into the store, or name another host with --host.',
    })
  const until = sorted.slice(sorted.indexOf(named))
  return { host, commit: named.manifest.commit, backups: newestOfEach(until), newest: named }
}

async function onlyHost(stores: OpenStore[]): Promise<string> {
  const hosts = new Set<string>()
  for (const { store } of stores)
    for await (const { key } of store.list('v1/')) {
      const [, host = ''] = key.split('/')
      if (!host.startsWith('.')) hosts.add(host)
    }
  const [host, ...more] = hosts
  if (host !== undefined && more.length === 0) return host
  throw new SamovarError(
    'not-found',
    host === undefined
      ? 'the store has no backups'
      : `the store has backups of several hosts: ${[...hosts].join(', ')}`,
    {
      next: host === undefined ? 'Check the address of the store.' : 'Name one with --host.',
    },
  )
}

/** Writes the repository of a backup into a file below the state directory. @throws SamovarError `backup-key`, `backup-damaged` */
export async function fetchConfiguration(
  choice: Choice,
  stores: OpenStore[],
  about: { key: Buffer | null; stateDir: string },
): Promise<Bundled> {
  const { manifest, key } = choice.newest
  const part = manifest.parts.find((each) => each.kind === 'configuration')
  const store = stores.find((each) => choice.newest.stores.includes(each.store.name))?.store
  if (part === undefined || store === undefined)
    throw new SamovarError('backup-damaged', `backup ${manifest.id} has no configuration`)
  await mkdir(about.stateDir, { recursive: true, mode: 0o700 })
  const file = join(about.stateDir, 'restored.bundle')
  const plain = await plainPart(about, store, { key, manifest, part })
  const said = await readConfiguration(plain, (bundle) =>
    pipeline(bundle, createWriteStream(file, { mode: 0o600 })),
  )
  return { ...said, file }
}

/**
 * A fresh machine becomes the host: the repository at the commit, the volumes, the databases, and then the stack in
 * its order. What has data is marked half restored first, so that nothing of it starts before its data is there, also
 * when this is killed and the daemon is started instead. Called again, it goes on.
 *
 * @returns the operations of the restore and the report of the pass that started the rest
 * @throws SamovarError `changed` when the machine is not empty
 */
export async function restoreToEmptyHost(
  asked: { parts: Parts; memory: Memory; options: PassOptions },
  { choice, bundled, store }: { choice: Choice; bundled: Bundled; store: StorePolicy },
): Promise<{ operations: Operation[]; report: PassReport }> {
  const { parts, memory, options } = asked
  const goesOn = parts.journal.note('restoring-empty-host') === choice.newest.manifest.id
  if (!goesOn) {
    await parts.source.seed(bundled.commit, bundled.file)
    parts.journal.writeNote('last-good-commit', bundled.commit)
  }
  const loaded = await loadedAt(parts, memory, bundled.commit)
  refuseMissingSecrets(loaded, choice)
  if (!goesOn) {
    await refuseUsedHost(parts, loaded)
    const targets = await prepareHost(parts, loaded, choice)
    await refuseFilledVolumes(parts, loaded, choice)
    rememberWhatRan(parts, loaded, { targets, manifest: choice.newest.manifest })
    // From here on nothing that has data starts before its data is there.
    for (const { manifest, key } of choice.backups)
      parts.journal.markDirty(touched(dataOfBackup(loaded, manifest, key)), {
        operation: 'empty host',
        backup: manifest.id,
        at: parts.now(),
      })
    parts.journal.writeNote('restoring-empty-host', choice.newest.manifest.id)
  } else await prepareHost(parts, loaded, choice)
  const servers = serversOf(choice)
  if (servers.length > 0) await pass(parts, memory, { ...options, services: servers, now: true })
  const operations: Operation[] = []
  for (const backup of choice.backups) {
    const data = { ...dataOfBackup(loaded, backup.manifest, backup.key), stores: [store] }
    const dirty = new Set(parts.journal.dirty().map((each) => each.service))
    if (!touched(data).some((service) => dirty.has(service))) continue
    operations.push(await restoreData(asked, loaded, data))
  }
  const report = await pass(parts, memory, { ...options, now: true, isFirstStart: true })
  const held = report.plan?.changes.filter((change) => change.held !== null) ?? []
  await mustBeHealthy(asked, loaded, new Set(held.map((change) => change.service)))
  // As long as something is only half there, or not yet well, calling it again goes on.
  if (parts.journal.dirty().length === 0) parts.journal.writeNote('restoring-empty-host', '')
  return { operations, report }
}

/** What leads through a neighbour could not be asked before all of them were there. */
async function mustBeHealthy(
  { parts, options: { stopping } }: { parts: Parts; options: PassOptions },
  loaded: Loaded,
  skip: ReadonlySet<string>,
): Promise<void> {
  const checked = await checkServices({ parts, skip, stopping }, loaded)
  const bad = checked.flatMap(({ service, outcome }) =>
    'healthy' in outcome && !outcome.healthy ? [`${service}: ${outcome.said}`] : [],
  )
  if (bad.length === 0) return
  throw new SamovarError('health-check-failed', `all is back and runs, but not well: ${bad.join('; ')}`, {
    next: 'Correct that (does the name of the host lead here already, is there a certificate?), then call this again: it goes on from here.',
  })
}

async function loadedAt(parts: Parts, memory: Memory, commit: string): Promise<Loaded> {
  const { loaded, findings } = await load(parts, memory, commit)
  if (loaded !== null) return loaded
  throw new SamovarError(
    'desired-state-invalid',
    `commit ${commit.slice(0, 8)} of the backup is not good here: ${findings[0]?.message ?? ''}`,
  )
}

/** Servers first, and only they: what has its data in them must not run before. */
const serversOf = (choice: Choice): string[] => [
  ...new Set(
    choice.backups.flatMap(({ manifest }) =>
      manifest.parts.flatMap((part) => (part.kind === 'database' ? [part.server] : [])),
    ),
  ),
]

/** Data is put back into services that run; one that only has to wait for its secret may do so. */
function refuseMissingSecrets(loaded: Loaded, choice: Choice): void {
  const owners = choice.backups.flatMap(({ manifest, key }) => touched(dataOfBackup(loaded, manifest, key)))
  for (const service of new Set([...serversOf(choice), ...owners])) {
    const [first] = missingFor(loaded, service)
    if (first === undefined) continue
    throw new SamovarError(
      'secret-missing',
      `${service} cannot be started: the secret ${first.name} is missing: ${first.why}`,
      { next: first.next },
    )
  }
}

async function refuseUsedHost(parts: Parts, loaded: Loaded): Promise<void> {
  const running = await parts.engine.observe(loaded.state.host.project)
  const used = running.map((each) => each.name)
  for (const { name } of projectVolumes(loaded.model))
    used.push(...(await parts.engine.mounting(name)).map((each) => each.name))
  if (used.length === 0) return
  throw new SamovarError(
    'changed',
    `this machine is not empty: ${[...new Set(used)].join(', ')} of project ${loaded.state.host.project} is here`,
    { next: 'On a host that is set up, `samovar restore BACKUP` puts data back in place.' },
  )
}

/** A volume may outlive its containers, and with it the only copy of what is in it. */
async function refuseFilledVolumes(parts: Parts, loaded: Loaded, choice: Choice): Promise<void> {
  const { images, services } = choice.newest.manifest
  const image = services.map((service) => images[service]).find((each) => each !== undefined)
  const names = projectVolumes(loaded.model).map((volume) => volume.name)
  if (image === undefined || names.length === 0) return
  const { id } = await parts.engine.holdImage(image)
  const volumes = Object.fromEntries(names.map((name, index) => [name, `/samovar-${index}`]))
  const operation = 'empty-host'
  try {
    const wanted = { image: id, volumes, command: ['true'], environment: {} }
    const reader = await parts.engine.scratch(operation, wanted)
    const filled: string[] = []
    for (const [name, folder] of Object.entries(volumes)) {
      if (await hasContent(await parts.engine.readFiles(reader, folder))) filled.push(name)
    }
    if (filled.length === 0) return
    throw new SamovarError(
      'changed',
      `this machine is not empty: there is something in the ${filled.length === 1 ? 'volume' : 'volumes'} ${filled.join(', ')}`,
      { next: 'Copy it away and remove the volume (docker volume rm), when it is not needed any more.' },
    )
  } finally {
    await parts.engine.removeScratch(operation)
  }
}

/** Read no further than to the first entry after the folder itself. */
async function hasContent(archive: Readable): Promise<boolean> {
  const entries = tarEntries({ exclude: [] })
  const isFilled = () => entries.counted().files > 0 || entries.counted().folders > 1
  pipelineOf(archive, entries, () => {})
  for await (const _ of entries) if (isFilled()) break
  return isFilled()
}

/** Networks, volumes, and the images whose programs are needed before their services run. */
async function prepareHost(parts: Parts, loaded: Loaded, choice: Choice): Promise<Target[]> {
  const targets = await targetsOf(
    {
      engine: parts.engine,
      compose: parts.compose,
      journal: parts.journal,
      stateDir: parts.settings.stateDir,
      secretsDir: parts.settings.secretsDir,
      now: parts.now,
    },
    loaded,
  )
  await parts.engine.prepare(projectNetworks(targets.model), projectVolumes(targets.model))
  const servers = serversOf(choice)
  for (const { manifest } of choice.backups)
    for (const [service, image] of Object.entries(manifest.images)) {
      if (!manifest.services.includes(service) && !servers.includes(service)) continue
      const held = await parts.engine.holdImage(image)
      parts.journal.rememberImage({ ...image, id: held.id, pulled: held.pulled, at: parts.now() })
    }
  return targets.list
}
