import { hostOf } from '../../reconciler/desired-state/policies.ts'
import type { ServicePolicy } from '../../reconciler/desired-state.ts'
import type { Engine } from '../../reconciler/engine/engine.ts'
import { openSource } from '../../reconciler/git/checkout.ts'
import { connectForge } from '../../reconciler/gitea/connect.ts'
import type { Forge } from '../../reconciler/gitea/forge.ts'
import { deliverDue } from '../../reconciler/gitea/outbox.ts'
import type { ToldPlan } from '../../reconciler/journal/forge-records.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import type { NewMessage } from '../../reconciler/journal/outbox.ts'
import { type Journal, openJournal } from '../../reconciler/journal.ts'
import type { Loaded } from '../../reconciler/load.ts'
import { type Memory, newMemory } from '../../reconciler/look.ts'
import { notifiersOf, type Parts } from '../../reconciler/parts.ts'
import type { BumpContent } from '../../reconciler/pull-requests/bump-text.ts'
import { bumpMessage } from '../../reconciler/pull-requests/propose-bump.ts'
import { settleProposals } from '../../reconciler/pull-requests/settle-proposals.ts'
import { deliveriesOf } from '../../reconciler/say-to-gitea.ts'
import { noSecrets, openSecrets } from '../../reconciler/secrets/secrets.ts'
import { readSettings } from '../../reconciler/settings.ts'
import { type FaultProxy, startFaultProxy } from '../rig/fault-proxy.ts'
import { type PretendGitea, startPretendGitea } from '../rig/pretend-gitea.ts'
import { tempFolder } from '../rig/temp-folder.ts'

