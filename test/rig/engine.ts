import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, openSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { networkInterfaces } from 'node:os'
import { basename, join } from 'node:path'
import Docker from 'dockerode'
import { withMachineLock } from './machine-lock.ts'
import { findProgram, needPackages, type Say } from './packages.ts'
import { end, isAlive, isThisBoot, mustRun, type Owner, ownerOf, run } from './process.ts'
import { until } from './until.ts'

/**
 * The Docker Engine the tests and the demo work on. One that answers is used and never started or stopped.
 * Else there is one private dockerd for each machine and cache folder: whoever needs it first starts it, whoever
 * leaves last stops it. It is one for all checkouts because two daemons empty each other's iptables chains when
 * they start, and because its images are then fetched once.
 */
export type TestEngine = {
  /** For DOCKER_HOST. */
  dockerHost: string
  /** False for an engine that was there before. */
  ours: boolean
  description: string
  /** Gives the engine back; the last user stops the private one. Safe to repeat. */
  release(): Promise<void>
  /** Lets the private engine run on after this process, until the machine restarts or `release` of that use. */
  keep(): Promise<void>
}

const systemSocket = '/var/run/docker.sock'

/** @param cacheFolder where the private engine keeps its images and its log, between runs */
export async function startEngine(cacheFolder: string, say: Say): Promise<TestEngine> {
  const wish = process.env['SAMOVAR_TEST_ENGINE']
  if (wish !== undefined && wish !== 'private') {
    throw new Error(`SAMOVAR_TEST_ENGINE is '${wish}'; the one value it knows is 'private'.`)
  }
  const found = wish === 'private' ? null : await findEngine()
  if (found !== null) return found
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new Error(
      `No Docker Engine answers at DOCKER_HOST or ${systemSocket}, and starting a private one needs root on Debian or Ubuntu. ` +
        'Start Docker, set DOCKER_HOST, or run this as root.',
    )
  }
  return withMachineLock(join(cacheFolder, 'engine', 'lock.db'), () => joinPrivateEngine(cacheFolder, say))
}

async function findEngine(): Promise<TestEngine | null> {
  const named = process.env['DOCKER_HOST']
  const docker = named === undefined ? new Docker({ socketPath: systemSocket }) : new Docker()
  try {
    const version = await docker.version()
    const where = named ?? `unix://${systemSocket}`
    const description = `the Docker Engine ${version.Version} that answers at ${where}`
    return { dockerHost: where, ours: false, description, release: async () => {}, keep: async () => {} }
  } catch (error) {
    if (named === undefined) return null
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(
      `No Docker Engine answers at DOCKER_HOST=${named}: ${why}. Start it, or unset DOCKER_HOST.`,
      {
        cause: error,
      },
    )
  }
}

type Place = {
  data: string
  /** On a tmpfs and short: a Unix socket's path may have 107 characters. */
  state: string
  socket: string
  pidFile: string
  log: string
  users: string
  /** Is there from the start of the daemon to its orderly end. */
  running: string
  bridge: string
}

function placeOf(cacheFolder: string): Place {
  const short = createHash('sha256').update(cacheFolder).digest('hex').slice(0, 8)
  const state = `/run/samovar-rig-${short}`
  const folder = join(cacheFolder, 'engine')
  return {
    data: join(folder, 'data'),
    state,
    socket: join(state, 'docker.sock'),
    pidFile: join(state, 'dockerd.pid'),
    log: join(folder, 'dockerd.log'),
    users: join(folder, 'users'),
    running: join(folder, 'running'),
    bridge: `smvr-${short}`,
  }
}

async function joinPrivateEngine(cacheFolder: string, say: Say): Promise<TestEngine> {
  await needPackages(
    [
      { package: 'docker.io', program: 'dockerd', why: 'the Docker Engine' },
      { package: 'iproute2', program: 'ip', why: "the private engine's own bridge" },
      { package: 'iptables', program: 'iptables', why: "the engine's networks" },
    ],
    say,
  )
  const place = placeOf(cacheFolder)
  await mkdir(place.users, { recursive: true })
  if (!(await pings(place.socket))) await startClean(place, say)
  const use = join(place.users, `${process.pid}-${Date.now()}.json`)
  await writeFile(use, JSON.stringify({ owner: ownerOf(process.pid), kept: false } satisfies Use))
  const docker = new Docker({ socketPath: place.socket })
  const version = await docker.version()
  return {
    dockerHost: `unix://${place.socket}`,
    ours: true,
    description: `a private Docker Engine ${version.Version} (log: ${place.log})`,
    release: () => releaseUse(cacheFolder, use),
    keep: () => writeFile(use, JSON.stringify({ owner: ownerOf(process.pid), kept: true } satisfies Use)),
  }
}

type Use = { owner: Owner; kept: boolean }

/** Ends the uses that were kept on purpose (`npm run demo -- --keep`), and the engine with the last one. */
export async function releaseKept(cacheFolder: string): Promise<void> {
  const { users } = placeOf(cacheFolder)
  for (const name of existsSync(users) ? await readdir(users) : []) {
    const use = JSON.parse(await readFile(join(users, name), 'utf8')) as Use
    if (use.kept) await releaseUse(cacheFolder, join(users, name))
  }
}

async function releaseUse(cacheFolder: string, use: string): Promise<void> {
  await rm(use, { force: true })
  await stopUnused(cacheFolder)
}

