import { newMemory } from '../../reconciler/look.ts'
import { buildParts, type Parts } from '../../reconciler/parts.ts'
import { type PassReport, pass } from '../../reconciler/reconcile.ts'
import type { Progress } from '../../reconciler/rollout/step.ts'
import { readSettings } from '../../reconciler/settings.ts'
import type { PassOptions } from '../../reconciler/work.ts'
import { type GitServer, startGitServer } from '../rig/git-server.ts'
import { freePort } from '../rig/registry.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { type RigInUse, useRig } from '../rig/use-rig.ts'

export const silent: Progress = { step: () => {}, pull: () => {}, health: () => {}, data: () => {} }

/** A host as an operator has it: a repository over HTTP, a state directory, the real engine. */
export type TestHost = {
  rig: RigInUse
  project: string
  port: number
  git: GitServer
  repository: string
  stateDir: string
  environment: Record<string, string>
  /** Writes files of the host repository and pushes; answers the commit. */
  commit(files: Record<string, string | null>, message?: string): Promise<string>
  parts(): Promise<Parts>
  /** One pass, in this process. */
  pass(options?: Partial<PassOptions>): Promise<PassReport>
  /** What a user gets: status and JSON body of a path, or null when nobody answers. */
  get(path: string): Promise<{ status: number; body: unknown } | null>
} & AsyncDisposable

export type Web = { version?: string; health?: string; extra?: string }

/** The YAML of a service whose image is the test web server. */
export const webService = (rig: RigInUse, web: Web = {}): string =>
  `image: ${rig.registry}/web\ntag: ${web.version ?? '1.0.0'}\n${web.extra ?? ''}health:\n  ${
    web.health ?? 'within: 20s\n  steady: 200ms\n  soak: 10m'
  }\n`

export const hostYaml = (project: string, extra = ''): string =>
  `name: host.example.com\nproject: ${project}\ncompose: [compose/compose.yaml]\npoll: 1s\n${extra}`

export async function startHost(
  purpose: string,
  compose?: (port: number, rig: RigInUse) => string,
): Promise<TestHost> {
  const rig = useRig()
  const project = rig.project(purpose)
  const [git, state, port] = await Promise.all([startGitServer(), tempFolder(`${purpose}-state`), freePort()])
  const repository = await git.createRepository('host')
  const environment = {
    SAMOVAR_REPOSITORY: repository,
    SAMOVAR_STATE_DIR: state.path,
    DOCKER_HOST: rig.dockerHost,
    PATH: process.env['PATH'] ?? '',
  }
  const memory = newMemory()
  let parts: Parts | undefined
  const host: TestHost = {
    rig,
    project,
    port,
    git,
    repository,
    stateDir: state.path,
    environment,
    commit: (files, message) => git.commit('host', files, message),
    async parts() {
      parts ??= await buildParts(readSettings({ repository: true }, environment))
      return parts
    },
    async pass(options = {}) {
      return pass(await host.parts(), memory, {
        services: [],
        now: false,
        stopping: new AbortController().signal,
        hint: new EventTarget(),
        progress: silent,
        busy: () => {},
        ...options,
      })
    },
    get: (path) => fetchJson(`http://127.0.0.1:${port}${path}`),
    async [Symbol.asyncDispose]() {
      await parts?.close()
      await clean(rig, project)
      await git[Symbol.asyncDispose]()
      await (state as TempFolder)[Symbol.asyncDispose]()
    },
  }
  await host.commit({
    'desired-state/host.yaml': hostYaml(project),
    'desired-state/services/web.yaml': webService(rig),
    'compose/compose.yaml':
      compose?.(port, rig) ??
      `services:\n  web:\n    image: web\n    restart: unless-stopped\n    stop_grace_period: 5s\n    ports: ["127.0.0.1:${port}:8080"]\n`,
  })
  return host
}

async function fetchJson(url: string): Promise<{ status: number; body: unknown } | null> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000), headers: { connection: 'close' } })
    return { status: answer.status, body: await answer.json().catch(() => null) }
  } catch {
    return null
  }
}

/** Everything of one Compose project, and nothing else. */
export async function clean(rig: RigInUse, project: string): Promise<void> {
  const filters = { label: [`com.docker.compose.project=${project}`] }
  for (const each of await rig.docker.listContainers({ all: true, filters }))
    await rig.docker.getContainer(each.Id).remove({ force: true, v: true })
  for (const each of await rig.docker.listNetworks({ filters })) await rig.docker.getNetwork(each.Id).remove()
  const { Volumes } = await rig.docker.listVolumes({ filters })
  for (const each of Volumes ?? []) await rig.docker.getVolume(each.Name).remove()
}
