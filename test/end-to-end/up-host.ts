import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { UpRow } from '../../reconciler/up/rows.ts'
import type { UpStep } from '../../reconciler/up/step.ts'
import { quietGit } from '../rig/git-server.ts'
import { pushGitea } from '../rig/gitea-image.ts'
import { pushPostgres } from '../rig/postgres-image.ts'
import { type Finished, mustRun, run } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { type RigInUse, useRig } from '../rig/use-rig.ts'
import { clean } from './test-host.ts'

export type UpDocument = {
  url: string
  changed: boolean
  steps: UpStep[]
  services: UpRow[]
  error?: { code: string; message: string; next: string }
}

/** A machine with a checkout of the host repository, and nothing else: where `samovar up` begins. */
export type UpHost = {
  rig: RigInUse
  project: string
  /** Where people find Gitea: nginx in front of it. */
  url: string
  folder: string
  stateDir: string
  environmentFile: string
  /** Path of a secret's file. */
  secret: (name: string) => string
  /** Of a process that is started for this host. */
  environment: Record<string, string>
  up(...more: string[]): Promise<Finished & { document: UpDocument }>
  commit(files: Record<string, string>, message?: string): Promise<string>
  git(...words: string[]): Promise<string>
  read(path: string): Promise<string>
  mode(path: string): Promise<string>
  /** Container ids by service, of those that run. */
  containers(): Promise<Record<string, string>>
} & AsyncDisposable

export async function startUpHost(purpose: string, tags: { gitea?: string } = {}): Promise<UpHost> {
  const rig = useRig()
  await pushPostgres(rig.registry, rig.cacheFolder)
  await pushGitea(rig.registry, rig.cacheFolder)
  const [port, project, temp] = [await freePort(), rig.project(purpose), await tempFolder(purpose)]
  const at = (name: string) => join(temp.path, name)
  const folder = at('checkout')
  await mkdir(folder)
  const git = (...words: string[]) => mustRun('git', ['-C', folder, ...words], { env: quietGit })
  await git('init', '-q', '--initial-branch=main')
  const environment = {
    ...rig.environment,
    PATH: rig.environment['PATH'] ?? process.env['PATH'] ?? '',
    SAMOVAR_STATE_DIR: at('state'),
    SAMOVAR_PUBLIC_URL: 'http://samovar.example.com',
  }
  const environmentFile = at('environment')
  const host: UpHost = {
    rig,
    project,
    url: `http://127.0.0.1:${port}`,
    folder,
    stateDir: at('state'),
    environmentFile,
    secret: (name) => at(`secrets/${name}`),
    environment,
    async up(...more) {
      const words = ['up', folder, '--yes', '--json', '--environment', environmentFile, ...more]
      const finished = await run(process.execPath, ['reconciler/cli.ts', ...words], {
        env: environment,
        timeoutMs: 120_000,
      })
      return { ...finished, document: JSON.parse(finished.stdout || '{}') as UpDocument }
    },
    async commit(files, message = 'our host') {
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(folder, path)), { recursive: true })
        await writeFile(join(folder, path), content)
      }
      await git('add', '-A')
      await git('commit', '-q', '-m', message)
      return (await git('rev-parse', 'HEAD')).trim()
    },
    git,
    read: (path) => readFile(path, 'utf8'),
    mode: async (path) => ((await stat(path)).mode & 0o777).toString(8),
    async containers() {
      const filters = { label: [`com.docker.compose.project=${project}`] }
      const found = await rig.docker.listContainers({ filters })
      return Object.fromEntries(
        found.map((each) => [each.Labels['com.docker.compose.service'] ?? '', each.Id]),
      ) as Record<string, string>
    },
    async [Symbol.asyncDispose]() {
      await clean(rig, project)
      await temp[Symbol.asyncDispose]()
    },
  }
  await host.commit(desired(host, port, tags.gitea ?? '1.27.1'))
  return host
}

