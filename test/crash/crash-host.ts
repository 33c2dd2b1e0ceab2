import type { Readable } from 'node:stream'
import { type Journal, openJournal } from '../../reconciler/journal.ts'
import { startHost, type TestHost, webService } from '../end-to-end/test-host.ts'
import type { RigInUse } from '../rig/use-rig.ts'
import { type Kill, type Passes, type Ran, runPasses } from './child.ts'
import { startEngineProxy } from './engine-proxy.ts'

/** Kills processes on a host. `kills` counts how many were. */
export type Killer = {
  journal: Journal
  kills: number
  run(passes?: Passes): Promise<Ran>
  /**
   * Moments, since the last call, at which two containers of one service ran, or at which a service ran whose data was
   * being put back.
   */
  pairs(): string[]
}

/** A host on which processes are killed. */
export type CrashHost = TestHost &
  Killer & {
    /** Commits a version of `web`, checked through the user's door. */
    want(version: string, options?: { soak?: string; within?: string; extra?: string }): Promise<string>
  }

export async function startCrashHost(
  purpose: string,
  compose?: (port: number, rig: RigInUse) => string,
): Promise<CrashHost> {
  const host = await startHost(purpose, compose)
  return Object.assign(await withKills(host), {
    want(version: string, { soak = '10m', within = '20s', extra = '' } = {}) {
      const check = `{ http: "http://127.0.0.1:${host.port}/healthz", every: 50ms, timeout: 1s }`
      const health = `within: ${within}\n  steady: 100ms\n  soak: ${soak}\n  checks:\n    - ${check}`
      return host.commit({
        'desired-state/services/web.yaml': webService(host.rig, { version, health, extra }),
      })
    },
  })
}

/** Puts the proxy and the watch around a host. */
export async function withKills<Host extends TestHost>(host: Host): Promise<Host & Killer> {
  const journal = openJournal(host.stateDir)
  const watch = await watchForPairs(host, journal)
  const proxy = await startEngineProxy(host.rig.dockerHost, () => watch.filling())
  const environment = {
    ...host.environment,
    ...(process.env['DOCKER_CONFIG'] === undefined ? {} : { DOCKER_CONFIG: process.env['DOCKER_CONFIG'] }),
    // The reconciler is loaded some hundred times.
    NODE_COMPILE_CACHE: `${host.stateDir}/compile-cache`,
  }
  const killer: Host & Killer = {
    ...host,
    journal,
    kills: 0,
    async run(passes) {
      const ran = await runPasses(environment, proxy, passes)
      if (ran.killed) killer.kills += 1
      return ran
    },
    pairs: () => watch.pairs(),
    async [Symbol.asyncDispose]() {
      watch.stop()
      journal.close()
      await proxy[Symbol.asyncDispose]()
      await host[Symbol.asyncDispose]()
    },
  }
  return killer
}

type Watch = { pairs(): string[]; filling(): void; stop(): void }

/** Follows every start and death of the project's containers, as the engine tells them. */
async function watchForPairs(host: TestHost, journal: Journal): Promise<Watch> {
  const running = new Map<string, Map<string, string>>()
  let pairs: string[] = []
  const stream = (await host.rig.docker.getEvents({
    filters: {
      type: ['container'],
      event: ['start', 'die'],
      label: [`com.docker.compose.project=${host.project}`],
    },
  })) as Readable
  let rest = ''
  stream.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines.filter((each) => each.trim() !== '')) {
      const { Action, Actor } = JSON.parse(line) as Event
      const service = Actor.Attributes['com.docker.compose.service'] ?? ''
      const now = running.get(service) ?? new Map<string, string>()
      running.set(service, now)
      if (Action === 'die') now.delete(Actor.ID)
      else now.set(Actor.ID, Actor.Attributes['name'] ?? '')
      if (Action !== 'die' && mustStayDown(journal, service))
        pairs.push(`${service} was started on data that was half put back`)
      if (now.size > 1) pairs.push(`${service}: ${[...now.values()].join(' and ')} ran at once`)
    }
  })
  stream.on('error', () => {})
  return {
    pairs: () => {
      const seen = pairs
      pairs = []
      return seen
    },
    filling: () => {
      const open = journal.unfinished().flatMap((each) => each.intent.data ?? [])
      for (const service of new Set(open.flatMap((data) => [...data.stop, ...data.stopAfterDumps])))
        if ((running.get(service)?.size ?? 0) > 0) pairs.push(`${service} ran while its volumes were filled`)
    },
    stop: () => void stream.destroy(),
  }
}

/** Its data is half put back. A database server is the tool for that: it runs as soon as its own files are there. */
function mustStayDown(journal: Journal, service: string): boolean {
  const open = journal.unfinished().flatMap((each) => each.intent.data?.stopAfterDumps ?? [])
  return !open.includes(service) && journal.dirty().some((each) => each.service === service)
}

type Event = { Action: string; Actor: { ID: string; Attributes: Record<string, string> } }

/** The kills for each point and each request of a run that was not killed. */
export const atPoints = (ran: Ran): Kill[] =>
  ran.points.map((_, index) => ({ at: 'point', number: index + 1 }))

/** SAMOVAR_CRASH_ALL=1: every request is killed at every moment; some minutes more. */
export const thorough = process.env['SAMOVAR_CRASH_ALL'] === '1'

/**
 * After each request of a run from the n-th on: the engine did it and Samovar never heard. A stop goes on for a while
 * when nobody waits for its answer, so that it is killed in the middle, too. `before` a request the host and the
 * journal are as after the one before it, or as at a point between two steps.
 */
export const atRequests = (ran: Ran, from = 1): Kill[] =>
  ran.requests.flatMap((request, index) => {
    const often = thorough ? (['before', 'during', 'after'] as const) : (['after'] as const)
    const moments = request.endsWith('/stop') && !thorough ? (['during', 'after'] as const) : often
    return index + 1 < from
      ? []
      : moments.map((when) => ({ at: 'request', number: index + 1, when }) as const)
  })

/** For a sentence: `at point 7 (replace: create begun)`. */
export function killInWords(kill: Kill, ran: Ran): string {
  switch (kill.at) {
    case 'point':
      return `${kill.later === undefined ? 'at' : `${kill.later} ms after`} point ${kill.number} (${ran.points[kill.number - 1] ?? '?'})`
    case 'request':
      return `${kill.when} request ${kill.number} (${ran.requests[kill.number - 1] ?? '?'})`
    case 'pull':
      return 'in the middle of a pull'
    case 'time':
      return `after ${kill.ms} ms`
    default:
      return kill satisfies never
  }
}
