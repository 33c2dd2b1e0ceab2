import { type ChildProcess, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type Docker from 'dockerode'
import { clean, hostYaml, startHost, type TestHost } from '../end-to-end/test-host.ts'
import { mustRun } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { type RigInUse, useRig } from '../rig/use-rig.ts'
import { type Figures, median, spread } from './figures.ts'

/** Milliseconds: by the engine's own clock, and as a client sees it. */
type Swap = Record<keyof typeof measures, number> & { failedRequests: number }
type Side = { swap(version: string): Promise<Swap> } & AsyncDisposable

const versions = ['1.0.0', '1.1.0'] as const
const serviceOf = (image: string, port: number): string =>
  `services:\n  web:\n    image: ${image}\n    restart: unless-stopped\n    stop_grace_period: 10s\n    ports: ["127.0.0.1:${port}:8080"]\n`

/**
 * The time a service is away while it is replaced: ours against `docker compose up -d`, the same service and the same
 * pair of images, one after the other and in turns.
 */
export async function measureSwap(pairs: number): Promise<Figures> {
  const rig = useRig()
  await using ours = await oursOn()
  await using composes = await composeOn(rig)
  const seen: { ours: Swap[]; compose: Swap[] } = { ours: [], compose: [] }
  // The first swap of each side is not counted: it makes both images local and both processes warm.
  for (let at = 0; at <= pairs; at += 1) {
    const version = versions[(at + 1) % 2] ?? ''
    const sides = [
      ['ours', ours],
      ['compose', composes],
    ] as const
    for (const [name, side] of at % 2 === 0 ? sides : sides.toReversed()) {
      const swap = await side.swap(version)
      if (at > 0) seen[name].push(swap)
    }
  }
  return figuresOf(seen, pairs)
}

const measures = {
  stopToStart: 'old told to stop -> new started',
  stopping: '  the engine stops the old one',
  between: '  from stopped to starting',
  starting: '  the engine starts the new one',
  gap: 'longest gap a client sees',
} as const

function figuresOf(seen: { ours: Swap[]; compose: Swap[] }, pairs: number): Figures {
  const of = (side: Swap[], key: keyof typeof measures) => side.map((each) => each[key])
  const keys = Object.keys(measures) as (keyof typeof measures)[]
  const ratios = Object.fromEntries(
    keys.map((key) => [key, median(of(seen.ours, key)) / median(of(seen.compose, key))]),
  )
  const rows = keys.flatMap((key) => [
    {
      what: measures[key],
      is: `${ratios[key]?.toFixed(2)} of Compose's`,
      ...(key === 'stopToStart' ? { goal: '1.00 or less', met: (ratios[key] ?? 2) < 1.005 } : {}),
    },
    { what: '  Samovar', is: spread(of(seen.ours, key), 'ms', 0) },
    { what: '  docker compose up -d', is: spread(of(seen.compose, key), 'ms', 0) },
  ])
  const shorter = seen.ours.filter((each, at) => each.stopToStart <= (seen.compose[at]?.stopToStart ?? 0))
  rows.push({ what: 'pairs in which ours was the shorter one', is: `${shorter.length} of ${pairs}` })
  return {
    name: 'swap',
    title: `Replacing a service: ours against docker compose up -d, ${pairs} pairs in turns`,
    rows,
    note: 'By the events of the engine. The client asks every 5 ms over a new connection, also while earlier requests hang.',
    values: { pairs, ratios, ...seen },
  }
}

async function oursOn(): Promise<Side> {
  const host = await startHost('bench-swap', (port) => serviceOf('web', port))
  const service = (version: string) => ({
    'desired-state/services/web.yaml': `image: ${host.rig.registry}/web\ntag: ${version}\nhealth:\n  within: 20s\n  steady: 0s\n  soak: 0s\n  checks:\n    - { http: "http://127.0.0.1:${host.port}/healthz", every: 100ms }\n`,
  })
  // A poll during the swap would measure Git.
  const hostFile = hostYaml(host.project).replace('poll: 1s', 'poll: 10m')
  await host.commit({ 'desired-state/host.yaml': hostFile, ...service(versions[0]) })
  await swapped(host)
  const probe = await startProbe(host.port)
  return {
    async swap(version) {
      await host.commit(service(version))
      return measured(host.rig.docker, { project: host.project, probe }, () => swapped(host))
    },
    async [Symbol.asyncDispose]() {
      probe.end()
      await host[Symbol.asyncDispose]()
    },
  }
}

async function swapped(host: TestHost): Promise<void> {
  const { operations, findings } = await host.pass()
  if (operations[0]?.result === 'applied') return
  throw new Error(`Nothing was rolled out: ${JSON.stringify(findings)} ${operations[0]?.reason ?? ''}`)
}

async function composeOn(rig: RigInUse): Promise<Side> {
  const project = rig.project('bench-compose')
  const [folder, port]: [TempFolder, number] = await Promise.all([tempFolder('bench-compose'), freePort()])
  const file = join(folder.path, 'compose.yaml')
  const up = async (version: string) => {
    await writeFile(file, serviceOf(rig.image('web', version), port))
    await mustRun('docker', ['compose', '-p', project, '-f', file, 'up', '-d'])
  }
  await up(versions[0])
  const probe = await startProbe(port)
  return {
    swap: (version) => measured(rig.docker, { project, probe }, () => up(version)),
    async [Symbol.asyncDispose]() {
      probe.end()
      await clean(rig, project)
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** What the engine tells of one swap, beside what a client saw meanwhile. */
async function measured(
  docker: Docker,
  about: { project: string; probe: Probe },
  swap: () => Promise<void>,
): Promise<Swap> {
  about.probe.begin()
  const since = Date.now() / 1000 - 0.001
  await swap()
  await until('the new container answers', () => about.probe.answers(), { withinMs: 20_000, everyMs: 5 })
  const times = swapIn(await eventsSince(docker, since), about.project)
  const seen = await about.probe.seen()
  return { ...times, gap: seen.longest, failedRequests: seen.failed }
}

type Event = {
  Type: string
  Action: string
  timeNano: number
  Actor: { ID: string; Attributes: Record<string, string> }
}

/** @param since seconds since 1970 */
async function eventsSince(docker: Docker, since: number): Promise<Event[]> {
  // Fractions of a second are taken by the engine; the types know whole ones only.
  const stream = await docker.getEvents({
    since: since.toFixed(3) as unknown as number,
    until: (Date.now() / 1000).toFixed(3) as unknown as number,
    filters: { type: ['container', 'network'], event: ['kill', 'stop', 'start', 'connect'] },
  })
  let text = ''
  for await (const chunk of stream as Readable) text += String(chunk)
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Event)
}

/**
 * `stopToStart`: from the stop signal to the old container until the new one has been started. `between`: the part of
 * it that is not the engine's own stopping and starting, from "stopped" until the new one is given its network.
 */
function swapIn(events: Event[], project: string): Omit<Swap, 'gap' | 'failedRequests'> {
  const find = (action: string) =>
    events.find(
      (each) => each.Action === action && each.Actor.Attributes['com.docker.compose.project'] === project,
    )
  const [told, stopped, started] = [find('kill'), find('stop'), find('start')]
  const connected = events.find(
    (each) => each.Action === 'connect' && each.Actor.Attributes['container'] === started?.Actor.ID,
  )
  if (told === undefined || stopped === undefined || started === undefined || connected === undefined)
    throw new Error('The engine told of no swap: the service was not replaced.')
  return {
    stopToStart: (started.timeNano - told.timeNano) / 1e6,
    stopping: (stopped.timeNano - told.timeNano) / 1e6,
    between: (connected.timeNano - stopped.timeNano) / 1e6,
    starting: (started.timeNano - connected.timeNano) / 1e6,
  }
}

type Probe = {
  begin(): void
  /** Ends it with the next good answer. */
  seen(): Promise<{ longest: number; failed: number }>
  /** True when the service answers now, asked from here. */
  answers(): Promise<boolean>
  end(): void
}

async function startProbe(port: number): Promise<Probe> {
  const url = `http://127.0.0.1:${port}/version`
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, 'probe.ts'), url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  if (child.stdin === null || child.stdout === null) throw new Error('The probe has no input or output.')
  const { stdin } = child
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answers = () => fetch(url, { headers: { connection: 'close' } }).then((answer) => answer.ok)
  const seen = async () => {
    stdin.write('\n')
    const line = await lines.next()
    return JSON.parse(String(line.value)) as { longest: number; failed: number }
  }
  await until('the service answers', answers, { withinMs: 20_000 })
  return { begin: () => void stdin.write('\n'), seen, answers, end: () => stdin.end() }
}
