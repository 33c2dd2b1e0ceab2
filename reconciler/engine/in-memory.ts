import { randomBytes } from 'node:crypto'
import { SamovarError } from '../errors.ts'
import type { NetworkBody, VolumeBody } from './container-body.ts'
import { type Engine, type LocalImage, samovarLabels } from './engine.ts'
import { splitReference } from './image-reference.ts'
import {
  type Behaviour,
  imageId,
  type PretendContainer,
  type PretendRegistry,
  pretendContainers,
} from './pretend-containers.ts'
import { pretendData } from './pretend-data.ts'
import type { PretendFiles } from './pretend-files.ts'
import { pretendOneOff } from './pretend-one-off.ts'

/**
 * A pretend host for stories: containers are records, failures come on demand. It keeps the promises of engine.ts
 * (the contract suite that docker.ts passes is passed here), so what a story shows can be believed.
 */
export function pretendHost(now: () => number = Date.now) {
  const registry: PretendRegistry = new Map()
  const world = pretendContainers(registry, now)
  const { containers, watchers, tell, behaviourOf, get, present, stop, start, rename, runningOf, policyOf } =
    world
  const local = new Map<string, LocalImage>()
  const networks = new Set<string>()
  const volumes = new Set<string>()
  const contents = new Map<string, PretendFiles>()
  const failures = new Map<string, Error>()
  const calls: string[] = []

  /** Every Engine call passes here: counted, and failing once when a story asked for it. */
  const called = (method: string, about = ''): void => {
    calls.push(about === '' ? method : `${method} ${about}`)
    const failure = failures.get(method) ?? failures.get(`${method} ${about}`)
    if (failure === undefined) return
    failures.delete(method)
    failures.delete(`${method} ${about}`)
    throw failure
  }
  const files = (volume: string): PretendFiles => {
    volumes.add(volume)
    const there = contents.get(volume) ?? new Map()
    contents.set(volume, there)
    return there
  }
  const oneOff = pretendOneOff({ ...world, called, now, files })
  const engine: Engine = {
    ...pretendData({ ...world, called, now, volumes, files }),
    ...oneOff.calls,
    capabilities: async () => ({
      keepsOld: 'container',
      nodes: 1,
      description: 'a pretend host',
      apiVersion: '1.41',
      platform: 'linux/amd64',
    }),
    async observe(project) {
      called('observe')
      return [...containers.values()]
        .filter((container) => container.body.Labels['com.docker.compose.project'] === project)
        .map(runningOf)
    },
    async inspect(instance) {
      called('inspect')
      const container = get(instance)
      const { state, health, name } = runningOf(container)
      return {
        instance,
        name,
        image: { id: container.imageId, digests: local.get(container.imageId)?.digests ?? [] },
        state,
        health,
        healthLog: [],
        exitCode: container.exitCode,
        restarts: container.restarts,
        startedAt: container.startedAt,
        finishedAt: container.finishedAt,
        configuration: structuredClone(container.body),
        imageDefaults: {},
        anonymousVolumes: [],
        addresses: {},
      }
    },
    async holder(name) {
      return [...containers.values()].find((container) => container.name === name)?.id ?? null
    },
    async resolve(reference) {
      called('resolve', reference)
      const image = registry.get(reference)
      if (image === undefined)
        throw new SamovarError('image-unavailable', `the registry does not have ${reference}`)
      return image.digest
    },
    async images() {
      called('images')
      return [...local.values()]
    },
    async holdImage(image) {
      called('holdImage', image.tag)
      const here = local.get(imageId(image.digest))
      if (here !== undefined) return { ...here, pulled: false }
      if (![...registry.values()].some((known) => known.digest === image.digest))
        throw new SamovarError(
          'image-unavailable',
          `the registry does not have ${image.name}@${image.digest}`,
        )
      const pulled = {
        id: imageId(image.digest),
        digests: [image.digest],
        tags: [],
        bytes: 1,
        createdAt: now(),
      }
      local.set(pulled.id, pulled)
      return { ...pulled, pulled: true }
    },
    async dropImage({ id }) {
      called('dropImage')
      if ([...containers.values()].some((container) => container.imageId === id)) return false
      local.delete(id)
      return true
    },
    async prepare(wantedNetworks: NetworkBody[], wantedVolumes: VolumeBody[]) {
      called('prepare')
      for (const network of wantedNetworks) networks.add(network.name)
      for (const volume of wantedVolumes) volumes.add(volume.name)
    },
    async create(operation, body, { name }) {
      const service = body.Labels['com.docker.compose.service'] ?? ''
      called('create', service)
      const there = (await engine.find(operation)).find((candidate) => candidate.service === service)
      if (there !== undefined) return there
      const digest = splitReference(body.Image).digest
      if (!local.has(imageId(digest)))
        throw new SamovarError('engine-refused', `no such image: ${body.Image}`)
      const policy = body.HostConfig.RestartPolicy ?? { Name: 'no' }
      const container: PretendContainer = {
        id: randomBytes(32).toString('hex'),
        name: `${name}.new-${operation}`,
        body: structuredClone({
          ...body,
          Labels: {
            ...body.Labels,
            [samovarLabels.operation]: operation,
            [samovarLabels.restart]: JSON.stringify(policy),
          },
          HostConfig: { ...body.HostConfig, RestartPolicy: { Name: 'no' } },
        }),
        imageId: imageId(digest),
        state: 'created',
        exitCode: 0,
        createdAt: now(),
        startedAt: 0,
        finishedAt: 0,
        restarts: 0,
        logs: [],
      }
      containers.set(container.id, container)
      return { instance: container.id, service, name: container.name }
    },
    async find(operation) {
      return [...containers.values()]
        .filter((container) => container.body.Labels[samovarLabels.operation] === operation)
        .map((container) => ({
          instance: container.id,
          service: container.body.Labels['com.docker.compose.service'] ?? '',
          name: container.name,
        }))
    },
    async describe(operation, current, service) {
      const container = present(current)
      return {
        engine: 'in-memory',
        service,
        name: current.name,
        instance: current.instance,
        opaque: {
          aside: `${current.name}.old-${operation}`,
          restart: container.body.HostConfig.RestartPolicy?.Name ?? 'no',
          wasRunning: container.state === 'running',
        },
      }
    },
    async setAside(kept) {
      called('setAside', kept.service)
      const container = containers.get(kept.instance)
      if (container === undefined)
        throw new SamovarError('changed', `${kept.name} was removed by somebody else`)
      stop(container)
      rename(container, String(kept.opaque['aside']))
    },
    async retire(kept) {
      called('retire', kept.service)
      const container = containers.get(kept.instance)
      if (container !== undefined) stop(container)
    },
    async start(operation, candidate) {
      called('start', candidate.service)
      const container = containers.get(candidate.instance)
      if (container === undefined) throw new SamovarError('changed', 'the new container is gone')
      rename(container, candidate.name.replace(`.new-${operation}`, ''))
      container.body.HostConfig.RestartPolicy = policyOf(container)
      start(container)
      oneOff.begin(container)
    },
    async stop(current) {
      called('stop', current.name)
      const container = present(current)
      const policy = container.body.HostConfig.RestartPolicy ?? { Name: 'no' }
      stop(container)
      container.body.HostConfig.RestartPolicy = policy
    },
    async startAgain(current) {
      called('startAgain', current.name)
      const container = present(current)
      container.body.HostConfig.RestartPolicy = policyOf(container)
      start(container)
    },
    async removeCandidate(candidate) {
      called('removeCandidate', candidate.service)
      const container = containers.get(candidate.instance)
      if (container === undefined) return
      stop(container)
      containers.delete(candidate.instance)
    },
    async bringBack(kept) {
      called('bringBack', kept.service)
      const container = get(kept.instance)
      rename(container, kept.name)
      if (kept.opaque['wasRunning'] !== true) return
      container.body.HostConfig.RestartPolicy = { Name: String(kept.opaque['restart']) }
      start(container)
    },
    async discard(kept) {
      called('discard', kept.service)
      containers.delete(kept.instance)
    },
    async remove(current) {
      called('remove', current.name)
      if (!containers.has(current.instance)) return
      stop(present(current))
      containers.delete(current.instance)
    },
    async run(instance) {
      called('run')
      return behaviourOf(get(instance)).command ?? { exitCode: 0, output: '' }
    },
    async logs(instance, lines) {
      return get(instance).logs.slice(-lines)
    },
    async watch(_project, onEvent, onGap, signal) {
      onGap()
      watchers.add(onEvent)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      watchers.delete(onEvent)
    },
    freeDisk: async () => 100 * 1024 ** 3,
    close: async () => undefined,
  }

  return {
    engine,
    containers,
    networks,
    /** Names; what is in them is in `files`. */
    volumes,
    /** The files of a volume, which exists from then on. */
    files,
    /** Engine calls so far, `method subject`. */
    calls,
    /** Puts an image into the pretend registry; the digest follows from the reference. */
    publish(reference: string, behaviour: Behaviour = {}): string {
      const digest = `sha256:${Buffer.from(reference).toString('hex').padEnd(64, '0').slice(-64)}`
      registry.set(reference, { digest, behaviour })
      return digest
    },
    /** The next call of that method (`create`, or `create web`) throws. */
    fail(method: string, error: Error): void {
      failures.set(method, error)
    },
    /** A person at the host: does something to the container that runs for a service. */
    byHand(service: string, act: (container: PretendContainer) => void, action = 'update'): void {
      for (const container of containers.values()) {
        if (
          container.body.Labels['com.docker.compose.service'] !== service ||
          container.name.includes('.old-')
        )
          continue
        act(container)
        tell(container, action)
      }
    },
  }
}

export type PretendHost = ReturnType<typeof pretendHost>
