import { hostOf } from '../../reconciler/desired-state/policies.ts'
import type { Host, Tidings } from '../../reconciler/desired-state.ts'
import type { ImageReference } from '../../reconciler/engine/engine.ts'
import type {
  Intent,
  Operation,
  OperationKind,
  OperationResult,
  Step,
} from '../../reconciler/journal/operation.ts'
import { type Journal, openJournal } from '../../reconciler/journal.ts'
import type { News } from '../../reconciler/notify/news.ts'
import { rememberAudience } from '../../reconciler/notify/recipients.ts'
import type { Change } from '../../reconciler/plan/change.ts'
import type { PassReport } from '../../reconciler/reconcile.ts'
import { type Kept, tellPeople, tellPeopleOfPass } from '../../reconciler/tell-people.ts'
import { dataOf } from '../journal/told-operations.ts'
import { change } from '../plan/given.ts'
import { tempFolder } from '../rig/temp-folder.ts'

export type Notify = { mail?: string[]; webhook?: string; on: Tidings[] }[]

/** A host as host.yaml has it, with nothing but a name and whom it tells. */
export const hostThatTells = (notify: Notify, other: { jobs?: string[] } = {}): Host =>
  hostOf({
    name: 'git.example.com',
    project: 'site',
    compose: ['compose.yaml'],
    timezone: 'Europe/Berlin',
    notify,
    jobs: Object.fromEntries(
      (other.jobs ?? []).map((name) => [name, { schedule: '30 3 * * 0', run: { service: name } }]),
    ),
  })

export const version = (tag: string): ImageReference => ({
  name: 'registry.example.com/web',
  tag,
  digest: `sha256:${tag.replaceAll('.', '').padEnd(64, 'a')}`,
})

export type Ended = {
  service?: string
  kind?: OperationKind
  result: OperationResult
  from?: string | null
  to?: string | null
  reason?: string
  steps?: [name: string, result: Step['result'], detail?: string][]
  intent?: Partial<Intent>
  downtimeMs?: number
  backup?: string
}

/** A journal with time in the test's hand, and people who are told. */
export async function openPeople(notify: Notify, other: { jobs?: string[]; isLooked?: boolean } = {}) {
  const folder = await tempFolder('people')
  let journal: Journal = openJournal(folder.path)
  let now = Date.UTC(2026, 10, 22, 2, 15)
  const people = {
    folder: folder.path,
    get journal() {
      return journal
    },
    now: () => now,
    pause(ms: number) {
      now += ms
    },
    host: hostThatTells(notify, other),
    /** As a look that finds host.yaml so. */
    look(changed?: Notify, jobs = other.jobs) {
      people.host = hostThatTells(changed ?? notify, jobs === undefined ? {} : { jobs })
      rememberAudience(journal, people.host, now)
    },
    /** Writes down that an operation ended now, as a roll-out does it; nobody is told yet. */
    ended(about: Ended): Operation {
      const operation = written(journal, about, now)
      now += 1_000
      return operation
    },
    tell: () => tellPeople({ journal, now: () => now }),
    /** A roll-out or backup that ended, and was told as the daemon does it. */
    told(about: Ended): Operation {
      const operation = people.ended(about)
      people.tell()
      return operation
    },
    /** A pass that saw these differences; none: everything is as it should be. */
    pass(changes: Partial<Change>[] = []) {
      const plan = { commit: 'c', changes: changes.map((each) => change(each)), foreign: [] }
      const report = { plan, commit: 'c', operations: [] } as unknown as PassReport
      tellPeopleOfPass({ journal, now: () => now }, report)
    },
    /** What waits to be sent, as `recipient: event about`. */
    waiting: () =>
      journal.waitingNotifications().map(({ recipient, content }) => {
        const { news } = JSON.parse(content) as Kept
        return `${recipient.split(' ')[1]}: ${news.since !== null && news.event !== 'recovered' ? 'still ' : ''}${news.event} ${news.about}`
      }),
    news: (): News[] =>
      journal.waitingNotifications().map(({ content }) => (JSON.parse(content) as Kept).news),
    /** As if all of it had been sent; answers what it was. */
    sent(): string[] {
      const sent = people.waiting()
      for (const each of journal.waitingNotifications()) journal.notificationSent(each, now)
      return sent
    },
    /** As after a restart. */
    reopen() {
      journal.close()
      journal = openJournal(folder.path)
    },
    async [Symbol.asyncDispose]() {
      journal.close()
      await folder[Symbol.asyncDispose]()
    },
  }
  if (other.isLooked !== false) people.look()
  return people
}

export type People = Awaited<ReturnType<typeof openPeople>>

function written(journal: Journal, about: Ended, now: number): Operation {
  const { service = 'web', kind = 'replace', result, reason = '' } = about
  const isData = kind === 'backup' || kind === 'verify' || kind === 'restore'
  const image = (tag: string | null | undefined, otherwise: string) =>
    isData || kind === 'job' || tag === null ? null : version(tag ?? otherwise)
  const to = image(about.to, '2.0.0')
  const intent: Intent = {
    members: [],
    quiesced: [],
    health: { within: 1, steady: 0, soak: 0, checks: [] },
    oldHealth: null,
    configuration: 'configuration',
    reasons: [],
    drift: false,
    ...(isData ? { data: dataOf(service) } : {}),
    ...about.intent,
  }
  const wanted = { service, kind, commit: 'c0ffee00', from: image(about.from, '1.0.0'), to, intent }
  const begun = journal.beginOperation(wanted, now - 20_000)
  for (const [name, ended, detail = ''] of about.steps ?? []) {
    const sequence = journal.beginStep(begun, name, now - 10_000)
    if (ended === 'done' || ended === 'failed')
      journal.endStep(begun, sequence, { ms: 1, result: ended, detail })
  }
  const { downtimeMs = null, backup = null } = about
  const operation = { ...begun, result, reason, finishedAt: now, downtimeMs, backup }
  journal.saveOperation(operation)
  return operation
}
