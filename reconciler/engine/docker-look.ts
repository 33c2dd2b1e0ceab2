import type Docker from 'dockerode'
import { SamovarError } from '../errors.ts'
import type { ContainerBody, EndpointBody, ImageDefaults } from './container-body.ts'
import { refused, statusOf } from './docker-answers.ts'
import { watchDocker } from './docker-events.ts'
import { demultiplex, demultiplexed, readBounded } from './docker-streams.ts'
import {
  type Engine,
  type EngineHealth,
  type Inspected,
  type InstanceState,
  type Running,
  samovarLabels,
} from './engine.ts'
import { splitReference } from './image-reference.ts'

const outputLimit = 64 * 1024

/** Looking at containers: observe, inspect, logs, events, commands inside. */
export function dockerLook(
  docker: Docker,
): Pick<Engine, 'observe' | 'inspect' | 'holder' | 'run' | 'logs' | 'watch'> {
  /** Image defaults never change under one id, so each is asked for once. */
  const images = new Map<string, { digests: string[]; defaults: ImageDefaults } | null>()

  const imageOf = async (id: string) => {
    const known = images.get(id)
    if (known !== undefined) return known
    const image = await docker
      .getImage(id)
      .inspect()
      .catch((error: unknown) => {
        if (statusOf(error) === 404) return null
        throw refused(error, `inspecting image ${id}`)
      })
    const kept =
      image === null
        ? null
        : {
            digests: digestsOf(image.RepoDigests),
            defaults: (image.Config ?? {}) as unknown as ImageDefaults,
          }
    if (kept !== null) images.set(id, kept)
    return kept
  }

  return {
    async observe(project) {
      const list = await docker
        .listContainers({ all: true, filters: { label: [`com.docker.compose.project=${project}`] } })
        .catch((error: unknown) => {
          throw refused(error, 'listing the containers')
        })
      return list.map(runningOf)
    },

    async inspect(instance) {
      const seen = await docker
        .getContainer(instance)
        .inspect()
        .catch((error: unknown) => {
          if (statusOf(error) === 404)
            throw new SamovarError('not-found', `container ${instance.slice(0, 12)} is gone`, {
              cause: error,
            })
          throw refused(error, `inspecting container ${instance.slice(0, 12)}`)
        })
      const image = await imageOf(seen.Image)
      return inspectedOf(seen, image)
    },

    async holder(name) {
      try {
        const seen = await docker.getContainer(name).inspect()
        // The Engine also takes the beginning of an id for a name.
        return seen.Name === `/${name}` ? seen.Id : null
      } catch (error) {
        if (statusOf(error) === 404) return null
        throw refused(error, `looking for ${name}`)
      }
    },

    async run(instance, command, timeoutMs) {
      const name = instance.slice(0, 12)
      try {
        const exec = await docker
          .getContainer(instance)
          .exec({ Cmd: command, AttachStdout: true, AttachStderr: true })
        const stream = await exec.start({ hijack: true, stdin: false })
        const output = await readBounded(demultiplex(stream), outputLimit, timeoutMs)
        const { ExitCode, Running } = await exec.inspect()
        if (output.timedOut || Running)
          return { exitCode: 124, output: `${output.text}(no end after ${timeoutMs / 1000} s)` }
        return { exitCode: ExitCode ?? -1, output: output.text }
      } catch (error) {
        throw refused(error, `running ${command[0] ?? 'a command'} in container ${name}`)
      }
    },

    async logs(instance, lines) {
      const container = docker.getContainer(instance)
      try {
        const [{ Config }, raw] = await Promise.all([
          container.inspect(),
          container.logs({ stdout: true, stderr: true, tail: lines, follow: false }),
        ])
        return (Config.Tty ? raw.toString('utf8') : demultiplexed(raw))
          .split(/\r?\n/)
          .filter((line) => line !== '')
      } catch (error) {
        throw refused(error, `reading the logs of container ${instance.slice(0, 12)}`)
      }
    },

    watch: (project, onEvent, onGap, signal) => watchDocker(docker, { project, onEvent, onGap, signal }),
  }
}

