import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectForge } from '../../reconciler/gitea/connect.ts'
import type { Forge } from '../../reconciler/gitea/forge.ts'
import { type FaultProxy, startFaultProxy } from '../rig/fault-proxy.ts'
import { quietGit } from '../rig/git-server.ts'
import { mustRun } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { type RigInUse, useRig } from '../rig/use-rig.ts'
import { type Daemon, documentOf, samovar, startDaemon } from './samovar.ts'
import { clean, hostYaml } from './test-host.ts'

/** A Gitea with an administrator, real or pretended. */
export type GiteaInUse = {
  url: string
  user: string
  password: string
  /** The name or address that webhooks are sent to, in the sight of this Gitea; 127.0.0.1 when not named. */
  hookHost?: string
  /** Ends it and starts it again, as an update of Gitea does; without it the way to it is cut. */
  restart?: { stop(): Promise<void>; start(): Promise<void> }
}

/** A host whose repository is in a Gitea that bootstrap made ready, and a daemon that hears of merges by webhook. */
export type GiteaHost = {
  rig: RigInUse
  project: string
  port: number
  fullName: string
  stateDir: string
  environment: Record<string, string>
  /** All traffic to Gitea, Git included, goes through it. */
  proxy: FaultProxy
  /** As the bot sees the repository. */
  forge: Forge
  token: string
  secret: string
  /** A call as the administrator; answers status and JSON. */
  admin(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>
  bootstrap(...args: string[]): Promise<{ steps: { what: string; name: string; result: string }[] }>
  /** What an engineer does: a branch, a pull request, and its number. */
  propose(branch: string, files: Record<string, string>): Promise<number>
  /** What a runner would say of the head of a pull request, since none is here. */
  validated(number: number): Promise<void>
  merge(number: number): Promise<string>
  startDaemon(more?: Record<string, string>): Promise<Daemon>
  /** The version that serves now. */
  serves(): Promise<string | null>
} & AsyncDisposable

export const validated = 'validate / validate (pull_request)'

export const webFile = (rig: RigInUse, lines: { tag: string; update?: string; more?: string }): string =>
  `# The web server.
image: ${rig.registry}/web
tag: ${lines.tag} # moved by the bot
update: ${lines.update ?? '{ policy: manual }'}
${lines.more ?? ''}health: { within: 6s, steady: 200ms, soak: 10m }
`

export async function startGiteaHost(gitea: GiteaInUse, name: string): Promise<GiteaHost> {
  const rig = useRig()
  const [state, port, listen, proxy] = await Promise.all([
    tempFolder(`${name}-state`) as Promise<TempFolder>,
    freePort(),
    freePort(),
    startFaultProxy(gitea.url),
  ])
  const project = rig.project(name)
  const fullName = `samovar-tests/${name}`
  const environment: Record<string, string> = {
    SAMOVAR_REPOSITORY: `${proxy.endpoint}/${fullName}.git`,
    SAMOVAR_GITEA_URL: proxy.endpoint,
    SAMOVAR_PUBLIC_URL: `http://${gitea.hookHost ?? '127.0.0.1'}:${listen}`,
    SAMOVAR_STATE_DIR: state.path,
    SAMOVAR_DIUN_TOKEN: 'token-of-diun',
    DOCKER_HOST: rig.dockerHost,
    PATH: process.env['PATH'] ?? '',
  }
  const administrator = {
    SAMOVAR_GITEA_ADMIN_USER: gitea.user,
    SAMOVAR_GITEA_ADMIN_PASSWORD: gitea.password,
  }
  const basic = `Basic ${Buffer.from(`${gitea.user}:${gitea.password}`).toString('base64')}`
  const admin: GiteaHost['admin'] = async (method, path, body) => {
    const answer = await fetch(`${gitea.url}/api/v1${path}`, {
      method,
      headers: { authorization: basic, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? null : (JSON.parse(text) as unknown) }
  }
  const bootstrap = async (...args: string[]) =>
    documentOf<{ steps: { what: string; name: string; result: string }[] }>(
      { environment: { ...environment, ...administrator } },
      ['bootstrap', ...args],
    )
  await admin('DELETE', `/repos/${fullName}`)
  const first = await samovar({ environment: { ...environment, ...administrator } }, ['bootstrap'])
  if (first.exitCode !== 0) throw new Error(`bootstrap failed:\n${first.stdout}${first.stderr}`)
  await pushFirst(gitea, fullName, {
    'desired-state/host.yaml': hostYaml(project, 'bumps: { reviewers: [] }\n').replace(
      'poll: 1s',
      'poll: 1h',
    ),
    'desired-state/services/web.yaml': webFile(rig, { tag: '1.0.0' }),
    'compose/compose.yaml': `services:\n  web:\n    image: web\n    restart: unless-stopped\n    stop_grace_period: 5s\n    ports: ["127.0.0.1:${port}:8080"]\n`,
  })
  // Gitea takes a moment to see that the repository is not empty any more.
  await until(
    'the branch is protected',
    async () => {
      const { steps } = await bootstrap()
      return steps.some((each) => each.what === 'branch protection' && each.result !== 'left out')
    },
    { withinMs: 20_000, everyMs: 500 },
  )
  const token = (await readFile(join(state.path, 'gitea-token'), 'utf8')).trim()
  const secret = (await readFile(join(state.path, 'webhook-secret'), 'utf8')).trim()
  const host: GiteaHost = {
    rig,
    project,
    port,
    fullName,
    stateDir: state.path,
    environment: {
      ...environment,
      SAMOVAR_GITEA_TOKEN_FILE: join(state.path, 'gitea-token'),
      SAMOVAR_WEBHOOK_SECRET_FILE: join(state.path, 'webhook-secret'),
    },
    proxy,
    forge: connectForge({ url: gitea.url, repository: fullName, token: () => token }),
    token,
    secret,
    admin,
    bootstrap,
    async propose(branch, files) {
      const changes = await Promise.all(
        Object.entries(files).map(async ([path, text]) => ({
          path,
          sha: (await host.forge.file(path, 'main'))?.sha ?? null,
          bytes: Buffer.from(text),
        })),
      )
      await host.forge.commit({ branch: 'main', newBranch: branch, message: branch, files: changes })
      const { body } = await admin('POST', `/repos/${fullName}/pulls`, {
        head: branch,
        base: 'main',
        title: branch,
      })
      return (body as { number: number }).number
    },
    async validated(number) {
      const { head } = await host.forge.pullRequest(number)
      await admin('POST', `/repos/${fullName}/statuses/${head.sha}`, { state: 'success', context: validated })
    },
    async merge(number) {
      const { head } = await host.forge.pullRequest(number)
      const wanted = { sha: head.sha, style: 'merge', title: `merge ${number}`, deleteBranch: false } as const
      for (let tries = 0; (await host.forge.merge(number, wanted)) !== 'merged'; tries += 1)
        if (tries > 40) throw new Error(`#${number} cannot be merged`)
        else await new Promise((resolve) => setTimeout(resolve, 250))
      return (await host.forge.pullRequest(number)).mergeCommit ?? ''
    },
    startDaemon: (more) =>
      startDaemon(host, { SAMOVAR_LISTEN: `127.0.0.1:${listen}`, LOG_LEVEL: 'debug', ...more }),
    async serves() {
      try {
        const answer = await fetch(`http://127.0.0.1:${port}/version`, {
          signal: AbortSignal.timeout(2_000),
          headers: { connection: 'close' },
        })
        return ((await answer.json()) as { version: string }).version
      } catch {
        return null
      }
    },
    async [Symbol.asyncDispose]() {
      await clean(rig, project)
      await proxy.stop()
      await state[Symbol.asyncDispose]()
    },
  }
  return host
}

/** The very first push goes past bootstrap's protection, which is made after it. */
async function pushFirst(gitea: GiteaInUse, fullName: string, files: Record<string, string>): Promise<void> {
  await using work = await tempFolder('first-push')
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(work.path, path, '..'), { recursive: true })
    await writeFile(join(work.path, path), text)
  }
  const { host } = new URL(gitea.url)
  const remote = `http://${gitea.user}:${gitea.password}@${host}/${fullName}.git`
  const git = (...args: string[]) => mustRun('git', ['-C', work.path, ...args], { env: quietGit })
  await git('init', '-q', '--initial-branch=main')
  await git('add', '-A')
  await git('commit', '-q', '-m', 'the host')
  await git('push', '-q', remote, 'main')
}

/** The command lines of all processes of this machine, for what must not stand in them. */
export async function commandLines(): Promise<string> {
  const child = spawn('ps', ['-eo', 'args'], { stdio: ['ignore', 'pipe', 'ignore'] })
  let text = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) text += String(chunk)
  return text
}
