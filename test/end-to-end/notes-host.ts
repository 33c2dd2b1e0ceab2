import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { extract } from 'tar-stream'
import type { DataProgress } from '../../reconciler/backup/back-up.ts'
import type { BackupClass, VerifyLevel } from '../../reconciler/backup/manifest.ts'
import { backUpServices, restoreBackup, verifyBackups } from '../../reconciler/data-operations.ts'
import type { Running } from '../../reconciler/engine/engine.ts'
import { inForce } from '../../reconciler/in-force.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import { newMemory } from '../../reconciler/look.ts'
import { containerOf } from '../../reconciler/plan/plan.ts'
import { backupsOf } from '../../reconciler/stored-backups.ts'
import { pushNotes } from '../rig/notes-image.ts'
import { pushPostgres } from '../rig/postgres-image.ts'
import { until } from '../rig/until.ts'
import { notesCompose, notesYaml, postgresYaml, type Wanted } from './notes-desired.ts'
import { hostYaml, silent, startHost, type TestHost } from './test-host.ts'

/** A host with an application, its database and its volume, and what a user of it sees. */
export type NotesHost = TestHost & {
  /** Commits what is wanted of both; what is not named is as at the beginning. */
  want(wanted: Wanted): Promise<string>
  /** Wants it, also when it was reverted before; makes one pass without pauses and answers the roll-out of a service. */
  update(wanted: Wanted, service?: string): Promise<Operation>
  /** Replaces host.yaml's `backup:`. */
  stores(yaml: string): Promise<string>
  backUp(kind?: BackupClass): Promise<Operation>
  verify(id: string, level: VerifyLevel): Promise<Operation>
  /** @param how.seen is told how far it is */
  restore(
    id: string,
    how?: { service?: string; safety?: boolean; seen?: (seen: DataProgress) => void },
  ): Promise<Operation>
  /** Ids of the backups that the stores list and that are whole, newest first. */
  backups(): Promise<string[]>
  /** True when the application confirmed the note. */
  add(text: string): Promise<boolean>
  /** Every row and every file with its MD5, as the application tells it; null when it does not serve. */
  contents(): Promise<string | null>
  version(): Promise<string | null>
  running(service: string): Promise<Running | null>
  /** Which container a service has, its state, and since when: equal as long as nobody touched it. */
  standing(service: string): Promise<string>
  /** Rows and files from the database and the volume themselves, also while the application does not serve. */
  sql(query: string, database?: string): Promise<string>
  files(): Promise<Record<string, string>>
  /** Name and detail of every step. */
  steps(operation: Operation): Promise<Record<string, string>>
}

/** @param environment beside that of the host: keys, endpoints */
export async function startNotesHost(
  purpose: string,
  given: { backup?: (host: TestHost) => string; environment?: Record<string, string> } = {},
): Promise<NotesHost> {
  const host = await startHost(purpose, notesCompose)
  Object.assign(host.environment, given.environment)
  const { rig } = host
  await pushPostgres(rig.registry, rig.cacheFolder)
  await pushNotes(rig.registry, rig.cacheFolder)
  const stores = given.backup?.(host) ?? `{ stores: [{ file: ${host.stateDir}/store } ] }`
  const want = (wanted: Wanted) =>
    host.commit({
      'desired-state/services/notes.yaml': notesYaml(rig, host.port, wanted),
      'desired-state/services/postgres.yaml': postgresYaml(rig, wanted),
    })
  await host.commit({
    'desired-state/services/web.yaml': null,
    'desired-state/host.yaml': hostYaml(host.project, `backup: ${stores}\n`),
  })
  await want({})
  const seen = seenFrom(host)
  return {
    ...host,
    ...doneTo(host),
    ...seen,
    want,
    async update(wanted, service = 'notes') {
      await want(wanted)
      const { journal } = await host.parts()
      for (const each of journal.quarantined()) journal.retry(each.service)
      const { operations } = await host.pass({ now: true })
      const found = operations.find((each) => each.service === service)
      if (found === undefined) throw new Error(`nothing was done to ${service}`)
      return found
    },
    stores: (yaml) => host.commit({ 'desired-state/host.yaml': hostYaml(host.project, `backup: ${yaml}\n`) }),
    async steps(operation) {
      const steps = (await host.parts()).journal.steps(operation.id)
      return Object.fromEntries(steps.map(({ name, detail }) => [name, detail]))
    },
  }
}

