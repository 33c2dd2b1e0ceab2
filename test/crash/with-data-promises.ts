import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { listBackups } from '../../reconciler/backup/list-backups.ts'
import { verifyBackup } from '../../reconciler/backup/verify.ts'
import { samovarLabels } from '../../reconciler/engine/engine.ts'
import { sentenceOf } from '../../reconciler/errors.ts'
import type { Report } from './child.ts'
import { inTheReports, leftovers, oneRuns } from './promises.ts'
import type { DataHost } from './with-data-host.ts'

export type DataExpected = {
  /** The version that serves in the end. */
  version: string
  /** What its user has then: one of these; `null` when a write and a stop overtook each other. */
  outcomes: string[] | null
  /** Versions that serve for good: what a user writes there is never lost. */
  keeps: string[]
  /** How the newest operation ended; what it may have ended as when there are several. */
  results: string[]
  /** All that may be left to do for the next process: `replace notes`. */
  work: string[]
  /** Version of the database server. */
  server?: string
  quarantined?: boolean
}

const services = ['notes', 'postgres']

/** Backups that were read back already, by host. */
const proven = new WeakMap<object, Set<string>>()

/**
 * The promises of a host with data after any crash and the passes that followed it, each broken one as a sentence. It
 * looks at the engine, the stores, the database and the user's door.
 */
export async function brokenDataPromises(
  host: DataHost,
  expected: DataExpected,
  reports: Report[],
): Promise<string[]> {
  const broken = [...host.pairs(), ...inTheReports(reports, expected)]
  // A pass mends what stands stopped; what stood still for its data must not have to wait for that.
  for (const { kind, service, result } of reports.flatMap((each) => each.operations))
    if (!expected.work.includes(`${kind} ${service}`))
      broken.push(`after the recovery a pass still had to ${kind} ${service}: ${result}`)
  const containers = await host.rig.docker.listContainers({
    all: true,
    filters: { label: [`com.docker.compose.project=${host.project}`] },
  })
  for (const service of services) broken.push(...(await oneRuns(host, containers, service)))
  broken.push(...(await leftovers(host, containers, services)))
  broken.push(...(await scratchLeft(host)), ...inTheJournal(host, expected))
  broken.push(...(await serves(host, expected)))
  broken.push(...(await inTheServer(host, expected)), ...(await backupsAreWhole(host)))
  return broken
}

/** A user looks at what is served between two processes, and writes: also to a version whose writes go with it. */
export async function lookBetween(host: DataHost, expected: DataExpected): Promise<string[]> {
  const seen = await soonServed(host)
  if (seen === null) return []
  const broken = differencesOf(seen, expected)
  if (broken.length > 0 || !(await host.more()) || !expected.keeps.includes(seen.version)) return broken
  const after = await host.truth()
  expected.outcomes = after === null ? null : [after.notes]
  return broken
}

/** What runs gets some time to serve; what does not, none. */
async function soonServed(host: DataHost): Promise<Seen | null> {
  const filters = {
    label: [`com.docker.compose.project=${host.project}`, 'com.docker.compose.service=notes'],
    status: ['running'],
  }
  const deadline = Date.now() + 6_000
  for (;;) {
    const running = await host.rig.docker.listContainers({ filters })
    const seen = running.length === 0 ? null : await host.truth()
    if (seen !== null || running.length === 0 || Date.now() > deadline) return seen
    await pause(100)
  }
}

type Seen = NonNullable<Awaited<ReturnType<DataHost['truth']>>>

function differencesOf(seen: Seen, { outcomes }: DataExpected): string[] {
  const broken: string[] = []
  const schema = seen.version.startsWith('2.') ? '2' : '1'
  if (seen.schema !== schema) broken.push(`${seen.version} serves files of format ${seen.schema}`)
  if (outcomes !== null && !outcomes.includes(seen.notes))
    broken.push(`${seen.version} serves other notes:\n${seen.notes}\ninstead of\n${outcomes.join('\nor\n')}`)
  return broken
}

async function serves(host: DataHost, expected: DataExpected): Promise<string[]> {
  try {
    const seen = await host.served()
    const broken = differencesOf(seen, expected)
    if (seen.version !== expected.version) broken.push(`${seen.version} serves, not ${expected.version}`)
    return broken
  } catch (error) {
    return [sentenceOf(error)]
  }
}

