import { SamovarError } from '../errors.ts'
import { type Engine, samovarLabels } from './engine.ts'
import type { PretendContainer, pretendContainers } from './pretend-containers.ts'
import { mountsOf } from './pretend-data.ts'
import type { PretendFiles } from './pretend-files.ts'

type Host = Pick<
  ReturnType<typeof pretendContainers>,
  'containers' | 'watchers' | 'behaviourOf' | 'get' | 'present' | 'stop' | 'tell'
> & {
  called: (method: string, about?: string) => void
  now: () => number
  files: (volume: string) => PretendFiles
}

/** Containers that run once on the pretend host: their image says with `programs` what they do. */
export function pretendOneOff(host: Host): {
  calls: Pick<Engine, 'signal' | 'ended' | 'removeOneOffs'>
  /** Runs the program of a one-off container that was just started; nothing happens to other containers. */
  begin(container: PretendContainer): void
} {
  const { containers, watchers, called, get } = host
  const calls: Pick<Engine, 'signal' | 'ended' | 'removeOneOffs'> = {
    async signal(current, name) {
      called('signal', `${name} ${current.name}`)
      const container = host.present(current)
      if (container.state !== 'running')
        throw new SamovarError('engine-refused', `container ${current.name} is ${container.state}`)
      host.behaviourOf(container).hearsSignal?.(name, container)
    },
    async ended(instance, signal) {
      called('ended')
      const container = get(instance)
      if (container.state === 'created')
        throw new SamovarError('engine-refused', `container ${container.name} was never started`)
      const { promise, resolve } = Promise.withResolvers<void>()
      const onEvent = (event: { instance: string }) => {
        if (event.instance === instance && container.state !== 'running') resolve()
      }
      watchers.add(onEvent)
      signal.addEventListener('abort', () => resolve(), { once: true })
      if (container.state !== 'running' || signal.aborted) resolve()
      await promise
      watchers.delete(onEvent)
      get(instance)
      return container.state === 'running' ? null : container.exitCode
    },
    async removeOneOffs(operation) {
      called('removeOneOffs')
      for (const container of [...containers.values()].filter((each) => isOneOffOf(each, operation))) {
        host.stop(container)
        containers.delete(container.id)
      }
    },
  }
  return {
    calls,
    begin(container) {
      const { Labels, Cmd: command = [], Env = [] } = container.body
      const program = host.behaviourOf(container).programs?.[command[0] ?? '']
      if (!isOneOff(Labels) || container.state !== 'running' || program === undefined) return
      const mounts = mountsOf(container).map(({ volume, folder }) => [folder, host.files(volume)] as const)
      const environment = Object.fromEntries(Env.map((entry) => entry.split(/=(.*)/s))) as Record<
        string,
        string
      >
      const call = {
        command,
        input: Buffer.alloc(0),
        volumes: Object.fromEntries(mounts),
        instance: container.id,
        environment,
      }
      void Promise.resolve(program(call)).then(({ exitCode, output, errors = '' }) => {
        container.logs.push(...`${output.toString()}${errors}`.split('\n').filter((line) => line !== ''))
        if (container.state !== 'running') return
        Object.assign(container, { state: 'exited', exitCode, finishedAt: host.now() })
        host.tell(container, 'die')
      })
    },
  }
}

const isOneOffOf = ({ body }: PretendContainer, operation: string): boolean =>
  body.Labels[samovarLabels.operation] === operation && isOneOff(body.Labels)

const isOneOff = (labels: Record<string, string>): boolean => labels['com.docker.compose.oneoff'] === 'True'
