import { until } from '../rig/until.ts'
import { firstCommit, hostPolling, webAt } from './host-repository.ts'
import type { Probe } from './probe.ts'
import { inSeconds, type Row, type Screen } from './screen.ts'
import type { Past, Stage, Status } from './stage.ts'

export type Scene = { stage: Stage; probe: Probe; screen: Screen }

/** Milliseconds a machine with two busy cores may take for what takes a second or two. */
const patience = 45_000
/** Drift is corrected within seconds; later than this, something else than an event must have told of it. */
const soon = 12_000

/** An empty host gets its first commit; afterwards users are served. */
export async function firstAct({ stage, screen }: Omit<Scene, 'probe'>): Promise<void> {
  screen.act('The first commit: nginx in front of a small web application')
  const since = Date.now()
  const commit = await stage.git.commit('host', firstCommit(stage.host), 'web 1.0.0 behind nginx')
  screen.line(`pushed ${commit.slice(0, 8)} "web 1.0.0 behind nginx"; the host is empty`)
  await stage.startDaemon()
  screen.line('started the daemon: samovar run')
  for (const service of ['nginx', 'web']) {
    const past = await outcome(stage, { service, since })
    must(past.result === 'applied', `${service} was created: ${past.result}`, past.reason)
    screen.line(`${service} is created and healthy`)
  }
  await proveServed({ stage, screen }, '1.0.0')
}

/** A commit changes one line, and the host follows. */
export async function bumpAct({ stage, probe, screen }: Scene): Promise<Row> {
  screen.act('A merge bumps web from 1.0.0 to 1.1.0')
  const from = probe.mark()
  const commit = await stage.git.commit('host', webAt(stage.host, '1.1.0'), 'web: 1.0.0 -> 1.1.0')
  screen.line(`pushed ${commit.slice(0, 8)} "web: 1.0.0 -> 1.1.0"`)
  const past = await outcome(stage, { service: 'web', since: from })
  must(past.result === 'applied', `history says ${past.result}`, past.reason)
  screen.line(`history: ${past.id} ${past.kind} web: applied`)
  await proveServed({ stage, screen }, '1.1.0')
  return row({ probe, screen }, { act: 'bump', from, past })
}

/** A version that starts but does not work: the old one is back before anybody has to act. */
export async function brokenAct({ stage, probe, screen }: Scene): Promise<Row> {
  screen.act('A merge bumps web to 2.0.0, which starts and then answers 503')
  const from = probe.mark()
  const commit = await stage.git.commit('host', webAt(stage.host, '2.0.0'), 'web: 1.1.0 -> 2.0.0')
  screen.line(`pushed ${commit.slice(0, 8)} "web: 1.1.0 -> 2.0.0"; web has 4 s to become healthy`)
  const past = await outcome(stage, { service: 'web', since: from })
  must(past.result === 'reverted', `history says ${past.result}`, past.reason)
  screen.line(`history: ${past.id} ${past.kind} web: reverted`)
  screen.line(`reason: ${past.reason}`)
  await proveServed({ stage, screen }, '1.1.0')
  const measured = await row({ probe, screen }, { act: 'broken', from, past })
  const web = await until('web is quarantined', () => quarantined(stage), { withinMs: patience })
  screen.good(`2.0.0 is not tried again: ${web.state}`)
  return measured
}

/**
 * Hands on the host: a container is stopped, another one gets a limit that is in no file. Before that the poll is set
 * to a minute, so that only the engine's events can have told of it.
 */
