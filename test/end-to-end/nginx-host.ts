import type { Hash } from 'node:crypto'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { pushDoor } from '../rig/door-image.ts'
import { mustRun } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { hostYaml, startHost, type TestHost } from './test-host.ts'

export type Answer = { status: number; headers: IncomingMessage['headers']; text: string; ms: number }
export type Ask = {
  method?: string
  headers?: Record<string, string>
  /** Sent as it comes. */
  body?: AsyncIterable<Buffer> | Iterable<Buffer>
}

/** The repository's own nginx configuration in front of `door`, as the Compose file of this repository mounts it. */
export type NginxHost = TestHost & {
  http: string
  https: string
  /** The folder that Samovar writes and nginx reads. */
  holdDir: string
  ca: Buffer
  caFile: string
  webroot: string
  /** Over HTTPS; throws what a client sees when there is no answer. */
  ask(path: string, how?: Ask): Promise<Answer>
  /** Commits what `door` is to be. */
  want(door: { version: string; more?: string; within?: string }): Promise<string>
  container(service: string): Promise<string>
  /** SIGHUP, and waits until the new workers answer. */
  reload(): Promise<void>
  /** Lines that `door` wrote about uploads. */
  uploads(): Promise<{ id: string; version: string; begun?: true; bytes?: number; sha256?: string }[]>
  log(service: string): Promise<string>
}

export async function startNginxHost(purpose: string, more = ''): Promise<NginxHost> {
  const [secure, own] = await Promise.all([freePort(), tempFolder(`${purpose}-files`)])
  await certificate(join(own.path, 'certificates'))
  await mkdir(join(own.path, 'acme', '.well-known', 'acme-challenge'), { recursive: true })
  const folders: Folders = { files: own.path, hold: '' }
  const host = await startHost(purpose, (port) => composeOf(port, secure, folders))
  const holdDir = join(host.stateDir, 'hold')
  folders.hold = holdDir
  await pushDoor(host.rig.registry, host.rig.cacheFolder)
  const ca = await readFile(join(own.path, 'certificates/live/gitea/fullchain.pem'))
  const made = makeHost(host, { secure, files: own.path, holdDir, ca })
  await host.commit({
    ...(await nginxFiles()),
    'compose/compose.yaml': composeOf(host.port, secure, folders),
    'desired-state/host.yaml': hostYaml(host.project),
    'desired-state/services/web.yaml': null,
    'desired-state/services/nginx.yaml': `image: ${host.rig.registry}/nginx\ntag: 1.0.0\n`,
  })
  await made.want({ version: '1.0.0', more })
  const dispose = made[Symbol.asyncDispose].bind(made)
  return {
    ...made,
    async [Symbol.asyncDispose]() {
      await dispose()
      await (own as TempFolder)[Symbol.asyncDispose]()
    },
  }
}

type Folders = { files: string; hold: string }

/** The mounts and limits are those that the head of compose/nginx/nginx.conf asks for. */
const composeOf = (port: number, secure: number, { files, hold }: Folders): string => `services:
  nginx:
    image: nginx
    command: [nginx, -c, /etc/nginx/samovar/nginx.conf, -g, daemon off;]
    read_only: true
    tmpfs: ["/tmp:size=64m"]
    cap_drop: [ALL]
    cap_add: [CHOWN, NET_BIND_SERVICE, SETGID, SETUID]
    ports: ["127.0.0.1:${port}:80", "127.0.0.1:${secure}:443"]
    volumes:
      - ./nginx:/etc/nginx/samovar:ro
      - ${files}/certificates:/etc/letsencrypt:ro
      - ${files}/acme:/var/www/acme:ro
      - ${hold}:/run/samovar/hold:ro
    healthcheck: { test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8090/healthz"], interval: 1s, timeout: 3s }
  gitea:
    image: door
    depends_on: { nginx: { condition: service_started } }
    stop_grace_period: 60s
    volumes: ["data:/data"]
volumes:
  data:
`

/** What the repository ships, word for word. */
async function nginxFiles(): Promise<Record<string, string>> {
  const folder = resolve(import.meta.dirname, '../../compose/nginx')
  const files: Record<string, string> = {}
  for (const name of await readdir(folder))
    files[`compose/nginx/${name}`] = await readFile(join(folder, name), 'utf8')
  return files
}

/** As certbot leaves them with `--cert-name gitea`. */
async function certificate(folder: string): Promise<void> {
  const live = join(folder, 'live', 'gitea')
  await mkdir(live, { recursive: true })
  await mustRun('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ...['-keyout', join(live, 'privkey.pem'), '-out', join(live, 'fullchain.pem')],
  ])
}

type Given = { secure: number; files: string; holdDir: string; ca: Buffer }

