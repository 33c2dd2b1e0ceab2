import { randomBytes, randomInt } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parse, stringify } from 'yaml'
import { readEnvironment } from '../../reconciler/up/environment-file.ts'
import { makePebbleCertificate, pushCertbot, pushPebble } from '../rig/acme-images.ts'
import { quietGit } from '../rig/git-server.ts'
import { pushGitea } from '../rig/gitea-image.ts'
import { pushIdleImages, tagAgain, withWget } from '../rig/idle-images.ts'
import { type MailServer, startMailServer } from '../rig/mail-server.ts'
import { pushPostgres18 } from '../rig/postgres-image.ts'
import { type Finished, mustRun, run } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { type RigInUse, useRig } from '../rig/use-rig.ts'
import { type Daemon, startDaemon } from './samovar.ts'
import { copyOf, type Document, domain, type Place } from './stack-desired.ts'
import { clean } from './test-host.ts'

/**
 * A machine on which the stack of this repository is set up: `compose/` and `desired-state/` as they are, for
 * git.example.test, which is this machine. Replaced are names of images (and two versions to begin with), paths of
 * secrets and backups, schedules, and times of health checks.
 *
 * Programs that are started for it see an /etc/hosts of their own, in a mount namespace; the stack has 80, 443 and 2222
 * of a loopback address that nobody else uses.
 */
export type StackHost = {
  rig: RigInUse
  project: string
  /** Where the name leads to. */
  address: string
  folder: string
  stateDir: string
  backups: string
  /** Pebble's root; there once Pebble runs. */
  authority: string
  mails: MailServer
  /** Names and values of what nobody may read anywhere. */
  secrets(): Promise<Record<string, string>>
  /** Calls a verb; what it said is kept in `told`. */
  samovar(args: string[]): Promise<Finished>
  document<T>(args: string[]): Promise<T>
  told: string[]
  startDaemon(): Promise<Daemon>
  /** A program that knows the name, such as git. */
  program(command: string, args: string[], input?: string): Promise<string>
  /** Changes files of the desired state in a commit on top of Gitea's main branch, and pushes it there as a branch. */
  propose(changes: Record<string, (document: Document) => void>): Promise<{ branch: string; commit: string }>
  password(): Promise<string>
  container(service: string): Promise<string>
} & AsyncDisposable

