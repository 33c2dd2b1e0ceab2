import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { openJournal } from '../../reconciler/journal.ts'
import { hostYaml, type TestHost } from '../end-to-end/test-host.ts'
import { freePort } from '../rig/registry.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { type Figures } from './figures.ts'
import { hostWithServices, rollOutAll } from './many-services.ts'

/** MB (10^6 bytes) by /proc/PID/status; `file` is what programs share: the pages of Node's own binary. */
export type Memory = { rss: number; highest: number; anonymous: number; file: number }

const reconciler = resolve(import.meta.dirname, '../../reconciler')

/** How Node is started: each with what it is called in the table. */
const variants = (cache: string): [string, Record<string, string>][] => [
  ['as it is', {}],
  ['with NODE_COMPILE_CACHE', { NODE_COMPILE_CACHE: cache }],
  ['  and --max-semi-space-size=1', { NODE_COMPILE_CACHE: cache, NODE_OPTIONS: '--max-semi-space-size=1' }],
]
const packages = ['dockerode', 'fastify', 'prom-client', 'ajv/dist/2020.js', 'yaml', 'simple-git']

/** What `samovar run` keeps in memory when nothing is to be done, beside a Node that does nothing at all. */
export async function measureMemory(services: number, passes: number): Promise<Figures> {
  await using host = await hostWithServices('bench-memory', services)
  await using cache = await tempFolder('bench-cache')
  await host.commit({ 'desired-state/host.yaml': hostYaml(host.project) })
  await rollOutAll(host)
  const bare = await memoryOf(['-e', 'setInterval(() => {}, 1e6)'], {}, async () => {})
  const seen: Record<string, Memory> = {}
  for (const [name, options] of variants(cache.path)) {
    const daemon = (atLeast: number) => daemonMemory(host, options, atLeast)
    // A first start fills the cache of compiled modules; it is the later ones that stay.
    if (name !== 'as it is') await daemon(2)
    seen[name] = await daemon(passes)
  }
  const imports: Record<string, number> = {}
  for (const name of packages) {
    const code = `await import('${name}'); setInterval(() => {}, 1e6)`
    imports[name] = (await memoryOf(['--input-type=module', '-e', code], {}, async () => {})).rss - bare.rss
  }
  return {
    name: 'memory',
    title: `Memory of samovar run with ${services} services in sync, after ${passes} passes`,
    rows: [
      ...Object.entries(seen).map(([what, memory]) => ({
        what,
        is: inWords(memory),
        goal: 'under 90 MB',
        met: memory.rss < 90,
      })),
      { what: 'a Node that does nothing', is: inWords(bare) },
      ...Object.entries(imports).map(([name, rss]) => ({
        what: `  ${name} alone adds`,
        is: `${rss.toFixed(1)} MB`,
      })),
    ],
    note: 'RSS from /proc/PID/status. Its own is heap and stacks; shared is the pages of the Node binary and of libraries. What packages add is not a sum: several load the same parts of Node.',
    values: { services, passes, bare, ...seen, imports },
  }
}

const inWords = ({ rss, anonymous, file, highest }: Memory): string =>
  `${rss.toFixed(1)} MB (its own ${anonymous.toFixed(1)}, shared ${file.toFixed(1)}; at most ${highest.toFixed(1)})`

async function daemonMemory(
  host: TestHost,
  options: Record<string, string>,
  passes: number,
): Promise<Memory> {
  const listen = `127.0.0.1:${await freePort()}`
  const environment = { ...host.environment, ...options, SAMOVAR_LISTEN: listen, NO_COLOR: '1' }
  return memoryOf([join(reconciler, 'cli.ts'), 'run'], environment, () => passesDone(host, passes))
}

async function memoryOf(
  args: string[],
  environment: Record<string, string>,
  settled: () => Promise<void>,
): Promise<Memory> {
  const child = spawn(process.execPath, args, {
    cwd: import.meta.dirname,
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${String(chunk)}`.slice(-2_000)
  })
  try {
    await until('the process has started', () => existsSync(`/proc/${child.pid}/status`), { withinMs: 5_000 })
    await Promise.race([settled(), ended(child, () => said)])
    return await settledMemory(Number(child.pid))
  } finally {
    await stop(child)
  }
}

/** When it has not grown for a second: a Node that was just started still maps pages. */
async function settledMemory(pid: number): Promise<Memory> {
  let last = { at: Date.now(), rss: 0 }
  return until(
    'the memory settles',
    () => {
      const now = readMemory(pid)
      if (Math.abs(now.rss - last.rss) > 0.3) last = { at: Date.now(), rss: now.rss }
      return Date.now() - last.at > 1_000 ? now : null
    },
    { withinMs: 20_000, everyMs: 100 },
  )
}

function readMemory(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (name: string) =>
    (Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024) / 1e6
  return { rss: of('VmRSS'), highest: of('VmHWM'), anonymous: of('RssAnon'), file: of('RssFile') }
}

/** By the journal, where the daemon writes down every pass. */
async function passesDone(host: TestHost, wanted: number): Promise<void> {
  const journal = openJournal(host.stateDir)
  try {
    const seen = new Set([journal.note('last-pass')])
    const done = () => seen.add(journal.note('last-pass')).size > wanted
    await until(`${wanted} passes`, done, { withinMs: 120_000, everyMs: 50 })
  } finally {
    journal.close()
  }
}

function ended(child: ChildProcess, said: () => string): Promise<never> {
  return new Promise((_resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`samovar run ended with exit code ${code}: ${said()}`)))
  })
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((done) => {
    child.once('exit', () => done())
    child.kill('SIGTERM')
  })
}
