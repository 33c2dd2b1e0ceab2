import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hostOf } from '../../reconciler/desired-state/policies.ts'
import type { ServicePolicy } from '../../reconciler/desired-state.ts'
import { type Journal, openJournal } from '../../reconciler/journal.ts'
import type { Loaded } from '../../reconciler/load.ts'
import { makeTeller } from '../../reconciler/notify/tell.ts'
import { readSettings } from '../../reconciler/settings.ts'
import { connectRegistries } from '../../reconciler/version-bumps/registry.ts'
import { dueHints, isSweepDue, type Sweeper, sweepVersions } from '../../reconciler/version-bumps/sweep.ts'
import { policyOf } from '../desired-state/policy.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { type Answering, answering, emptyShelf, putImage, sendJson, serveShelf } from './answering.ts'

const minute = 60_000
const day = 24 * 60 * minute
const noon = Date.UTC(2026, 10, 22, 12)

let folder: TempFolder
let journal: Journal
let now = noon
let registry: Answering
let isAway = false
let said: string[] = []
let sweeper: Sweeper
const shelf = emptyShelf()

beforeEach(async () => {
  folder = await tempFolder('sweep')
  journal = openJournal(folder.path)
  now = noon
  isAway = false
  said = []
  shelf.manifests.clear()
  const serve = serveShelf(shelf)
  registry = await answering((asked, response) =>
    isAway && asked.path.includes('/team/')
      ? sendJson(response, { errors: [] }, { status: 403 })
      : serve(asked, response),
  )
  push('1.0.0')
  push('1.1.0')
  open()
})
afterEach(async () => {
  journal.close()
  await registry[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** What a new process begins with. */
function open(): void {
  const settings = readSettings({ repository: false }, {})
  const told = makeTeller({
    journal,
    now: () => now,
    say: {
      problem: (subject, sentence) => said.push(`${subject}: ${sentence}`),
      well: (subject, sentence) => said.push(`${subject}: ${sentence}`),
    },
  })
  const registries = connectRegistries({ now: () => now, login: async () => undefined })
  sweeper = { registries, parts: { journal, now: () => now, settings }, told }
}

function push(tag: string, created = noon - 30 * day): void {
  const image = { os: 'linux', created: new Date(created).toISOString(), tag }
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  shelf.manifests.set(tag, putImage(shelf, { ...image, architecture }))
}

const app = (update: { minimumAge?: string } = {}) =>
  policyOf({ image: `${registry.address}/team/app`, update }, 'app')
const other = () => policyOf({ image: `${registry.address}/others/other` }, 'other')
const hostWith = (sweep: string | null) =>
  hostOf({
    name: 'git.example.com',
    project: 'site',
    compose: [],
    timezone: 'Europe/Berlin',
    ...(sweep === null ? {} : { bumps: { sweep } }),
  })
const loaded = (...services: ServicePolicy[]): Loaded =>
  ({
    state: {
      host: hostWith(null),
      services: Object.fromEntries(services.map((each) => [each.service, each])),
    },
  }) as unknown as Loaded
const sweep = async (all: boolean, ...services: ServicePolicy[]) =>
  (await sweepVersions(sweeper, loaded(...services), { all })).map((each) => `${each.service} ${each.to.tag}`)
const hint = (name = 'team/app') => journal.hintRepository(`${registry.address}/${name}`, now)

describe('a hint', () => {
  test('makes one repository be asked, and is done with', async () => {
    hint()
    expect(await sweep(false, app(), other())).toEqual(['app 1.1.0'])
    expect(registry.lines().every((line) => line.includes('/team/app/'))).toBe(true)
    expect(journal.hints()).toEqual([])
  })

  test('of a repository that no service has asks nobody', async () => {
    hint('team/unknown')
    expect(await sweep(false, app())).toEqual([])
    expect([registry.asked, journal.hints()]).toEqual([[], []])
  })

  test('is kept for later when the registry does not answer, and then it counts', async () => {
    isAway = true
    hint()
    expect(await sweep(false, app())).toEqual([])
    expect(dueHints(sweeper.parts)).toEqual([])
    now += 10 * minute
    expect(dueHints(sweeper.parts)).toHaveLength(1)
    isAway = false
    open()
    expect(await sweep(false, app())).toEqual(['app 1.1.0'])
    expect(journal.hints()).toEqual([])
  })

  test('is kept as long as the version is too young', async () => {
    push('1.2.0', noon - day)
    shelf.manifests.delete('1.1.0')
    hint()
    expect(await sweep(false, app({ minimumAge: '3d' }))).toEqual([])
    expect(journal.hints()).toHaveLength(1)
    now += 2 * day
    expect(await sweep(false, app({ minimumAge: '3d' }))).toEqual(['app 1.2.0'])
    expect(journal.hints()).toEqual([])
  })

  test('that comes again while the registry is asked is not put off', async () => {
    isAway = true
    hint()
    const registries: Sweeper['registries'] = {
      ...sweeper.registries,
      async tags(image) {
        now += 1_000
        hint()
        return await sweeper.registries.tags(image)
      },
    }
    await sweepVersions({ ...sweeper, registries }, loaded(app()), { all: false })
    expect(dueHints(sweeper.parts)).toHaveLength(1)
  })

  test('survives the process', async () => {
    hint()
    journal.close()
    journal = openJournal(folder.path)
    open()
    expect(await sweep(false, app())).toEqual(['app 1.1.0'])
  })
})

describe('a sweep over all', () => {
  test('finds what no event told of', async () => {
    expect(await sweep(true, app(), other())).toEqual(['app 1.1.0', 'other 1.1.0'])
  })

  test('goes on when one registry fails, which is told once, and its end too', async () => {
    isAway = true
    expect(await sweep(true, app(), other())).toEqual(['other 1.1.0'])
    open()
    await sweep(true, app(), other())
    expect(said).toEqual([expect.stringMatching(/^registry of app: /)])
    isAway = false
    open()
    expect(await sweep(true, app(), other())).toEqual(['app 1.1.0', 'other 1.1.0'])
    expect(said.slice(1)).toEqual(['registry of app: it answers again'])
  })

  test('proposes no version that was refused', async () => {
    const version = { image: app().image, tag: '1.1.0', digest: '', why: '', at: 0 }
    journal.refuseVersion({ service: 'app', ...version })
    expect(await sweep(true, app(), other())).toEqual(['other 1.1.0'])
  })
})

describe('the schedule', () => {
  const due = (expression: string | null = '0 3 * * *') => isSweepDue(sweeper.parts, hostWith(expression))

  test('is due at once at the first start, and then at its next moment', async () => {
    expect(due()).toBe(true)
    await sweep(true)
    expect(due()).toBe(false)
    // 3 o'clock in Berlin.
    now = Date.UTC(2026, 10, 23, 1, 59)
    expect(due()).toBe(false)
    now += minute
    expect(due()).toBe(true)
  })

  test('is made up for once when the machine was off, also by a new process', async () => {
    await sweep(true)
    journal.close()
    journal = openJournal(folder.path)
    open()
    now += 5 * day
    expect(due()).toBe(true)
    await sweep(true)
    expect(due()).toBe(false)
  })

  test('does not wait for a clock that was ahead', async () => {
    now += 400 * day
    await sweep(true)
    now = noon
    expect(due()).toBe(true)
    await sweep(true)
    expect(due()).toBe(false)
  })

  test('a look because of a hint does not stand for it', async () => {
    hint()
    await sweep(false, app())
    expect(due()).toBe(true)
  })

  test('none means that only hints are looked into', () => {
    expect(due(null)).toBe(false)
  })
})