function makeHost(host: TestHost, { secure, files, holdDir, ca }: Given): NginxHost {
  const https = `https://localhost:${secure}`
  const ask = (path: string, how: Ask = {}) => askOnce(`${https}${path}`, ca, how)
  const container = async (service: string): Promise<string> => {
    const filters = {
      label: [`com.docker.compose.project=${host.project}`, `com.docker.compose.service=${service}`],
    }
    const [found] = await host.rig.docker.listContainers({ all: true, filters })
    return found?.Id ?? ''
  }
  return {
    ...host,
    http: `http://localhost:${host.port}`,
    https,
    holdDir,
    ca,
    caFile: join(files, 'certificates/live/gitea/fullchain.pem'),
    webroot: join(files, 'acme'),
    ask,
    container,
    want: ({ version, more = '', within = '30s' }) =>
      host.commit({
        'desired-state/services/gitea.yaml': `image: ${host.rig.registry}/door
tag: ${version}
${more}health:
  within: ${within}
  steady: 500ms
  soak: 0s
  checks:
    - http: "${https}/version"
      json: { version: "{tag}" }
      ca: ${join(files, 'certificates/live/gitea/fullchain.pem')}
      every: 100ms
      timeout: 5s
`,
      }),
    async reload() {
      await host.rig.docker.getContainer(await container('nginx')).kill({ signal: 'SIGHUP' })
    },
    async uploads() {
      const [found] = await host.rig.docker.listContainers({
        filters: { label: [`com.docker.compose.project=${host.project}`], status: ['running'] },
      })
      if (found === undefined) return []
      const { engine } = await host.parts()
      const { output } = await engine.run(await container('gitea'), ['cat', '/data/uploads'], 10_000)
      return output
        .trim()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as never)
    },
    async log(service) {
      const logs = await host.rig.docker
        .getContainer(await container(service))
        .logs({ stdout: true, stderr: true, tail: 500 })
      return logs.toString('utf8')
    },
  }
}

function askOnce(url: string, ca: Buffer, { method = 'GET', headers, body }: Ask): Promise<Answer> {
  const began = performance.now()
  const { promise, resolve: answered, reject } = Promise.withResolvers<Answer>()
  const asked = request(
    url,
    { method, ca, agent: false, ...(headers === undefined ? {} : { headers }), timeout: 60_000 },
    (response) => {
      text(response).then(
        (said) =>
          answered({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: said,
            ms: performance.now() - began,
          }),
        reject,
      )
    },
  )
  asked.on('error', reject)
  asked.on('timeout', () => asked.destroy(new Error('no answer in time')))
  if (body === undefined) asked.end()
  // An answer that comes before the end of the body is an answer.
  else pipeline(Readable.from(body), asked).catch(reject)
  return promise
}

export const up = (host: NginxHost): Promise<unknown> =>
  until('the door answers', async () => (await host.ask('/version').catch(() => null))?.status === 200, {
    withinMs: 60_000,
  })

/** Bytes that are made as they are sent; `overMs` spreads them over a time. */
export async function* chunks(
  bytes: number,
  { hash, overMs = 0 }: { hash?: Hash; overMs?: number },
): AsyncGenerator<Buffer> {
  const size = Math.min(bytes, 1024 ** 2)
  const part = Buffer.alloc(size, 'samovar ')
  const began = performance.now()
  for (let sent = 0; sent < bytes; sent += size) {
    const piece = part.subarray(0, Math.min(size, bytes - sent))
    piece.writeUInt32BE(sent / size, 0)
    hash?.update(piece)
    // A copy: the socket may not have read the last one yet.
    yield Buffer.from(piece)
    const due = began + (overMs * (sent + size)) / bytes
    if (due > performance.now()) await pause(due - performance.now())
  }
}

export type Seen = { at: number; ms: number; status: number; version: string; said: string }

/** Some users who look again and again, each on a new connection; 0 is the status of no answer at all. */
export function userLoad(host: NginxHost, users: number) {
  const answers: Seen[] = []
  let isOn = true
  const user = async () => {
    while (isOn) {
      const at = performance.now()
      const seen = await host.ask('/version').catch((error: unknown) => String(error))
      const ms = performance.now() - at
      if (typeof seen === 'string') answers.push({ at, ms, status: 0, version: '', said: seen })
      else answers.push({ at, ms, status: seen.status, version: versionIn(seen.text), said: '' })
      await pause(20)
    }
  }
  const all = Promise.all(Array.from({ length: users }, user))
  return {
    answers,
    async end() {
      isOn = false
      await all
      return { answers }
    },
  }
}

const versionIn = (body: string): string => /"version":"([^"]*)"/.exec(body)?.[1] ?? ''