/** Stops the private engine of a cache folder when nobody uses it any more; killed users do not count. */
export async function stopUnused(cacheFolder: string): Promise<void> {
  const place = placeOf(cacheFolder)
  if (!existsSync(place.users)) return
  await withMachineLock(join(cacheFolder, 'engine', 'lock.db'), async () => {
    if ((await usesLeft(place)) > 0) return
    const daemon = daemonOf(place)
    if (daemon !== null) await end(daemon, 30_000)
    await clearLeftovers(place)
    await rm(place.running, { force: true })
    await rm(place.state, { recursive: true, force: true })
  })
}

async function usesLeft(place: Place): Promise<number> {
  let left = 0
  for (const name of await readdir(place.users)) {
    const use = JSON.parse(await readFile(join(place.users, name), 'utf8')) as Use
    if (use.kept ? isThisBoot(use.owner) : isAlive(use.owner)) left += 1
    else await rm(join(place.users, name), { force: true })
  }
  return left
}

/** The daemon of this place, told from any other process that has its number by now through its arguments. */
function daemonOf(place: Place): Owner | null {
  try {
    const pid = Number(readFileSync(place.pidFile, 'utf8'))
    const isOurs = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(place.pidFile)
    return isOurs ? ownerOf(pid) : null
  } catch {
    return null
  }
}

/** What a killed daemon leaves: itself when it hangs, its containerd, pid files, sockets, the bridge. */
async function clearLeftovers(place: Place): Promise<void> {
  const daemon = daemonOf(place)
  if (daemon !== null) await end(daemon, 15_000)
  const config = join(place.state, 'exec', 'containerd', 'containerd.toml')
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)) {
    const orphan = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (orphan.split('\0').includes(config)) await end(ownerOf(pid), 5_000)
  }
  await unmountBelow([place.data, place.state])
  await rm(place.pidFile, { force: true })
  await rm(place.socket, { force: true })
  await rm(join(place.state, 'exec', 'containerd', 'containerd.pid'), { force: true })
  await run('ip', ['link', 'delete', place.bridge])
}

/**
 * A daemon that was killed may have images that are there only by half, and a pull would take them as they are. They
 * are cheap to pull again, so they are removed.
 */
async function startClean(place: Place, say: Say): Promise<void> {
  const wasKilled = existsSync(place.running)
  await clearLeftovers(place)
  await writeFile(place.running, '')
  await startDaemon(place, say)
  if (!wasKilled) return
  say('the private Docker Engine was killed last time: removing its containers and images')
  const docker = new Docker({ socketPath: place.socket })
  for (const one of await docker.listContainers({ all: true })) {
    await docker.getContainer(one.Id).remove({ force: true, v: true })
  }
  await docker.pruneImages({ filters: { dangling: { false: true } } })
}

/** A killed daemon leaves its data folder and its containers' file systems mounted; nobody could remove them. */
async function unmountBelow(folders: string[]): Promise<void> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).trim().split('\n')
  const points = mounts.map((line) => line.split(' ')[4] ?? '').reverse()
  for (const point of points) {
    if (folders.some((folder) => `${point}/`.startsWith(`${folder}/`))) await run('umount', ['--lazy', point])
  }
}

async function startDaemon(place: Place, say: Say): Promise<void> {
  await mkdir(place.state, { recursive: true })
  await mkdir(place.data, { recursive: true })
  const second = freeSecondByte()
  await mustRun('ip', ['link', 'add', 'name', place.bridge, 'type', 'bridge'])
  await mustRun('ip', ['address', 'add', `10.${second}.0.1/24`, 'dev', place.bridge])
  await mustRun('ip', ['link', 'set', 'dev', place.bridge, 'up'])
  const log = openSync(place.log, 'w')
  // The containerd of the system, where there is one, keeps the containers of this daemon in a namespace of its own.
  const name = basename(place.state)
  const args = [
    '--data-root',
    place.data,
    '--exec-root',
    join(place.state, 'exec'),
    '--pidfile',
    place.pidFile,
  ]
  args.push('--host', `unix://${place.socket}`, '--bridge', place.bridge)
  args.push('--default-address-pool', `base=10.${second}.128.0/17,size=24`)
  args.push('--containerd-namespace', name, '--containerd-plugins-namespace', `${name}-plugins`)
  // An empty file, since the system's /etc/docker/daemon.json is about another daemon.
  await writeFile(join(place.state, 'daemon.json'), '{}')
  args.push('--config-file', join(place.state, 'daemon.json'))
  say('starting a private Docker Engine')
  const daemon = spawn(findProgram('dockerd') ?? 'dockerd', args, {
    detached: true,
    stdio: ['ignore', log, log],
  })
  const ended = new Promise<never>((_, reject) => {
    daemon.once('error', reject)
    daemon.once('exit', (code) => reject(new Error(`dockerd ended at once with exit code ${code}`)))
  })
  daemon.unref()
  const ready = until('the private Docker Engine answers', () => pings(place.socket), { withinMs: 60_000 })
  await Promise.race([ready, ended]).catch((error: unknown) => {
    const tail = readFileSync(place.log, 'utf8').trim().split('\n').slice(-15).join('\n')
    throw new Error(`The private Docker Engine did not start. The end of its log ${place.log}:\n${tail}`, {
      cause: error,
    })
  })
  daemon.removeAllListeners()
}

/** A 10.x that no interface of this machine is in. */
function freeSecondByte(): number {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  for (let second = 210; second < 250; second += 1) {
    if (!addresses.some((address) => address.address.startsWith(`10.${second}.`))) return second
  }
  throw new Error(
    'Every network from 10.210.0.0/16 to 10.249.0.0/16 is in use on this machine; a private engine needs one.',
  )
}

function pings(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', timeout: 3_000 }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    ping.once('timeout', () => ping.destroy())
    ping.once('error', () => resolve(false))
    ping.end()
  })
}
