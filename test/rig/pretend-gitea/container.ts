import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttp, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { type Ended, giteaCommand } from './commands.ts'
import { listenAsGitea } from './serve.ts'
import { type Database, loadWorld, migrate, saveWorld, sql } from './stored-world.ts'
import type { World } from './world.ts'

/**
 * The program of the stand-in image of Gitea: `web` is the server, everything else is handed to that server. Settings
 * come as `GITEA__section__KEY` or with `__FILE`, /etc/gitea-release has what this release is.
 */
type Release = { version: string; schema: number; behaviour: 'good' | 'broken' }
type Settings = (section: string, key: string, otherwise?: string) => string

const commandSocket = '/tmp/gitea-command'
const folder = '/data/git/repositories'

const words = process.argv.slice(2)
if (words[0] === 'web') await web()
else process.exitCode = await ask()

async function web(): Promise<void> {
  try {
    await serve(JSON.parse(await readFile('/etc/gitea-release', 'utf8')) as Release, await settingsNow())
  } catch (error) {
    console.error(`[F] ${error instanceof Error ? error.message : String(error)}`)
    // The supervisor of Gitea's image ends with 0, whatever Gitea died of.
    process.exit(0)
  }
}

async function serve(release: Release, settings: Settings): Promise<void> {
  const [host = '', port = '5432'] = settings('database', 'HOST').split(':')
  const database = {
    host,
    port,
    name: settings('database', 'NAME'),
    user: settings('database', 'USER'),
    password: settings('database', 'PASSWD'),
  }
  await answering(database)
  console.log(`[I] ${await migrate(database, release.schema)}`)
  await mkdir(folder, { recursive: true })
  const rootUrl = settings('server', 'ROOT_URL', 'http://localhost:3000/').replace(/\/+$/, '')
  const world = await loadWorld(database, { version: release.version, folder, rootUrl })
  const changed = () => saveWorld(database, world)
  const { listener, inTurn } = listenAsGitea(world, { changed })
  const server = createHttp((incoming, outgoing) => {
    const path = (incoming.url ?? '/').split('?')[0]
    if (release.behaviour === 'broken') plain(outgoing, 502, 'Bad Gateway')
    else if (path === '/api/healthz') void health(database, outgoing)
    else if (path === '/metrics') metrics(world, settings, { incoming, outgoing })
    else if (path === '/') plain(outgoing, 200, '<title>Gitea: Git with a cup of tea</title>', 'text/html')
    else listener(incoming, outgoing)
  })
  // A big repository is pushed slowly.
  server.requestTimeout = 0
  await new Promise<void>((resolve) =>
    server.listen(Number(settings('server', 'HTTP_PORT', '3000')), resolve),
  )
  const commands = await takeCommands(async (asked) => {
    const ended = await inTurn(async () => giteaCommand(world, asked))
    await inTurn(changed)
    return ended
  })
  const ssh = createServer((socket) => socket.on('error', () => {}).end('SSH-2.0-stand-in\r\n'))
  ssh.on('error', () => {}).listen(Number(settings('server', 'SSH_LISTEN_PORT', '22')))
  console.log(`[I] Gitea ${release.version} listens on 3000`)
  // Running requests are finished, as Gitea does.
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      ssh.close()
      commands.close()
      server.close(() => void inTurn(async () => {}).then(() => process.exit(0)))
      server.closeIdleConnections()
    })
}

async function answering(database: Database): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await sql(database, 'select 1')
      return
    } catch (error) {
      console.log(`[E] ORM engine initialization attempt #${attempt} failed: ${String(error)}`)
      if (attempt === 120) throw error
      await pause(500)
    }
  }
}

async function health(database: Database, outgoing: ServerResponse): Promise<void> {
  const status = await sql(database, 'select 1').then(
    () => 'pass',
    () => 'fail',
  )
  const check = [{ status, time: new Date().toISOString() }]
  const body = { status, description: 'Gitea', checks: { 'cache:ping': check, 'database:ping': check } }
  plain(outgoing, status === 'pass' ? 200 : 424, JSON.stringify(body), 'application/json')
}

function metrics(
  world: World,
  settings: Settings,
  { incoming, outgoing }: { incoming: IncomingMessage; outgoing: ServerResponse },
): void {
  const token = settings('metrics', 'TOKEN', '')
  if (settings('metrics', 'ENABLED', 'false') !== 'true') plain(outgoing, 404, 'not found')
  else if (token !== '' && incoming.headers.authorization !== `Bearer ${token}`)
    plain(outgoing, 401, 'unauthorized')
  else plain(outgoing, 200, `gitea_repositories ${world.repositories.length}\n`)
}

function plain(outgoing: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  outgoing.writeHead(status, { 'content-type': type }).end(body)
}

/** Written into app.ini as Gitea's image does, but not read from there again. */
async function settingsNow(): Promise<Settings> {
  const values = new Map<string, string>()
  for (const [name, value = ''] of Object.entries(process.env)) {
    const [, section = '', key = '', file] = /^GITEA__(\w+?)__(\w+?)(__FILE)?$/.exec(name) ?? []
    if (section === '') continue
    const content = file === undefined ? value : (await readFile(value, 'utf8')).replace(/\n$/, '')
    values.set(`${section.toLowerCase()}.${key}`, content)
  }
  const file = '/data/gitea/conf/app.ini'
  await mkdir(dirname(file), { recursive: true })
  const lines = [...values].map(([name, value]) => `${name} = ${value}\n`)
  await writeFile(file, lines.join(''), { mode: 0o600 })
  if (values.get('security.INSTALL_LOCK') !== 'true')
    throw new Error('INSTALL_LOCK is not set: the installation page is all there is')
  return (section, key, otherwise) => {
    const value = values.get(`${section}.${key}`) ?? otherwise
    if (value === undefined) throw new Error(`[${section}] ${key} is not set`)
    return value
  }
}

async function takeCommands(run: (asked: string[]) => Promise<Ended>) {
  await rm(commandSocket, { force: true })
  const server = createHttp((incoming, outgoing) => {
    void text(incoming)
      .then((body) => run(JSON.parse(body) as string[]))
      .then((ended) => plain(outgoing, 200, JSON.stringify(ended)))
  })
  await new Promise<void>((resolve) => server.listen(commandSocket, resolve))
  return server
}

/** The other commands: Gitea's own work on the database directly or ask the server, these always ask. */
async function ask(): Promise<number> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ socketPath: commandSocket, method: 'POST' }, resolve)
      .once('error', reject)
      .end(JSON.stringify(words))
  }).catch((error: Error) => error)
  if (answer instanceof Error) {
    console.error(`Command error: the server does not run: ${answer.message}`)
    return 1
  }
  const ended = JSON.parse(await text(answer)) as Ended
  process.stdout.write(ended.stdout)
  process.stderr.write(ended.stderr)
  return ended.exitCode
}
