import { newMemory } from '../../reconciler/look.ts'
import { pass } from '../../reconciler/reconcile.ts'
import { type NotesHost, startNotesHost, withNotes } from '../end-to-end/notes-host.ts'
import { silent } from '../end-to-end/test-host.ts'
import { until } from '../rig/until.ts'
import { type Killer, withKills } from './crash-host.ts'

export type Versions = {
  notes?: string
  postgres?: string
  /** `backup:` of notes. */
  backup?: string
  /** How long `notes` may take to become healthy. */
  within?: string
  /** The files of the database server are part of the data, too. */
  serverFiles?: boolean
}

/** What a user has: his notes with their files, and which version the rest of rows and files is of. */
export type Truth = { version: string; notes: string; schema: '1' | '2' | 'mixed' }

/** A host with an application and its database on which processes are killed. */
export type DataHost = Omit<NotesHost, 'want'> &
  Killer & {
    want(versions?: Versions): Promise<string>
    /** As the application serves it, or null. */
    truth(): Promise<Truth | null>
    /** The same, waited for. */
    served(): Promise<Truth>
    /** Adds one more note; false when it was not taken. */
    more(): Promise<boolean>
    /** A pass in this process, with nothing killed. */
    pass(): ReturnType<NotesHost['pass']>
    /** A process that was not killed must have done this, or the test is not about what it says. */
    settle(versions?: Versions): Promise<void>
  }

/** Brought up with 1.0.0, some notes, and some megabytes in files and rows, so that copying has a middle. */
export async function startDataHost(purpose: string): Promise<DataHost> {
  const notes = await startNotesHost(purpose)
  const killer = await withKills(notes)
  let added = 0
  const host: DataHost = {
    ...killer,
    get kills() {
      return killer.kills
    },
    want: (versions = {}) => notes.commit(filesOf(notes, versions)),
    truth: () => truthOf(notes),
    async served() {
      let seen: Truth | null = null
      const serves = async () => {
        seen = await truthOf(notes)
        return seen !== null
      }
      await until('notes serve', serves, { withinMs: 20_000 })
      return seen as unknown as Truth
    },
    more() {
      added += 1
      return notes.add(`one more, ${added}`)
    },
    async pass() {
      return pass(await notes.parts(), newMemory(), {
        services: [],
        now: true,
        stopping: new AbortController().signal,
        hint: new EventTarget(),
        progress: silent,
        busy: () => {},
      })
    },
    async settle(versions) {
      await host.want(versions)
      const { operations, findings } = await host.pass()
      const bad = operations.filter((each) => each.result !== 'applied')
      const said = [...findings.map((each) => each.message), ...bad.map((each) => each.reason)]
      if (said.length > 0) throw new Error(said.join('; '))
    },
  }
  await host.want()
  await withNotes(notes)
  const fill = 'head -c 4000000 /dev/urandom >/data/notes/large'
  await inNotes(host, fill)
  await notes.sql('create table large as select i, md5(i::text) from generate_series(1, 30000) i')
  return host
}

/** Runs a line of shell in the container of notes. */
export async function inNotes(host: Pick<DataHost, 'parts' | 'project'>, line: string): Promise<void> {
  const { engine } = await host.parts()
  const all = await engine.observe(host.project)
  const found = all.find((each) => each.service === 'notes' && each.state === 'running')
  const { exitCode, output } = await engine.run(found?.instance ?? '', ['sh', '-c', line], 20_000)
  if (exitCode !== 0) throw new Error(output)
}

/** Rows and files back to what 1.0.0 can read; not what the tests are about, only quick. */
export async function backToSchema1(host: DataHost): Promise<void> {
  await host.sql('alter table note drop column author; update version set v = 1')
  await inNotes(host, 'echo 1 >/data/format; echo old >/data/old-format-file')
  await host.settle({ backup: '{ before: none }' })
}

async function truthOf(host: NotesHost): Promise<Truth | null> {
  const version = await host.version()
  const contents = version === null ? null : await host.contents()
  // Both of the same container: it may have been swapped in between.
  if (contents === null || version === null || (await host.version()) !== version) return null
  const lines = contents.trim().split('\n')
  const notes = lines.filter((line) => line.includes('|') || line.includes('./notes/')).join('\n')
  const others = lines.filter((line) => !line.includes('|') && !line.includes('./notes/'))
  const files = others.map((line) => line.replace(/\s+/, ' ')).join(' ')
  return { version, notes, schema: schemaOf(files) }
}

/** MD5 sums of `1`, `2` and `old`, each with a newline. */
function schemaOf(files: string): Truth['schema'] {
  if (
    files === 'b026324c6904b2a9cb4b88d6d61c81d1 ./format 814fa5ca98406a903e22b43d9b610105 ./old-format-file'
  )
    return '1'
  return files === '26ab0db90d72e28ad0ba1e22ee510510 ./format' ? '2' : 'mixed'
}

/** With the database, so that they are of one unit with the data of notes. */
const ownFiles = `data:
  - { postgres: postgres, database: notes, user: notes }
  - { volume: postgres-data }
`

function filesOf(host: NotesHost, versions: Versions): Record<string, string> {
  const { notes = '1.0.0', postgres = '15.1', within = '30s', serverFiles = false } = versions
  const { registry } = host.rig
  return {
    'desired-state/services/notes.yaml': `image: ${registry}/notes
tag: ${notes}
data:
  - { postgres: postgres, database: notes, user: notes }
  - { volume: notes-data }
backup: ${versions.backup ?? '{ before: update, while: stopped }'}
health:
  within: ${within}
  steady: 100ms
  soak: 0s
  checks:
    - { http: "http://127.0.0.1:${host.port}/healthz", every: 50ms, timeout: 1s }
`,
    'desired-state/services/postgres.yaml': `image: ${registry}/postgres
tag: "${postgres}"
${serverFiles ? ownFiles : ''}health:
  within: 60s
  steady: 100ms
  soak: 0s
  checks:
    - { command: [pg_isready, -q, -h, 127.0.0.1, -U, notes], in: postgres, every: 100ms }
`,
  }
}
