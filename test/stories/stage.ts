import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { HealthPolicy } from '../../reconciler/desired-state.ts'
import type { ContainerBody } from '../../reconciler/engine/container-body.ts'
import { type Engine, type ImageReference, samovarLabels } from '../../reconciler/engine/engine.ts'
import { type PretendHost, pretendHost } from '../../reconciler/engine/in-memory.ts'
import type { Behaviour } from '../../reconciler/engine/pretend-containers.ts'
import type { HoldIntent, Member, NewOperation, Operation } from '../../reconciler/journal/operation.ts'
import { type Journal, openJournal } from '../../reconciler/journal.ts'
import { containerOf } from '../../reconciler/plan/plan.ts'
import type { Body, Work } from '../../reconciler/rollout/step.ts'
import { resume, rollOut } from '../../reconciler/rollout.ts'
import { type PretendClock, pretendClock } from '../health/pretend-clock.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const project = 'story'
const repository = 'registry.example.com'
const epoch = Date.UTC(2026, 10, 22, 12)

export const health: HealthPolicy = {
  within: 60_000,
  steady: 5_000,
  soak: 600_000,
  checks: [{ kind: 'container', every: 1_000, timeout: 1_000 }],
}

/** What a story asks for beside the image; all of it may be missing. */
export type Wish = {
  service?: string
  health?: Partial<HealthPolicy>
  /** Services that live in its network and are swapped with it. */
  followers?: string[]
  /** Services that asked to be restarted with it. */
  dependents?: string[]
  /** Why it cannot be backed up. */
  problem?: string
  /** Milliseconds that the proxy may hold requests; also of these dependents. */
  hold?: number
  held?: string[]
}

export type Stage = {
  host: PretendHost
  journal: Journal
  clock: PretendClock
  now: () => number
  /** A version of a service in the registry; healthy when nothing else is said. */
  publish(service: string, tag: string, behaviour?: Behaviour): ImageReference
  /** The parts of a roll-out; a story hands in others where it needs them. */
  work(other?: Partial<Work>): Work
  /** The pretend engine, with some of its answers replaced. */
  engine(other: Partial<Engine>): Engine
  order(image: ImageReference, wish?: Wish): Promise<{ wanted: NewOperation; body: Body }>
  /** Rolls out and lets the pretend time pass. */
  rollOut(image: ImageReference, wish?: Wish, other?: Partial<Work>): Promise<Operation>
  resume(operation: Operation, other?: Partial<Work>): Promise<Operation>
  /** What an operator sees: `story-web-1 1.0.0 running`, by name; what is set aside as `story-web-1.old`. */
  seen(): Promise<string[]>
} & AsyncDisposable

/** A pretend host, a pretend clock and a real journal. */
export async function openStage(): Promise<Stage> {
  const folder = await tempFolder('story')
  const clock = pretendClock()
  const now = () => epoch + clock.now()
  const host = pretendHost(now)
  const journal = openJournal(folder.path)
  const quiet = new AbortController().signal
  const stage: Stage = {
    host,
    journal,
    clock,
    now,
    publish(service, tag, behaviour = {}) {
      const name = `${repository}/${service}`
      return { name, tag, digest: host.publish(`${name}:${tag}`, { health: 'healthy', ...behaviour }) }
    },
    work: (other = {}) => ({
      engine: host.engine,
      journal,
      backups: { key: null, open: async () => [] },
      project,
      now,
      clock,
      root: '',
      endsByItself: () => false,
      newer: quiet,
      stopping: quiet,
      progress: { step: () => {}, pull: () => {}, health: () => {}, data: () => {} },
      secretsKnown: true,
      holdDir: join(folder.path, 'hold'),
      mask: (text) => text,
      ...other,
    }),
    engine: (other) => ({ ...host.engine, ...other }),
    order: (image, wish = {}) => orderFor(stage, image, wish),
    async rollOut(image, wish, other) {
      const { wanted, body } = await stage.order(image, wish)
      return clock.runOut(rollOut(stage.work(other), wanted, body))
    },
    resume: (operation, other) => clock.runOut(resume(stage.work(other), operation)),
    async seen() {
      const all = await host.engine.observe(project)
      return all.map((each) => `${each.name.replace(/-\d{8}-.*/, '')} ${each.image.tag} ${each.state}`).sort()
    },
    async [Symbol.asyncDispose]() {
      journal.close()
      await folder[Symbol.asyncDispose]()
    },
  }
  return stage
}

async function orderFor(
  stage: Stage,
  image: ImageReference,
  wish: Wish,
): Promise<{ wanted: NewOperation; body: Body }> {
  const service = wish.service ?? 'web'
  const running = await stage.host.engine.observe(project)
  const revisioned = (name: string) => {
    const current = containerOf(name, running)
    return current === null
      ? null
      : { instance: current.instance, name: current.name, revision: current.revision }
  }
  const member = (name: string, of: ImageReference): Member => ({
    service: name,
    name: `${project}-${name}-1`,
    image: of,
    shares: {},
    checks: health.checks,
    current: revisioned(name),
    configuration: 'configuration',
    before: containerOf(name, running)?.image ?? null,
    oldImageId: containerOf(name, running)?.image.id ?? null,
    candidate: null,
    kept: null,
  })
  const followers = (wish.followers ?? []).map((name) => member(name, stage.publish(name, '1.0.0')))
  const before = containerOf(service, running)
  const images = new Map([[service, image], ...followers.map((each) => [each.service, each.image] as const)])
  return {
    wanted: {
      service,
      kind: before === null ? 'create' : 'replace',
      commit: 'c'.repeat(40),
      from: before === null ? null : { ...before.image },
      to: image,
      intent: {
        members: [member(service, image), ...followers],
        quiesced: (wish.dependents ?? []).flatMap((name) => revisioned(name) ?? []),
        health: { ...health, ...wish.health },
        oldHealth: null,
        configuration: 'configuration',
        reasons: [],
        drift: false,
        ...(wish.hold === undefined ? {} : { hold: holdOf(service, wish.hold, wish.held ?? []) }),
      },
    },
    body: {
      networks: [],
      volumes: [{ name: `${project}_data`, external: false, labels: {} }],
      problem: wish.problem ?? null,
      configuration: async () => Readable.from([]),
      of: async (name, _imageId, containers) => bodyOf(name, images.get(name) ?? image, containers[service]),
      compare: () => [],
    },
  }
}

const holdOf = (service: string, ms: number, held: string[]): HoldIntent => ({
  ms,
  services: [service, ...held],
  others: held.map((name) => ({ service: name, tag: '1.0.0', health })),
  since: null,
})

function bodyOf(service: string, image: ImageReference, provider: string | undefined): ContainerBody {
  const reference = `${image.name}:${image.tag}@${image.digest}`
  return {
    Image: reference,
    Labels: {
      'com.docker.compose.project': project,
      'com.docker.compose.service': service,
      [samovarLabels.image]: reference,
      [samovarLabels.configuration]: 'configuration',
    },
    HostConfig: {
      RestartPolicy: { Name: 'unless-stopped' },
      ...(provider === undefined ? {} : { NetworkMode: `container:${provider}` }),
    },
  }
}
