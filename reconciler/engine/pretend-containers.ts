import { SamovarError } from '../errors.ts'
import type { ContainerBody } from './container-body.ts'
import {
  type EngineEvent,
  type EngineHealth,
  type InstanceState,
  type Revisioned,
  type Running,
  samovarLabels,
} from './engine.ts'
import { splitReference } from './image-reference.ts'
import type { PretendFiles } from './pretend-files.ts'

/** How the containers of an image behave on the pretend host. */
export type Behaviour = {
  /** What the engine's health check says once the container runs. */
  health?: EngineHealth
  /** The process ends by itself with this code as soon as it is started. */
  exits?: number
  /** It cannot be stopped: its process stays. */
  unstoppable?: boolean
  /** What a command run inside answers. */
  command?: { exitCode: number; output: string }
  /** Programs inside, by name, for `exec` and for scratch containers. They may keep a state of their own. */
  programs?: Record<string, PretendProgram>
  /** What its first process does with a signal. */
  hearsSignal?: (name: string, container: PretendContainer) => void
}

/** What a pretend program is given. */
export type PretendCall = {
  command: string[]
  /** All of its standard input. */
  input: Buffer
  /** By the folder where they are mounted. */
  volumes: Record<string, PretendFiles>
  /** The container it runs in. */
  instance: string
  environment: Record<string, string>
}

type PretendEnd = { exitCode: number; output: Buffer | string; errors?: string }
export type PretendProgram = (call: PretendCall) => PretendEnd | Promise<PretendEnd>

export type PretendContainer = {
  id: string
  name: string
  body: ContainerBody
  imageId: string
  state: InstanceState
  exitCode: number
  createdAt: number
  startedAt: number
  finishedAt: number
  restarts: number
  logs: string[]
}

/** The images of the pretend registry, by reference. */
export type PretendRegistry = Map<string, { digest: string; behaviour: Behaviour }>

/** The id a digest has on the pretend host. */
export const imageId = (digest: string): string => `id-of-${digest}`

/** The containers of the pretend host and what can happen to them, as an engine does it. */
export function pretendContainers(registry: PretendRegistry, now: () => number) {
  const containers = new Map<string, PretendContainer>()
  const watchers = new Set<(event: EngineEvent) => void>()

  const tell = (container: PretendContainer, action: string): void => {
    const service = container.body.Labels['com.docker.compose.service'] ?? ''
    for (const watcher of watchers)
      watcher({ instance: container.id, service, action, name: container.name, at: now() })
  }
  const behaviourOf = (container: PretendContainer): Behaviour =>
    [...registry.values()].find((image) => imageId(image.digest) === container.imageId)?.behaviour ?? {}
  const get = (instance: string): PretendContainer => {
    const container = containers.get(instance)
    if (container === undefined) throw new SamovarError('not-found', `container ${instance} is gone`)
    return container
  }
  const present = (current: Revisioned): PretendContainer => {
    const container = containers.get(current.instance)
    if (container === undefined || container.name !== current.name)
      throw new SamovarError('changed', `${current.name} is no longer the container that was looked at`)
    return container
  }
  const stop = (container: PretendContainer): void => {
    container.body.HostConfig.RestartPolicy = { Name: 'no' }
    if (!['running', 'paused'].includes(container.state)) return
    if (behaviourOf(container).unstoppable === true)
      throw new SamovarError('engine-refused', `${container.name} was stopped, but its process still runs`)
    Object.assign(container, { state: 'exited', exitCode: 0, finishedAt: now() })
    tell(container, 'die')
  }
  const start = (container: PretendContainer): void => {
    if (container.state === 'running') return
    if (container.state === 'paused') {
      container.state = 'running'
      tell(container, 'unpause')
      return
    }
    Object.assign(container, { state: 'running', startedAt: now() })
    tell(container, 'start')
    const { exits } = behaviourOf(container)
    if (exits !== undefined) {
      Object.assign(container, { state: 'exited', exitCode: exits, finishedAt: now() })
      tell(container, 'die')
    }
  }
  const rename = (container: PretendContainer, name: string): void => {
    if (container.name === name) return
    if ([...containers.values()].some((other) => other.name === name))
      throw new SamovarError(
        'name-taken',
        `${container.name} cannot be named ${name}: another container has that name`,
      )
    container.name = name
  }
  const runningOf = (container: PretendContainer): Running => {
    const labels = container.body.Labels
    return {
      instance: container.id,
      name: container.name,
      service: labels['com.docker.compose.service'] ?? '',
      node: '',
      image: { id: container.imageId, ...splitReference(labels[samovarLabels.image] ?? '') },
      state: container.state,
      health: container.state === 'running' ? (behaviourOf(container).health ?? 'none') : 'none',
      exitCode: container.state === 'exited' ? container.exitCode : null,
      createdAt: container.createdAt,
      configuration: labels[samovarLabels.configuration] ?? '',
      operation: labels[samovarLabels.operation] ?? '',
      oneOff: labels['com.docker.compose.oneoff'] === 'True',
      mounts: [],
      networks: Object.keys(container.body.NetworkingConfig?.EndpointsConfig ?? {}).sort(),
      revision: `${container.id} ${container.name}`,
    }
  }
  const policyOf = (container: PretendContainer) =>
    JSON.parse(container.body.Labels[samovarLabels.restart] ?? '{"Name":"no"}') as { Name: string }

  return { containers, watchers, tell, behaviourOf, get, present, stop, start, rename, runningOf, policyOf }
}
