import { newMemory } from '../../reconciler/look.ts'
import { buildParts, type Parts } from '../../reconciler/parts.ts'
import { pass } from '../../reconciler/reconcile.ts'
import { readSettings } from '../../reconciler/settings.ts'
import { silent, type TestHost } from '../end-to-end/test-host.ts'
import { countedEngine } from './counted-engine.ts'
import { type Figures, median, spread } from './figures.ts'
import { hostWithServices, rollOutAll } from './many-services.ts'

type Timed = { total: number; git: number; outside: number }

/** The passes of one process on a host, each with its time inside and outside of Git in milliseconds. */
export async function processOn(
  host: TestHost,
  dockerHost: string,
): Promise<{ parts: Parts; onePass(): Promise<Timed> } & AsyncDisposable> {
  const parts = await buildParts(
    readSettings({ repository: true }, { ...host.environment, DOCKER_HOST: dockerHost }),
  )
  const memory = newMemory()
  let git = 0
  const timed = async <T>(work: Promise<T>): Promise<T> => {
    const began = performance.now()
    try {
      return await work
    } finally {
      git += performance.now() - began
    }
  }
  const { source } = parts
  const watched: Parts = {
    ...parts,
    source: {
      ...source,
      fetch: () => timed(source.fetch()),
      checkout: (commit) => timed(source.checkout(commit)),
    },
  }
  return {
    parts,
    async onePass() {
      git = 0
      const began = performance.now()
      const report = await pass(watched, memory, {
        services: [],
        now: false,
        stopping: new AbortController().signal,
        hint: new EventTarget(),
        progress: silent,
        busy: () => {},
      })
      const total = performance.now() - began
      const busy = report.plan?.changes.filter((change) => change.action !== 'none') ?? []
      if (report.plan === null || busy.length > 0 || report.operations.length > 0)
        throw new Error(`This pass was not quiet: ${JSON.stringify(busy[0] ?? report.findings)}`)
      return { total, git, outside: total - git }
    },
    [Symbol.asyncDispose]: () => parts.close(),
  }
}

/** What a pass over services that are all in sync costs: calls to the engine, and time beside Git. */
export async function measureQuietPass(services: number, passes: number): Promise<Figures> {
  await using host = await hostWithServices('bench-pass', services)
  const rollOutMs = await rollOutAll(host)
  await using proxy = await countedEngine(host.rig.dockerHost)
  const calls = await countCalls(host, proxy)
  await using direct = await processOn(host, host.rig.dockerHost)
  const first = await direct.onePass()
  const quiet: Timed[] = []
  const list: number[] = []
  for (let at = 0; at < passes; at += 1) {
    quiet.push(await direct.onePass())
    const began = performance.now()
    await direct.parts.engine.observe(host.project)
    list.push(performance.now() - began)
  }
  const outside = quiet.map((each) => each.outside)
  return {
    name: 'pass',
    title: `A pass over ${services} services that are in sync`,
    rows: [
      {
        what: 'Engine API calls',
        is: `${calls.quiet.length} (${calls.quiet.join(', ')})`,
        goal: '3 or fewer',
        met: calls.quiet.length <= 3,
      },
      { what: 'time outside of Git', is: spread(outside), goal: 'under 50 ms', met: median(outside) < 50 },
      { what: '  of that the list call', is: spread(list) },
      { what: 'time in Git', is: spread(quiet.map((each) => each.git)) },
      { what: 'first pass of a process: calls', is: `${calls.first.length}` },
      { what: 'first pass of a process: outside of Git', is: `${first.outside.toFixed(0)} ms` },
      { what: 'rolling all of them out', is: `${(rollOutMs / 1000).toFixed(1)} s` },
    ],
    note: `Median and range of ${passes} passes of one process; the list call is timed by itself between them. Calls were counted between a second process's parts and the engine.`,
    values: { services, passes: quiet, firstPass: first, listCall: list, calls, rollOutMs },
  }
}

async function countCalls(
  host: TestHost,
  proxy: { dockerHost: string; taken(): string[] },
): Promise<{ first: string[]; quiet: string[] }> {
  await using counted = await processOn(host, proxy.dockerHost)
  await counted.onePass()
  const first = proxy.taken()
  await counted.onePass()
  return { first, quiet: proxy.taken() }
}
