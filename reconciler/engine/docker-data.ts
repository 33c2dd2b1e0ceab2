import { randomBytes } from 'node:crypto'
import type Docker from 'dockerode'
import { SamovarError } from '../errors.ts'
import { doneAlready, refused, statusOf } from './docker-answers.ts'
import { demultiplexed } from './docker-streams.ts'
import { type Engine, type ScratchBody, samovarLabels } from './engine.ts'

type Data = Pick<
  Engine,
  | 'pause'
  | 'unpause'
  | 'mounting'
  | 'volumesThere'
  | 'scratch'
  | 'startScratch'
  | 'scratchEnded'
  | 'removeScratch'
>

const shownLines = 50

/** What work on data needs beside streams: standing still, who uses a volume, containers to work in. */
export function dockerData(docker: Docker): Data {
  const look = async (instance: string): Promise<Docker.ContainerInspectInfo | null> => {
    try {
      return await docker.getContainer(instance).inspect()
    } catch (error) {
      if (statusOf(error) === 404) return null
      throw refused(error, `inspecting container ${short(instance)}`)
    }
  }

  return {
    async pause(current) {
      const seen = await look(current.instance)
      if (seen === null || seen.Name !== `/${current.name}`)
        throw new SamovarError('changed', `${current.name} is no longer the container that was looked at`)
      if (seen.State.Paused) return
      await doneAlready([], `pausing ${current.name}`, () => docker.getContainer(seen.Id).pause())
    },

    async unpause(current) {
      const seen = await look(current.instance)
      if (seen === null || !seen.State.Paused) return
      await doneAlready([404], `waking ${current.name}`, () => docker.getContainer(seen.Id).unpause())
    },

    async mounting(volume) {
      const list = await docker
        .listContainers({ all: true, filters: { volume: [volume] } })
        .catch((error: unknown) => {
          throw refused(error, `asking who mounts volume ${volume}`)
        })
      // The filter takes folders inside containers for volumes, too.
      return list
        .filter((seen) => seen.Mounts.some((mount) => mount.Type === 'volume' && mount.Name === volume))
        .map((seen) => ({
          instance: seen.Id,
          name: (seen.Names[0] ?? '').replace(/^\//, ''),
          running: ['running', 'paused', 'restarting'].includes(seen.State),
        }))
    },

    async volumesThere(names) {
      const { Volumes } = await docker.listVolumes().catch((error: unknown) => {
        throw refused(error, 'listing the volumes')
      })
      // Null when there is none at all.
      const there = new Set(((Volumes as typeof Volumes | null) ?? []).map((each) => each.Name))
      return names.filter((name) => there.has(name))
    },

    async scratch(operation, wanted) {
      // The engine would make a missing one, empty.
      for (const volume of Object.keys(wanted.volumes)) await mustExist(docker, volume)
      const name = `samovar-scratch-${operation}-${randomBytes(4).toString('hex')}`
      const created = await docker
        .createContainer({ name, ...scratchBody(operation, wanted) } as Docker.ContainerCreateOptions)
        .catch((error: unknown) => {
          throw refused(error, `creating the scratch container ${name}`)
        })
      return created.id
    },

    async startScratch(instance) {
      await doneAlready([304], `starting scratch container ${short(instance)}`, () =>
        docker.getContainer(instance).start(),
      )
    },

    async scratchEnded(instance, timeoutMs) {
      const timedOut = AbortSignal.timeout(timeoutMs)
      const container = docker.getContainer(instance)
      await container.wait({ condition: 'not-running', abortSignal: timedOut }).catch((error: unknown) => {
        if (!timedOut.aborted) throw refused(error, `waiting for scratch container ${short(instance)}`)
      })
      const output = await lastLines(container)
      const seen = await look(instance)
      if (seen === null) throw new SamovarError('not-found', `scratch container ${short(instance)} is gone`)
      if (seen.State.Running)
        throw new SamovarError(
          'timed-out',
          `${seen.Path} did not end within ${timeoutMs / 1000} s${output === '' ? '' : `; it wrote last: ${output}`}`,
        )
      if (seen.State.Status === 'created')
        throw new SamovarError('engine-refused', `scratch container ${short(instance)} was never started`)
      return { exitCode: seen.State.ExitCode, output }
    },

    async removeScratch(operation) {
      const list = await docker
        .listContainers({ all: true, filters: { label: [`${samovarLabels.scratch}=${operation}`] } })
        .catch((error: unknown) => {
          throw refused(error, 'listing the scratch containers')
        })
      for (const seen of list)
        await doneAlready([404, 409], `removing scratch container ${short(seen.Id)}`, () =>
          docker.getContainer(seen.Id).remove({ force: true, v: true }),
        )
    },
  }
}

const short = (instance: string): string => instance.slice(0, 12)

/** What a program needs that works on files of anybody, and a server that gives up its rights at its start. */
const rights = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID']

function scratchBody(operation: string, wanted: ScratchBody): object {
  return {
    Image: wanted.image,
    ...(wanted.command === null ? {} : { Entrypoint: [], Cmd: wanted.command }),
    ...(wanted.user === undefined ? {} : { User: wanted.user }),
    Env: Object.entries(wanted.environment).map(([key, value]) => `${key}=${value}`),
    Labels: { [samovarLabels.scratch]: operation },
    // The health check of the image is about a service.
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      NetworkMode: 'none',
      RestartPolicy: { Name: 'no' },
      AutoRemove: false,
      CapDrop: ['ALL'],
      CapAdd: rights,
      SecurityOpt: ['no-new-privileges'],
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '1' } },
      // Without NoCopy the engine fills an empty volume with what the image has in that folder.
      Mounts: Object.entries(wanted.volumes).map(([volume, folder]) => ({
        Type: 'volume',
        Source: volume,
        Target: folder,
        VolumeOptions: { NoCopy: true },
      })),
    },
  }
}

async function mustExist(docker: Docker, volume: string): Promise<void> {
  try {
    await docker.getVolume(volume).inspect()
  } catch (error) {
    if (statusOf(error) !== 404) throw refused(error, `inspecting volume ${volume}`)
    throw new SamovarError('not-found', `volume ${volume} does not exist`, { cause: error })
  }
}

async function lastLines(container: Docker.Container): Promise<string> {
  try {
    const raw = await container.logs({ stdout: true, stderr: true, tail: shownLines, follow: false })
    return demultiplexed(raw).trim()
  } catch (error) {
    if (statusOf(error) === 404) return ''
    throw refused(error, 'reading the logs of a scratch container')
  }
}