function desired(host: UpHost, port: number, gitea: string): Record<string, string> {
  const { rig, project, secret } = host
  const service = (image: string, tag: string, more: string) =>
    `image: ${rig.registry}/${image}\ntag: "${tag}"\nhealth:\n  within: 60s\n  steady: 200ms\n  soak: 0s\n${more}`
  const door = `  checks:\n    - { http: "http://127.0.0.1:${port}/api/healthz", status: 200, json: { status: pass }, every: 200ms }\n`
  return {
    'desired-state/host.yaml': `name: git.example.com
project: ${project}
compose: [compose/compose.yaml]
poll: 1s
variables:
  POSTGRES_PASSWORD: { secret: "file:${secret('postgres-password')}" }
  GITEA_SECRET_KEY: { secret: "file:${secret('gitea-secret-key')}" }
  GITEA_INTERNAL_TOKEN: { secret: "file:${secret('gitea-internal-token')}" }
  RUNNER_TOKEN: { secret: "file:${secret('runner-token')}" }
`,
    'desired-state/services/postgres.yaml': service(
      'postgres',
      '15.1',
      `  checks:\n    - { container: healthy }\n`,
    ),
    'desired-state/services/gitea.yaml': service('gitea', gitea, door),
    'desired-state/services/nginx.yaml': service('nginx', '1.0.0', door),
    'desired-state/services/runner.yaml': service('runner', '3.3.0', ''),
    'compose/nginx/default.conf': `server {
  listen 80;
  client_max_body_size 512m;
  resolver 127.0.0.11 valid=1s;
  location / { set $upstream http://gitea:3000; proxy_pass $upstream; proxy_set_header Host $http_host; }
}
`,
    'compose/compose.yaml': composeFile(port),
  }
}

/** As the stack of this repository, without TLS and what only machines on the internet need. */
const composeFile = (port: number): string => `services:
  nginx:
    image: nginx
    restart: unless-stopped
    volumes: ["./nginx:/etc/nginx/conf.d:ro"]
    ports: ["127.0.0.1:${port}:80"]
  gitea:
    image: gitea
    restart: unless-stopped
    stop_grace_period: 5s
    depends_on: { postgres: { condition: service_healthy } }
    environment:
      GITEA__security__INSTALL_LOCK: "true"
      GITEA__security__SECRET_KEY__FILE: /run/secrets/gitea-secret-key
      GITEA__security__INTERNAL_TOKEN__FILE: /run/secrets/gitea-internal-token
      GITEA__database__HOST: postgres:5432
      GITEA__database__NAME: gitea
      GITEA__database__USER: gitea
      GITEA__database__PASSWD__FILE: /run/secrets/postgres-password
      GITEA__server__ROOT_URL: http://127.0.0.1:${port}/
    secrets:
      - { source: gitea-secret-key, mode: 0400 }
      - { source: gitea-internal-token, mode: 0400 }
      - { source: postgres-password, mode: 0400 }
    volumes: ["gitea-data:/data"]
  postgres:
    image: postgres
    restart: unless-stopped
    command: ["-c", "fsync=off"]
    environment:
      POSTGRES_USER: gitea
      POSTGRES_DB: gitea
      POSTGRES_PASSWORD: "\${POSTGRES_PASSWORD}"
      POSTGRES_INITDB_ARGS: "--no-sync"
    volumes: ["postgres-data:/var/lib/postgresql/data"]
    healthcheck:
      test: [CMD, pg_isready, -h, 127.0.0.1, -U, gitea, -d, gitea]
      interval: 500ms
      timeout: 3s
      retries: 60
  runner:
    image: runner
    restart: unless-stopped
    stop_grace_period: 1s
    environment:
      GITEA_INSTANCE_URL: http://gitea:3000
      GITEA_RUNNER_REGISTRATION_TOKEN_FILE: /run/secrets/runner-token
      GITEA_RUNNER_NAME: runner
    secrets: [{ source: runner-token, mode: 0400 }]
    volumes: ["runner-data:/data"]
volumes:
  gitea-data:
  postgres-data:
  runner-data:
secrets:
  gitea-secret-key: { environment: GITEA_SECRET_KEY }
  gitea-internal-token: { environment: GITEA_INTERNAL_TOKEN }
  postgres-password: { environment: POSTGRES_PASSWORD }
  runner-token: { environment: RUNNER_TOKEN }
`
