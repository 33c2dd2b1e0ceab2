import type Docker from 'dockerode'
import { SamovarError } from '../errors.ts'
import { doneAlready, refused, statusOf } from './docker-answers.ts'
import { type Engine, samovarLabels } from './engine.ts'

/** Containers that run once, and signals to those that go on running. */
export function dockerOneOff(docker: Docker): Pick<Engine, 'signal' | 'ended' | 'removeOneOffs'> {
  const look = async (instance: string): Promise<Docker.ContainerInspectInfo | null> => {
    try {
      return await docker.getContainer(instance).inspect()
    } catch (error) {
      if (statusOf(error) === 404) return null
      throw refused(error, `inspecting container ${short(instance)}`)
    }
  }

  return {
    async signal(current, name) {
      const seen = await look(current.instance)
      if (seen === null || seen.Name !== `/${current.name}`)
        throw new SamovarError('changed', `${current.name} is no longer the container that was looked at`)
      await docker
        .getContainer(seen.Id)
        .kill({ signal: name })
        .catch((error: unknown) => {
          throw refused(error, `sending ${name} to ${current.name}`)
        })
    },

    async ended(instance, signal) {
      await docker
        .getContainer(instance)
        .wait({ condition: 'not-running', abortSignal: signal })
        .catch((error: unknown) => {
          if (signal.aborted) return
          if (statusOf(error) === 404)
            throw new SamovarError('not-found', `container ${short(instance)} is gone`, { cause: error })
          throw refused(error, `waiting for container ${short(instance)}`)
        })
      const seen = await look(instance)
      if (seen === null) throw new SamovarError('not-found', `container ${short(instance)} is gone`)
      if (seen.State.Status === 'created')
        throw new SamovarError('engine-refused', `container ${short(instance)} was never started`)
      return seen.State.Running ? null : seen.State.ExitCode
    },

    async removeOneOffs(operation) {
      const label = [`${samovarLabels.operation}=${operation}`, 'com.docker.compose.oneoff=True']
      const list = await docker.listContainers({ all: true, filters: { label } }).catch((error: unknown) => {
        throw refused(error, 'listing the one-off containers')
      })
      for (const each of list) {
        const container = docker.getContainer(each.Id)
        const doing = `removing the one-off container ${(each.Names[0] ?? short(each.Id)).replace(/^\//, '')}`
        await doneAlready([304, 404], doing, () => container.stop())
        const seen = await look(each.Id)
        if (seen !== null && (seen.State.Running || seen.State.Pid !== 0))
          throw new SamovarError(
            'engine-refused',
            `${seen.Name.slice(1)} was stopped, but its process still runs`,
            {
              next: 'Look at the process on the host; the next run takes the container away.',
            },
          )
        await doneAlready([404, 409], doing, () => container.remove({ v: true, force: false }))
      }
    },
  }
}

const short = (instance: string): string => instance.slice(0, 12)