export const repository = 'ops/host'
export const webFile = 'desired-state/services/web.yaml'
export const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`

/** What a pull request is, as the administrator sees it. */
export type Seen = {
  number: number
  title: string
  body: string
  state: string
  merged: boolean
  head: { ref: string; sha: string }
  labels: { name: string }[]
  requested_reviewers: { login: string }[]
}

export type GiteaStage = {
  gitea: PretendGitea
  /** Between Samovar and Gitea. */
  proxy: FaultProxy
  forge: Forge
  parts: Parts & { forge: Forge }
  journal: Journal
  memory: Memory
  loaded(): Loaded
  /** From now on these policies are in force, as of a commit. */
  follow(services: ServicePolicy[], commit?: string): Loaded
  /** What a person pushes. */
  push(files: Record<string, string | null>, branch?: string): Promise<string>
  /** Posts a message and delivers what waits; answers the problems of what still waits. */
  say(message: NewMessage): Promise<string[]>
  /** Ten minutes later: delivers what waits. */
  round(): Promise<string[]>
  propose(bump?: Partial<BumpContent>): Promise<string[]>
  /** As if its plan had been told and were good, for the head it has unless another is named; no status is set. */
  planned(number: number, told?: Partial<ToldPlan>): Promise<void>
  /** What became of our pull requests. */
  settle(): Promise<void>
  pulls(): Promise<Seen[]>
  pull(number: number): Promise<Seen>
  /** As the administrator. */
  admin(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>
  file(path: string, ref?: string): Promise<string | null>
  /** `POST /pulls` and so on: what was changed in Gitea since it was asked the last time. */
  changes(): string[]
  wait(milliseconds: number): void
} & AsyncDisposable

/** A repository in a Gitea, seen through the real client, with a real journal and a clock that is moved by hand. */
export async function openGiteaStage(
  files: Record<string, string>,
  given: { journal?: Journal; environment?: Record<string, string>; timeoutMs?: number } = {},
): Promise<GiteaStage> {
  const [gitea, state] = await Promise.all([startPretendGitea(), tempFolder('gitea-stage')])
  const proxy = await startFaultProxy(gitea.url)
  const { token } = gitea.addAccount('samovar')
  for (const login of ['alice', 'bob']) gitea.addAccount(login)
  await gitea.addRepository(repository, ['samovar', 'alice'])
  const first = await gitea.push(repository, files)
  const journal = given.journal ?? openJournal(state.path)
  let now = Date.UTC(2026, 10, 22, 12)
  const address = `${proxy.endpoint}/${repository}.git`
  const settings = readSettings(
    { repository: true },
    {
      SAMOVAR_REPOSITORY: address,
      SAMOVAR_STATE_DIR: state.path,
      SAMOVAR_GITEA_URL: proxy.endpoint,
      SAMOVAR_GITEA_TOKEN: token,
      ...given.environment,
    },
  )
  const forge = connectForge({
    url: proxy.endpoint,
    repository,
    token: () => token,
    patience: { timeoutMs: given.timeoutMs ?? 5_000, pausesMs: [5, 5] },
  })
  const source = openSource({
    repository: address,
    branch: 'main',
    stateDir: state.path,
    token: () => token,
    timeoutMs: 10_000,
    environment: process.env,
  })
  const parts: Parts & { forge: Forge } = {
    settings,
    engine: {} as Engine,
    compose: { program: 'docker', before: ['nothing of it is needed here'] } as unknown as Parts['compose'],
    source,
    journal,
    backups: { key: null, open: async () => [] },
    secrets: openSecrets(state.path),
    forge,
    notifiers: notifiersOf({ mail: null }),
    clock: {
      now: () => now,
      sleep: async (milliseconds) => {
        now += milliseconds
      },
    },
    now: () => now,
    close: async () => undefined,
  }
  const memory = newMemory()
  const signal = new AbortController().signal
  const call = caller(gitea)
  let current: Loaded | null = null
  const stage: GiteaStage = {
    gitea,
    proxy,
    forge,
    parts,
    journal,
    memory,
    loaded: () => current as Loaded,
    follow(services, commit = first) {
      current = loadedOf(services, commit)
      memory.loaded.clear()
      memory.loaded.set(commit, current)
      journal.writeNote('last-good-commit', commit)
      return current
    },
    push: (changed, branch = 'main') => gitea.push(repository, changed, { branch }),
    async say(message) {
      journal.post(message, now)
      return stage.round()
    },
    async round() {
      now += 600_000
      await deliverDue(journal, {
        deliver: deliveriesOf(parts, forge, memory),
        now: () => now,
        signal,
        told: { dropped: () => undefined },
      })
      return journal.waitingMessages().map((each) => each.problem)
    },
    propose: (bump = {}) => stage.say(bumpMessage({ ...toNewer, ...bump }, now)),
    async planned(number, told = {}) {
      const { sha: head } = (await stage.pull(number)).head
      journal.rememberPlan({
        ...{ number, head, against: '', plan: '', state: 'success', at: 0, merged: null, ended: false },
        ...told,
      })
    },
    async settle() {
      const open = await forge.openPullRequests('main')
      await settleProposals(forge, parts, { open, policies: stage.loaded().state.services })
    },
    pulls: async () => (await call('GET', '/pulls?state=all&sort=oldest')).body as Seen[],
    pull: async (number) => (await call('GET', `/pulls/${number}`)).body as Seen,
    admin: call,
    file: async (path, ref = 'main') => (await forge.file(path, ref))?.bytes.toString('utf8') ?? null,
    changes: () =>
      gitea.asked
        .splice(0)
        .filter((each) => each.method !== 'GET' && each.login === 'samovar')
        .map((each) => `${each.method} ${each.path.replace(`/repos/${repository}`, '')}`),
    wait: (milliseconds) => {
      now += milliseconds
    },
    async [Symbol.asyncDispose]() {
      if (given.journal === undefined) journal.close()
      for (const each of [proxy, gitea, state]) await each[Symbol.asyncDispose]()
    },
  }
  return stage
}

/** Writes a roll-out of web into the journal as if it had happened. */
export function recorded(
  journal: Journal,
  about: Pick<Operation, 'commit' | 'from' | 'to' | 'result'> & Partial<Operation>,
): Operation {
  const { commit, from, to, result, service = 'web', kind = 'replace' } = about
  const intent = {
    members: [],
    quiesced: [],
    health: { within: 1, steady: 0, soak: 0, checks: [] },
    oldHealth: null,
    configuration: '',
    reasons: [],
    drift: false,
    ...about.intent,
  }
  const begun = journal.beginOperation({ service, kind, commit, from, to, intent }, about.startedAt ?? 1_000)
  const operation = { ...begun, result, finishedAt: result === 'running' ? null : 6_000, reason: 'unhealthy' }
  journal.saveOperation(operation)
  return operation
}

/** web goes from 1.0.0 to 1.1.0. */
export const toNewer: Omit<BumpContent, 'found'> = {
  service: 'web',
  file: webFile,
  image: 'registry.example.com/web',
  from: { tag: '1.0.0', digest: digestOf('a') },
  to: { tag: '1.1.0', digest: digestOf('b') },
  step: 'minor',
  created: Date.UTC(2026, 10, 1),
  notes: 'https://example.com/web/1.1.0',
}

const loadedOf = (services: ServicePolicy[], commit: string): Loaded => ({
  commit,
  root: '',
  state: {
    host: hostOf({
      name: 'git.example.com',
      project: 'site',
      compose: ['compose/compose.yaml'],
      bumps: { reviewers: ['bob'] },
    }),
    services: Object.fromEntries(services.map((each) => [each.service, each])),
  },
  model: { directory: '/', services: {}, secrets: {}, configs: {} } as unknown as Loaded['model'],
  secrets: new Set(),
  resolved: noSecrets,
})

function caller({ url, admin }: PretendGitea): GiteaStage['admin'] {
  const basic = `Basic ${Buffer.from(`${admin.user}:${admin.password}`).toString('base64')}`
  return async (method, path, body) => {
    const answer = await fetch(`${url}/api/v1/repos/${repository}${path}`, {
      method,
      headers: { authorization: basic, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? null : (JSON.parse(text) as unknown) }
  }
}