export async function startStackHost(): Promise<StackHost> {
  const rig = useRig()
  const [temp, mailPort, bridge] = [await tempFolder('stack'), await freePort(), await bridgeAddress(rig)]
  const mailPassword = randomBytes(12).toString('hex')
  const place: Place = {
    rig,
    project: rig.project('stack'),
    address: await freeAddress(),
    at: (name) => join(temp.path, name),
    managementPort: await freePort(),
  }
  const { at } = place
  await pushImages(rig, await copyOf(place))
  await makePebbleCertificate(at('pebble'), ['pebble', 'pebble-2'])
  await mkdir(at('secrets'), { mode: 0o700 })
  const settings = {
    DOCKER_HOST: rig.dockerHost,
    SAMOVAR_STATE_DIR: at('state'),
    SAMOVAR_LISTEN: `${bridge}:${await freePort()}`,
    SAMOVAR_PUBLIC_URL: 'https://samovar.example.com',
    SAMOVAR_BACKUP_KEY_FILE: at('secrets/backup-key'),
    SMTP_URL_FILE: at('secrets/smtp-url'),
    SMTP_FROM: 'Samovar <samovar@example.com>',
    GIT_SSL_CAINFO: at('authority.pem'),
    NO_COLOR: '1',
  }
  const write = (name: string, content: string) => writeFile(at(name), content, { mode: 0o600 })
  await write('secrets/backup-key', randomBytes(32).toString('base64'))
  await write('secrets/smtp-url', `smtp://samovar:${mailPassword}@127.0.0.1:${mailPort}`)
  await write(
    'environment',
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  await write('hosts', `${await readFile('/etc/hosts', 'utf8')}\n${place.address} ${domain}\n`)
  const mails = await startMailServer({ port: mailPort, login: { user: 'samovar', password: mailPassword } })
  const host = hostAt(place, mails)
  return {
    ...host,
    secrets: async () => ({ ...(await secretsOf(host, at)), mail: mailPassword }),
    async [Symbol.asyncDispose]() {
      await clean(rig, place.project)
      await mails[Symbol.asyncDispose]()
      await temp[Symbol.asyncDispose]()
    },
  }
}

function hostAt(place: Place, mails: MailServer): Omit<StackHost, 'secrets' | typeof Symbol.asyncDispose> {
  const { rig, project, address, at } = place
  const told: string[] = []
  const launcher = [
    ...['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', at('hosts')],
  ]
  const environment = async () => ({
    PATH: rig.environment['PATH'] ?? process.env['PATH'] ?? '',
    ...(rig.environment['DOCKER_CONFIG'] === undefined
      ? {}
      : { DOCKER_CONFIG: rig.environment['DOCKER_CONFIG'] }),
    ...readEnvironment(await readFile(at('environment'), 'utf8')),
    NODE_EXTRA_CA_CERTS: at('authority.pem'),
  })
  const launched = async (
    command: string,
    args: string[],
    more: { env: NodeJS.ProcessEnv; input?: string },
  ) => run(launcher[0] ?? '', [...launcher.slice(1), command, ...args], { ...more, timeoutMs: 200_000 })
  const git = (...words: string[]) => mustRun('git', ['-C', at('checkout'), ...words], { env: quietGit })
  const password = async () => (await readFile(at('state/gitea-admin-password'), 'utf8')).trim()
  const host = {
    rig,
    project,
    address,
    folder: at('checkout'),
    stateDir: at('state'),
    backups: at('backups'),
    authority: at('authority.pem'),
    mails,
    told,
    password,
    async samovar(args: string[]) {
      const words =
        args[0] === 'up' ? [...args, at('checkout'), '--yes', '--environment', at('environment')] : args
      const knowing = args[0] === 'up' ? keepAuthority(place) : null
      const finished = await launched(process.execPath, ['reconciler/cli.ts', ...words], {
        env: await environment(),
      })
      await knowing?.end()
      told.push(finished.stdout, finished.stderr)
      return finished
    },
    async document<T>(args: string[]) {
      return JSON.parse((await host.samovar([...args, '--json'])).stdout) as T
    },
    async program(command: string, args: string[], input?: string) {
      const env = { ...quietGit, ...(await environment()) }
      const finished = await launched(command, args, { env, ...(input === undefined ? {} : { input }) })
      if (finished.exitCode !== 0)
        throw new Error(`${command} ended with ${finished.exitCode}: ${finished.stderr}`)
      return finished.stdout
    },
    startDaemon: async () => startDaemon({ environment: await environment(), launcher }),
    async propose(changes: Record<string, (document: Document) => void>) {
      const url = `https://operator:${await password()}@${domain}/ops/host.git`
      const branch = `change-${randomBytes(4).toString('hex')}`
      await host.program('git', ['-C', at('checkout'), 'fetch', '-q', url, 'main'])
      await git('checkout', '-q', '-B', branch, 'FETCH_HEAD')
      for (const [path, change] of Object.entries(changes)) {
        const file = join(at('checkout'), 'desired-state', path)
        const document = parse(await readFile(file, 'utf8')) as Document
        change(document)
        await writeFile(file, stringify(document))
      }
      await git('commit', '-qam', `change ${Object.keys(changes).join(', ')}`)
      await host.program('git', ['-C', at('checkout'), 'push', '-q', url, branch])
      return { branch, commit: (await git('rev-parse', 'HEAD')).trim() }
    },
    async container(service: string) {
      const label = [`com.docker.compose.project=${project}`, `com.docker.compose.service=${service}`]
      const found = await rig.docker.listContainers({ filters: { label } })
      return found.find((each) => each.Names.some((name) => name === `/${project}-${service}-1`))?.Id ?? ''
    },
  }
  return host
}

async function pushImages({ registry, cacheFolder }: RigInUse, tags: Record<string, string>): Promise<void> {
  await pushGitea(registry, cacheFolder)
  await pushPostgres18(registry, cacheFolder)
  await pushCertbot(registry, cacheFolder)
  await pushPebble(registry, cacheFolder)
  const { diun = '', node = '', docker = '', nginx = '', certbot = '', runner = '' } = tags
  await pushIdleImages(registry, { diun, node, docker })
  await tagAgain(registry, 'nginx', { from: '1.0.0', to: nginx, layers: await withWget(cacheFolder) })
  await tagAgain(registry, 'certbot', { from: 'v2.1.0', to: certbot })
  await tagAgain(registry, 'runner', { from: '3.3.0', to: runner })
}

/** Writes down Pebble's root, which it makes at its start, as soon as there is one. */
function keepAuthority({ at, managementPort }: Place): { end(): Promise<void> } {
  const stopping = new AbortController()
  const known = until(
    'Pebble tells its root',
    async () => {
      if (stopping.signal.aborted) return true
      await writeFile(at('authority.pem'), await pebbleSays(managementPort, '/roots/0'))
      return true
    },
    { withinMs: 180_000, everyMs: 300 },
  )
  return {
    async end() {
      stopping.abort()
      await known
    },
  }
}

/** Its management interface has a certificate that nobody can check. */
function pebbleSays(port: number, path: string): Promise<string> {
  return new Promise((answered, reject) => {
    get({ host: '127.0.0.1', port, path, rejectUnauthorized: false, agent: false }, (response) => {
      if (response.statusCode === 200) text(response).then(answered, reject)
      else reject(new Error(`HTTP ${response.statusCode}`))
    }).on('error', reject)
  })
}

/** Values of all files that hold one, by their names. */
async function secretsOf(
  host: Pick<StackHost, 'stateDir' | 'password'>,
  at: Place['at'],
): Promise<Record<string, string>> {
  const names = [
    ...['diun-token', 'gitea-internal-token', 'gitea-lfs-jwt-secret', 'gitea-metrics-token', 'backup-key'],
    ...['gitea-oauth2-jwt-secret', 'gitea-secret-key', 'postgres-password', 'runner-token'],
    ...['gitea-token', 'webhook-secret'],
  ]
  const found: Record<string, string> = { administrator: await host.password() }
  for (const name of names) found[name] = (await readFile(at(`secrets/${name}`), 'utf8')).trim()
  return found
}

async function bridgeAddress(rig: RigInUse): Promise<string> {
  const { IPAM } = (await rig.docker.getNetwork('bridge').inspect()) as {
    IPAM: { Config: { Gateway?: string; Subnet?: string }[] }
  }
  const [{ Gateway, Subnet = '' } = {}] = IPAM.Config
  return Gateway ?? Subnet.replace(/\.0\/\d+$/, '.1')
}

/** One of the addresses in 127.0.0.0/8 of which the ports of the stack are free. */
async function freeAddress(): Promise<string> {
  const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(2, 255)}`
  for (const port of [80, 443, 2222]) {
    const server = createServer()
    const failed = await new Promise<string | null>((answered) => {
      server.once('error', (error) => answered(error.message))
      server.listen(port, address, () => answered(null))
    })
    if (failed !== null)
      throw new Error(
        `Port ${port} of ${address} cannot be used (${failed}): another program has it on every address of this machine.`,
      )
    await new Promise((closed) => server.close(closed))
  }
  return address
}