function runningOf(seen: Docker.ContainerInfo): Running {
  const labels = seen.Labels
  const name = (seen.Names[0] ?? '').replace(/^\//, '')
  return {
    instance: seen.Id,
    name,
    service: labels['com.docker.compose.service'] ?? '',
    node: '',
    image: { id: seen.ImageID, ...imageOfContainer(seen) },
    state: seen.State as InstanceState,
    health: healthInStatus(seen.Status),
    exitCode: exitCodeInStatus(seen.Status),
    createdAt: seen.Created * 1000,
    configuration: labels[samovarLabels.configuration] ?? '',
    operation: labels[samovarLabels.operation] ?? '',
    oneOff: labels['com.docker.compose.oneoff'] === 'True',
    mounts: (seen.Mounts ?? []).map((mount) => mount.Source ?? '').filter((path) => path !== ''),
    networks: Object.keys(seen.NetworkSettings?.Networks ?? {}).sort(),
    revision: `${seen.Id} ${name}`,
  }
}

/** What Samovar wrote on it; for a container of somebody else the name it was made with, without a digest. */
function imageOfContainer(seen: Docker.ContainerInfo): { name: string; tag: string; digest: string } {
  const written = seen.Labels[samovarLabels.image]
  if (written !== undefined) return splitReference(written)
  if (seen.Image.startsWith('sha256:')) return { name: '', tag: '', digest: '' }
  return { ...splitReference(seen.Image), digest: '' }
}

/** The list call carries health only as text: `Up 2 minutes (healthy)`, `(health: starting)`. */
function healthInStatus(status: string): EngineHealth {
  if (status.includes('(healthy)')) return 'healthy'
  if (status.includes('(unhealthy)')) return 'unhealthy'
  return status.includes('(health: starting)') ? 'starting' : 'none'
}

function exitCodeInStatus(status: string): number | null {
  const code = /^Exited \((\d+)\)/.exec(status)?.[1]
  return code === undefined ? null : Number(code)
}

function inspectedOf(
  seen: Docker.ContainerInspectInfo,
  image: { digests: string[]; defaults: ImageDefaults } | null,
): Inspected {
  const networks = Object.entries(seen.NetworkSettings.Networks ?? {})
  const health = seen.State.Health
  return {
    instance: seen.Id,
    name: seen.Name.replace(/^\//, ''),
    image: { id: seen.Image, digests: image?.digests ?? [] },
    state: seen.State.Status as InstanceState,
    health: (health?.Status ?? 'none') as EngineHealth,
    healthLog: (health?.Log ?? []).map((entry) => entry.Output.trim()),
    exitCode: seen.State.ExitCode,
    restarts: seen.RestartCount,
    startedAt: moment(seen.State.StartedAt),
    finishedAt: moment(seen.State.FinishedAt),
    configuration: {
      ...(seen.Config as unknown as ContainerBody),
      HostConfig: seen.HostConfig as unknown as ContainerBody['HostConfig'],
      NetworkingConfig: { EndpointsConfig: Object.fromEntries(networks) as Record<string, EndpointBody> },
    },
    imageDefaults: image?.defaults ?? null,
    anonymousVolumes: seen.Mounts.filter(
      (mount) => mount.Type === 'volume' && /^[0-9a-f]{64}$/.test(mount.Name ?? ''),
    ).map((mount) => mount.Destination),
    addresses: Object.fromEntries(networks.map(([name, endpoint]) => [name, endpoint.IPAddress])),
  }
}

/** The Engine writes year 1 for "never". */
const moment = (text: string): number => Math.max(0, Date.parse(text) || 0)

export const digestsOf = (repoDigests: string[] | null | undefined): string[] =>
  (repoDigests ?? []).map((entry) => entry.slice(entry.indexOf('@') + 1))