/** Brought up, with some notes in it. */
export async function withNotes(host: NotesHost, count = 3): Promise<void> {
  await host.pass()
  for (let number = 1; number <= count; number += 1) await noted(host, `note ${number}`)
}

/** A note that is there afterwards; the application may only just have been started. */
export async function noted(host: NotesHost, text: string): Promise<void> {
  await until('notes serve', async () => (await host.contents()) !== null, { withinMs: 60_000 })
  if (!(await host.add(text))) throw new Error(`the note "${text}" was not confirmed`)
}

/** The verbs of data, in this process. */
function doneTo(host: TestHost): Pick<NotesHost, 'backUp' | 'verify' | 'restore' | 'backups'> {
  const asked = async (seen: Partial<typeof silent> = {}) => ({
    parts: await host.parts(),
    memory: newMemory(),
    options: {
      services: [],
      now: false,
      stopping: new AbortController().signal,
      hint: new EventTarget(),
      progress: { ...silent, ...seen },
      busy: () => {},
    },
  })
  const only = (operations: Operation[]): Operation => {
    const [operation, ...more] = operations
    if (operation === undefined || more.length > 0) throw new Error(`${operations.length} operations`)
    return operation
  }
  return {
    backUp: async (kind = 'manual') => only(await backUpServices(await asked(), ['notes'], kind)),
    verify: async (id, level) => only(await verifyBackups(await asked(), id, level)),
    restore: async (id, { service, safety = false, seen = () => {} } = {}) =>
      restoreBackup(await asked({ data: (_, progress) => seen(progress) }), {
        id,
        service: service ?? null,
        safety,
      }),
    async backups() {
      const parts = await host.parts()
      const listed = await backupsOf(parts, await inForce(parts, newMemory()))
      return listed.filter((each) => each.bad === null).map((each) => each.manifest.id)
    },
  }
}

type Seen = Pick<NotesHost, 'add' | 'contents' | 'version' | 'running' | 'standing' | 'sql' | 'files'>

function seenFrom(host: TestHost): Seen {
  const ask = async (path: string, method = 'GET'): Promise<string | null> => {
    try {
      const answer = await fetch(`http://127.0.0.1:${host.port}${path}`, {
        method,
        headers: { connection: 'close' },
        signal: AbortSignal.timeout(5_000),
      })
      return answer.ok ? await answer.text() : null
    } catch {
      return null
    }
  }
  const running = async (service: string): Promise<Running | null> =>
    containerOf(service, await (await host.parts()).engine.observe(host.project))
  return {
    running,
    async standing(service) {
      const current = await running(service)
      if (current === null) return `${service} has no container`
      const { state, startedAt } = await (await host.parts()).engine.inspect(current.instance)
      return `${current.name} ${current.instance} ${state} ${startedAt}`
    },
    add: async (text) => (await ask(`/notes?text=${encodeURIComponent(text)}`, 'POST')) !== null,
    contents: () => ask('/contents'),
    version: async () =>
      (JSON.parse((await ask('/version')) ?? '{}') as { version?: string }).version ?? null,
    async sql(query, database = 'notes') {
      const server = await running('postgres')
      const command = ['psql', '-X', '-q', '-A', '-t', '-U', 'notes', '-d', database, '-c', query]
      const { engine } = await host.parts()
      const { exitCode, output } = await engine.run(server?.instance ?? '', command, 20_000)
      if (exitCode !== 0) throw new Error(output)
      return output.trim()
    },
    async files() {
      const notes = await running('notes')
      const archive = await (await host.parts()).engine.readFiles(notes?.instance ?? '', '/data')
      const files: Record<string, string> = {}
      for await (const entry of archive.pipe(extract()))
        if (entry.header.type === 'file')
          files[entry.header.name] = createHash('md5')
            .update(await buffer(entry))
            .digest('hex')
        else entry.resume()
      return files
    },
  }
}
