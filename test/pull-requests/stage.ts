import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { findCompose } from '../../reconciler/compose-config.ts'
import type { Engine } from '../../reconciler/engine/engine.ts'
import { type PretendHost, pretendHost } from '../../reconciler/engine/in-memory.ts'
import { openSource } from '../../reconciler/git/checkout.ts'
import { realClock } from '../../reconciler/health/clock.ts'
import { type Journal, openJournal } from '../../reconciler/journal.ts'
import { look, type Memory, newMemory, type Outlook } from '../../reconciler/look.ts'
import { notifiersOf, type Parts } from '../../reconciler/parts.ts'
import type { HeadPlan } from '../../reconciler/pull-requests/head-plan.ts'
import { type PlanHeadOptions, planHead } from '../../reconciler/pull-requests/plan-head.ts'
import { type PassReport, pass } from '../../reconciler/reconcile.ts'
import { openSecrets } from '../../reconciler/secrets/secrets.ts'
import { readSettings } from '../../reconciler/settings.ts'
import { gitIn } from '../git/source.ts'
import { type GitServer, startGitServer } from '../rig/git-server.ts'
import { tempFolder } from '../rig/temp-folder.ts'

export type Files = Record<string, string | null>

export type Stage = {
  host: PretendHost
  git: GitServer
  parts: Parts
  journal: Journal
  stateDir: string
  /** Commits to the branch in force. */
  commit(files: Files): Promise<string>
  pass(now?: boolean): Promise<PassReport>
  look(): Promise<Outlook>
  /** A branch from what is in force, as pull request #7. */
  offer(files: Files): Promise<string>
  /** Plans the newest head of #7. */
  plan(options?: Partial<PlanHeadOptions>): Promise<HeadPlan>
  /** Merges what was offered last, as it is. */
  merge(): Promise<string>
} & AsyncDisposable

export const image = 'registry.example.com/web'
const health =
  '\nhealth: { within: 10s, steady: 0s, soak: 0s, checks: [{ container: healthy, every: 20ms }] }\n'
export const serviceFile = (tag: string, extra = ''): string =>
  `image: ${image}\ntag: ${tag}${health}${extra}`

export const hostFile = (extra = ''): string =>
  `name: host\nproject: site\ncompose: [compose/compose.yaml]\n${extra}`

/** A host with real Git, Compose and journal, and a pretend engine on which a first commit was rolled out. */
export async function openStage(
  files: Files,
  options: { environment?: Record<string, string>; engine?: (host: PretendHost) => Partial<Engine> } = {},
): Promise<Stage> {
  const [git, state, work, compose] = await Promise.all([
    startGitServer(),
    tempFolder('plan-state'),
    tempFolder('plan-work'),
    findCompose(),
  ])
  const repository = await git.createRepository('host')
  const host = pretendHost()
  for (const tag of ['1.0.0', '1.1.0', '1.2.0']) host.publish(`${image}:${tag}`, { health: 'healthy' })
  const journal = openJournal(state.path)
  const settings = readSettings(
    { repository: true },
    { SAMOVAR_REPOSITORY: repository, SAMOVAR_STATE_DIR: state.path, ...options.environment },
  )
  const source = openSource({
    repository,
    branch: 'main',
    stateDir: state.path,
    timeoutMs: 10_000,
    environment: process.env,
  })
  const parts: Parts = {
    settings,
    engine: { ...host.engine, ...options.engine?.(host) },
    compose,
    source,
    journal,
    backups: { key: null, open: async () => [] },
    secrets: openSecrets(state.path),
    forge: null,
    notifiers: notifiersOf({ mail: null }),
    clock: realClock,
    now: Date.now,
    close: async () => journal.close(),
  }
  const memory: Memory = newMemory()
  const stage: Stage = {
    host,
    git,
    parts,
    journal,
    stateDir: state.path,
    commit: (changed) => git.commit('host', changed),
    pass: (now = false) =>
      pass(parts, memory, {
        services: [],
        now,
        stopping: new AbortController().signal,
        hint: new EventTarget(),
        progress: { step: () => {}, pull: () => {}, health: () => {}, data: () => {} },
        busy: () => {},
      }),
    async look() {
      const seen = await look(parts, memory, { fetch: true, ignoreWindows: false })
      if (!('plan' in seen)) throw new Error(JSON.stringify(seen.findings))
      return seen
    },
    async offer(changed) {
      await rm(work.path, { recursive: true, force: true })
      await mkdir(work.path)
      await gitIn(work.path, 'clone', '-q', join(git.folder, 'host.git'), '.')
      for (const [path, content] of Object.entries(changed)) {
        await mkdir(dirname(join(work.path, path)), { recursive: true })
        if (content === null) await rm(join(work.path, path))
        else await writeFile(join(work.path, path), content)
      }
      await gitIn(work.path, 'add', '-A')
      await gitIn(work.path, 'commit', '-q', '--allow-empty', '-m', 'offer')
      await gitIn(work.path, 'push', '-q', '-f', 'origin', 'HEAD:refs/pull/7/head')
      return gitIn(work.path, 'rev-parse', 'HEAD')
    },
    async plan(more = {}) {
      const outlook = more.outlook ?? (await stage.look())
      return planHead({ parts, outlook, number: 7, head: '', ...more })
    },
    async merge() {
      await gitIn(work.path, 'push', '-q', 'origin', 'HEAD:main')
      return gitIn(work.path, 'rev-parse', 'HEAD')
    },
    async [Symbol.asyncDispose]() {
      journal.close()
      for (const each of [git, state, work]) await each[Symbol.asyncDispose]()
    },
  }
  await stage.commit(files)
  return stage
}