async function scratchLeft(host: DataHost): Promise<string[]> {
  const all = await host.rig.docker.listContainers({
    all: true,
    filters: { label: [samovarLabels.scratch] },
  })
  return all
    .filter((each) => host.journal.operation(each.Labels[samovarLabels.scratch] ?? '') !== null)
    .map((each) => `the scratch container ${each.Names[0]} (${each.State}: ${each.Command}) was left over`)
}

function inTheJournal(host: DataHost, expected: DataExpected): string[] {
  const broken = host.journal.unfinished().map((each) => `operation ${each.id} (${each.kind}) has no end`)
  const [last] = host.journal.history(1)
  if (last !== undefined && !expected.results.includes(last.result))
    broken.push(`the journal says ${last.result} (${last.reason}), expected ${expected.results.join(' or ')}`)
  for (const each of host.journal.dirty())
    broken.push(`the data of ${each.service} is still marked half put back`)
  const quarantined = host.journal.quarantined().length > 0
  if (quarantined !== (expected.quarantined === true))
    broken.push(quarantined ? 'a good image is quarantined' : 'the failing image is not quarantined')
  return broken
}

async function inTheServer(host: DataHost, expected: DataExpected): Promise<string[]> {
  const broken: string[] = []
  try {
    const names = (await host.sql('select datname from pg_database')).split('\n')
    for (const name of names.filter(
      (each) => !['postgres', 'notes', 'template0', 'template1'].includes(each),
    ))
      broken.push(`the database ${name} was left over`)
    const columns = `select count(*) from information_schema.columns where table_name = 'note'`
    const seen = await host.sql(`select v, (${columns}), (select count(*) from large) from version`)
    const wanted = expected.version.startsWith('2.') ? '2|4|30000' : '1|3|30000'
    if (seen !== wanted) broken.push(`the database has version, columns and rows ${seen}, not ${wanted}`)
  } catch (error) {
    broken.push(sentenceOf(error))
  }
  const running = await (await host.parts()).engine.observe(host.project)
  const server = running.find((each) => each.service === 'postgres')?.image.tag
  if (server !== (expected.server ?? '15.1')) broken.push(`postgres ${server} runs`)
  return broken
}

/** Each backup of the list is read to its end, once. */
async function backupsAreWhole(host: DataHost): Promise<string[]> {
  const { engine, backups } = await host.parts()
  const [policies] = host.journal.history(50).flatMap((each) => each.intent.data?.stores ?? [])
  if (policies === undefined) return []
  const stores = await backups.open([policies])
  const listed = await listBackups(stores, 'host.example.com', join(host.stateDir, 'seen-by-the-test'))
  const broken = listed.problems.map((each) => sentenceOf(each.error))
  const known = proven.get(host) ?? new Set<string>()
  proven.set(host, known)
  const running = await engine.observe(host.project)
  const means = {
    ...{ engine, now: Date.now, key: null, stopping: new AbortController().signal, progress: () => {} },
  }
  for (const { manifest, key, bad } of listed.backups) {
    if (bad !== null) broken.push(`backup ${manifest.id} is listed, but ${bad}`)
    const kinds = new Set(manifest.parts.map((part) => part.kind))
    for (const kind of ['database', 'roles', 'volume', 'configuration'] as const)
      if (!kinds.has(kind)) broken.push(`backup ${manifest.id} is listed, but has no ${kind}`)
    if (known.has(manifest.id)) continue
    known.add(manifest.id)
    for (const { store } of stores) {
      const programsOf = async (server: string) =>
        running.find((each) => each.service === server)?.instance ?? null
      const order = { operation: 'crash-test', key, manifest, level: 1 as const, programsOf }
      const { problems } = await verifyBackup(means, store, order)
      broken.push(...problems.map((each) => `backup ${manifest.id} is listed, but ${each}`))
    }
  }
  const ids = new Set(listed.backups.map((each) => each.manifest.id))
  for (const { id } of host.journal.recordedBackups())
    if (!ids.has(id)) broken.push(`backup ${id} is recorded, but not listed`)
  return broken
}
