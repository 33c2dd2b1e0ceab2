import type Docker from 'dockerode'
import { SamovarError } from '../errors.ts'
import { doneAlready, refused, statusOf } from './docker-answers.ts'
import { type Engine, type Kept, type Revisioned, samovarLabels } from './engine.ts'

type Swap = Pick<
  Engine,
  'describe' | 'setAside' | 'retire' | 'start' | 'stop' | 'startAgain' | 'bringBack' | 'discard' | 'remove'
>

/** Stopping, renaming, starting: each call looks at the container first and does only what is missing. */
export function dockerSwap(docker: Docker): Swap {
  const look = async (instance: string): Promise<Docker.ContainerInspectInfo | null> => {
    try {
      return await docker.getContainer(instance).inspect()
    } catch (error) {
      if (statusOf(error) === 404) return null
      throw refused(error, `inspecting container ${instance.slice(0, 12)}`)
    }
  }

  const present = async (current: Revisioned): Promise<Docker.ContainerInspectInfo> => {
    const seen = await look(current.instance)
    if (seen === null || nameOf(seen) !== current.name) {
      throw new SamovarError('changed', `${current.name} is no longer the container that was looked at`)
    }
    return seen
  }

  /** Restart policy off first: an engine that restarts between the two calls would otherwise start it again. */
  const stopForGood = async (seen: Docker.ContainerInspectInfo): Promise<void> => {
    const container = docker.getContainer(seen.Id)
    const doing = `stopping ${nameOf(seen)}`
    const policyOff = () => container.update({ RestartPolicy: { Name: 'no' } })
    // A container that keeps crashing refuses the update between two starts (HTTP 500, 409): then once more below.
    if (hasPolicy(seen)) await doneAlready([409, 500], doing, policyOff)
    if (seen.State.Running || seen.State.Restarting || seen.State.Paused)
      await doneAlready([304], doing, () => container.stop())
    let after = await look(seen.Id)
    if (after !== null && hasPolicy(after)) {
      await doneAlready([], doing, policyOff)
      after = await look(seen.Id)
    }
    if (after !== null && (after.State.Running || after.State.Pid !== 0)) {
      throw new SamovarError('engine-refused', `${nameOf(seen)} was stopped, but its process still runs`, {
        next: 'Nothing else was started on its volumes. Look at the process on the host, then `samovar apply`.',
      })
    }
  }

  const rename = async (instance: string, from: string, to: string): Promise<void> => {
    if (from === to) return
    await docker
      .getContainer(instance)
      .rename({ name: to })
      .catch((error: unknown) => {
        if (statusOf(error) === 409) {
          throw new SamovarError(
            'name-taken',
            `${from} cannot be named ${to}: another container has that name`,
            {
              cause: error,
            },
          )
        }
        throw refused(error, `renaming ${from} to ${to}`)
      })
  }

  const givePolicy = async (seen: Docker.ContainerInspectInfo, policy: Kept['opaque']): Promise<void> => {
    const wanted = {
      Name: String(policy['restart'] ?? 'no'),
      MaximumRetryCount: Number(policy['retries'] ?? 0),
    }
    if (seen.HostConfig.RestartPolicy?.Name === wanted.Name) return
    await doneAlready([], `starting ${nameOf(seen)}`, () =>
      docker.getContainer(seen.Id).update({ RestartPolicy: wanted }),
    )
  }

  const startIt = async (seen: Docker.ContainerInspectInfo): Promise<void> => {
    if (seen.State.Running) return
    await doneAlready([304], `starting ${nameOf(seen)}`, () => docker.getContainer(seen.Id).start())
  }

  return {
    async describe(operation, current, service) {
      const seen = await present(current)
      const policy = seen.HostConfig.RestartPolicy
      return {
        engine: 'docker',
        service,
        name: current.name,
        instance: current.instance,
        opaque: {
          aside: `${current.name}.old-${operation}`,
          restart: policy?.Name === undefined || policy.Name === '' ? 'no' : policy.Name,
          retries: policy?.MaximumRetryCount ?? 0,
          wasRunning: seen.State.Running,
        },
      }
    },

    async setAside(kept) {
      const seen = await look(kept.instance)
      if (seen === null) throw new SamovarError('changed', `${kept.name} was removed by somebody else`)
      await stopForGood(seen)
      await rename(kept.instance, nameOf(seen), asideName(kept))
    },

    async retire(kept) {
      const seen = await look(kept.instance)
      if (seen !== null) await stopForGood(seen)
    },

    async start(operation, candidate) {
      const seen = await look(candidate.instance)
      if (seen === null)
        throw new SamovarError('changed', `the new container of ${candidate.service} is gone`)
      const final = candidate.name.replace(`.new-${operation}`, '')
      const policy = JSON.parse(seen.Config.Labels[samovarLabels.restart] ?? '{}') as {
        Name?: string
        MaximumRetryCount?: number
      }
      // At once, since the service is down meanwhile: neither needs the other.
      await Promise.all([
        rename(candidate.instance, nameOf(seen), final),
        givePolicy(seen, { restart: policy.Name ?? 'no', retries: policy.MaximumRetryCount ?? 0 }),
      ])
      await startIt(seen)
    },

    async stop(current) {
      const seen = await present(current)
      await doneAlready([304], `stopping ${current.name}`, () => docker.getContainer(seen.Id).stop())
    },

    async startAgain(current) {
      const seen = await present(current)
      const label = seen.Config.Labels[samovarLabels.restart]
      const container = docker.getContainer(seen.Id)
      if (seen.State.Paused) await doneAlready([], `waking ${current.name}`, () => container.unpause())
      const policy = (label === undefined ? undefined : JSON.parse(label)) as
        | { Name: string; MaximumRetryCount?: number }
        | undefined
      await givePolicy(seen, {
        restart: policy?.Name ?? seen.HostConfig.RestartPolicy?.Name ?? 'no',
        retries: policy?.MaximumRetryCount ?? seen.HostConfig.RestartPolicy?.MaximumRetryCount ?? 0,
      })
      await startIt(seen)
    },

    async bringBack(kept) {
      const seen = await look(kept.instance)
      if (seen === null) {
        throw new SamovarError(
          'not-found',
          `the old container of ${kept.service} (${kept.instance.slice(0, 12)}) is gone`,
        )
      }
      await rename(kept.instance, nameOf(seen), kept.name)
      if (kept.opaque['wasRunning'] === true) {
        await givePolicy(seen, kept.opaque)
        await startIt(seen)
      } else await stopForGood(seen)
    },

    async discard(kept) {
      await removeStopped(docker, await look(kept.instance))
    },

    async remove(current) {
      if ((await look(current.instance)) === null) return
      const seen = await present(current)
      await stopForGood(seen)
      await removeStopped(docker, seen)
    },
  }
}

const hasPolicy = (seen: Docker.ContainerInspectInfo): boolean =>
  !['no', ''].includes(seen.HostConfig.RestartPolicy?.Name ?? '')

const nameOf = (seen: Docker.ContainerInspectInfo): string => seen.Name.replace(/^\//, '')
const asideName = (kept: Kept): string => String(kept.opaque['aside'])

/** Not forced: a container that runs again (a person started it) is refused with 409 and stays. */
async function removeStopped(docker: Docker, seen: Docker.ContainerInspectInfo | null): Promise<void> {
  if (seen === null) return
  await doneAlready([404], `removing ${nameOf(seen)}`, () =>
    docker.getContainer(seen.Id).remove({ v: false, force: false }),
  )
}
