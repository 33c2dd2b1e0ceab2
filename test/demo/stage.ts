import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type Docker from 'dockerode'
import { type GitServer, startGitServer } from '../rig/git-server.ts'
import { dockerAt } from '../rig/leftovers.ts'
import { findProgram } from '../rig/packages.ts'
import { end, ownerOf } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import type { Rig } from '../rig/rig.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import type { DemoHost } from './host-repository.ts'

export const root = resolve(import.meta.dirname, '../..')
const cli = join(root, 'reconciler', 'cli.ts')

/** The shapes of design and documentation, as far as the demo looks at them. */
export type Status = {
  commit: string | null
  services: {
    name: string
    sync: string
    state: string
    reason: string
    running: { tag: string; digest: string; container: string } | null
  }[]
}
export type Past = {
  id: string
  service: string
  kind: string
  result: string
  startedAt: string | number
  downtimeMs: number | null
  reason: string
  backup: string | null
}

/** Everything the acts play on: a repository, a daemon, an engine and the user's door. */
export type Stage = {
  host: DemoHost
  /** The user's door: nginx. */
  door: string
  docker: Docker
  git: GitServer
  repository: string
  /** Where the rig keeps what is made once. */
  cacheFolder: string
  daemonLog: string
  /** What a shell needs to talk to this daemon and engine. */
  environment: Record<string, string>
  startDaemon(): Promise<void>
  ask<T>(path: 'status' | 'history'): Promise<T>
  /** The digest a tag of a repository in the demo's registry has. */
  digest(name: string, tag: string): Promise<string>
  /** The output of a verb of the command line, as a person gets it. */
  show(verb: 'status' | 'history' | 'backups'): Promise<void>
} & AsyncDisposable

export async function setStage(rig: Rig): Promise<Stage> {
  const stack = new AsyncDisposableStack()
  const [folder, git] = [stack.use(await tempFolder('demo')), stack.use(await startGitServer())]
  const [port, notesPort, listen] = [await freePort(), await freePort(), await freePort()]
  const repository = await git.createRepository('host')
  const daemonLog = join(folder.path, 'samovar.log')
  const environment = {
    ...rig.environment,
    SAMOVAR_REPOSITORY: repository,
    SAMOVAR_STATE_DIR: join(folder.path, 'state'),
    SAMOVAR_LISTEN: `127.0.0.1:${listen}`,
  }
  const ask = async <T>(path: string): Promise<T> => {
    const answer = await fetch(`http://127.0.0.1:${listen}/api/${path}`, {
      signal: AbortSignal.timeout(5_000),
    })
    if (!answer.ok) throw new Error(`/api/${path} answers ${answer.status}`)
    return (await answer.json()) as T
  }
  return {
    host: {
      project: `${rig.run}-demo`,
      registry: rig.registry,
      port,
      notesPort,
      store: join(folder.path, 'backups'),
    },
    door: `http://127.0.0.1:${port}/`,
    docker: dockerAt(rig.dockerHost),
    git,
    repository,
    cacheFolder: rig.cacheFolder,
    daemonLog,
    environment,
    ask,
    async startDaemon() {
      if (stack.disposed) throw new Error('the demo is over')
      const daemon = spawnDaemon(environment, daemonLog)
      stack.defer(() => end(ownerOf(daemon.pid ?? 0), 20_000))
      const ended = once(daemon, 'exit').then(([code]) => {
        throw new Error(`\`samovar run\` ended with exit code ${String(code)}`)
      })
      // It also ends when the demo is over; that is no failure.
      ended.catch(() => undefined)
      await Promise.race([
        until('the daemon answers', () => ask<Status>('status'), { withinMs: 20_000 }),
        ended,
      ])
    },
    async digest(name, tag) {
      const answer = await fetch(`http://${rig.registry}/v2/${name}/manifests/${tag}`, {
        method: 'HEAD',
        headers: { accept: 'application/vnd.docker.distribution.manifest.v2+json' },
      })
      return answer.headers.get('docker-content-digest') ?? 'unknown'
    },
    async show(verb) {
      const child = spawn(process.execPath, [cli, verb], {
        env: { ...process.env, ...environment },
        stdio: 'inherit',
      })
      const [code] = await once(child, 'exit')
      if (code !== 0) throw new Error(`\`samovar ${verb}\` ended with exit code ${String(code)}`)
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/**
 * The real daemon, in a process group of its own so that Ctrl-C reaches the demo first. When the demo itself is
 * killed, the kernel tells the daemon to end: an orphan would go on correcting containers nobody wants any more.
 */
function spawnDaemon(environment: Record<string, string>, log: string): ChildProcess {
  const output = openSync(log, 'a')
  const command = [process.execPath, cli, 'run']
  const setpriv = findProgram('setpriv')
  const [program = '', ...args] = setpriv === null ? command : [setpriv, '--pdeathsig', 'SIGTERM', ...command]
  return spawn(program, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', output, output],
    detached: true,
  })
}

/** The end of the daemon's log, for a demo that went wrong. */
export function lastLines(file: string, lines = 30): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  } catch {
    return '(no log)'
  }
}