export async function driftAct({ stage, probe, screen }: Scene): Promise<Row[]> {
  screen.act('Somebody changes the host by hand')
  const commit = await stage.git.commit('host', hostPolling(stage.host, '1m'), 'poll once a minute')
  const follows = async () => (await stage.ask<Status>('status')).commit === commit
  await until('the daemon follows the last commit', follows, { withinMs: patience })
  screen.line('the daemon looks by itself once a minute only, so the rest is told by the engine')
  const stopped = probe.mark()
  const web = stage.docker.getContainer(`${stage.host.project}-web-1`)
  await web.stop({ t: 5 })
  screen.line('by hand: docker stop web')
  const started = await outcome(stage, { service: 'web', since: stopped, withinMs: soon })
  must(started.result === 'applied', `history says ${started.result}`, started.reason)
  screen.line(`history: ${started.id} ${started.kind} web: applied`)
  await proveServed({ stage, screen }, '1.1.0')
  const first = await row({ probe, screen }, { act: 'stopped by hand', from: stopped, past: started })

  const limited = probe.mark()
  const nginx = `${stage.host.project}-nginx-1`
  await stage.docker.getContainer(nginx).update({ Memory: 64 * 1024 ** 2, MemorySwap: -1 })
  screen.line('by hand: docker update --memory 64m nginx')
  const replaced = await outcome(stage, { service: 'nginx', since: limited, withinMs: soon })
  must(replaced.result === 'applied', `history says ${replaced.result}`, replaced.reason)
  screen.line(`history: ${replaced.id} ${replaced.kind} nginx: applied`)
  const { HostConfig } = await stage.docker.getContainer(nginx).inspect()
  must(HostConfig.Memory === 0, `nginx has a memory limit of ${HostConfig.Memory} bytes`)
  screen.good('nginx has no memory limit again')
  await proveServed({ stage, screen }, '1.1.0')
  const second = await row({ probe, screen }, { act: 'limit by hand', from: limited, past: replaced })
  return [first, second]
}

/** The finished operation of a service that began after a moment; every act makes exactly one. */
export async function outcome(
  stage: Stage,
  about: { service: string; since: number; withinMs?: number },
): Promise<Past> {
  return until(
    `history has a finished operation of ${about.service}`,
    async () => {
      const history = await stage.ask<Past[]>('history')
      const own = history.filter(
        (past) => past.service === about.service && new Date(past.startedAt).getTime() >= about.since,
      )
      return own.find((past) => past.result !== 'running')
    },
    { withinMs: about.withinMs ?? patience, everyMs: 100 },
  )
}

/** What an operator would look at: the answer at the door, the image that runs, and what `status` says of it. */
async function proveServed({ stage, screen }: Omit<Scene, 'probe'>, tag: string): Promise<void> {
  const page = `<h1>web ${tag}</h1>`
  await until(
    `${stage.door} serves ${page}`,
    async () => {
      const answer = await fetch(stage.door, { headers: { connection: 'close' } })
      const text = await answer.text()
      return text.includes(page) ? true : Promise.reject(new Error(`${answer.status} ${text.trim()}`))
    },
    { withinMs: patience, everyMs: 20 },
  )
  const digest = await stage.digest('web', tag)
  const { Image } = await stage.docker.getContainer(`${stage.host.project}-web-1`).inspect()
  const { RepoDigests } = await stage.docker.getImage(Image).inspect()
  must(
    RepoDigests.some((each) => each.endsWith(`@${digest}`)),
    `web runs ${RepoDigests.join(', ')}`,
    digest,
  )
  const said = await until('status names what runs', () => statusOf(stage, digest), { withinMs: patience })
  screen.good(`the door serves web ${tag}; ${digest.slice(0, 19)} runs; status: ${said.sync}, ${said.state}`)
}

async function statusOf(stage: Stage, digest: string) {
  const { services } = await stage.ask<Status>('status')
  const web = services.find((each) => each.name === 'web')
  return web?.running?.digest === digest && web.state !== 'rolling-out' ? web : null
}

async function quarantined(stage: Stage) {
  const { services } = await stage.ask<Status>('status')
  return services.find((each) => each.name === 'web' && each.state === 'quarantined')
}

type Measured = { act: string; from: number; past: Past }

async function row({ probe, screen }: Pick<Scene, 'probe' | 'screen'>, about: Measured): Promise<Row> {
  const figures = await probe.figures(about.from, probe.mark())
  screen.line(
    `users meanwhile: ${figures.asked} requests, ${figures.failed} failed, longest gap ${inSeconds(figures.longestGap)}`,
  )
  return {
    ...figures,
    act: about.act,
    result: about.past.result,
    downtime: about.past.kind === 'start' ? null : about.past.downtimeMs,
  }
}

/** The demo is only worth something when it fails where a promise is broken. */
export function must(holds: boolean, seen: string, reason = ''): void {
  if (!holds) throw new Error(`${seen}${reason === '' ? '' : ` (${reason})`}`)
}
