import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { SamovarError } from '../errors.ts'
import { type Engine, type Revisioned, samovarLabels } from './engine.ts'
import type { PretendContainer, PretendProgram, pretendContainers } from './pretend-containers.ts'
import { type PretendFiles, packFiles, unpackFiles } from './pretend-files.ts'

type Data = Pick<
  Engine,
  | 'exec'
  | 'pause'
  | 'unpause'
  | 'mounting'
  | 'volumesThere'
  | 'scratch'
  | 'startScratch'
  | 'scratchEnded'
  | 'removeScratch'
  | 'readFiles'
  | 'writeFiles'
>

/** The pretend host as its data sees it. */
type Host = Pick<
  ReturnType<typeof pretendContainers>,
  'containers' | 'behaviourOf' | 'get' | 'present' | 'start' | 'tell'
> & {
  called: (method: string, about?: string) => void
  now: () => number
  volumes: Set<string>
  files: (volume: string) => PretendFiles
}

/** Work on data on the pretend host: programs are functions, volumes are maps, archives are real tar. */
export function pretendData(host: Host): Data {
  const { containers, called, get } = host
  const foldersOf = (container: PretendContainer): Record<string, PretendFiles> =>
    Object.fromEntries(mountsOf(container).map(({ volume, folder }) => [folder, host.files(volume)] as const))
  const run = async (container: PretendContainer, command: string[], input: Buffer) => {
    const program = host.behaviourOf(container).programs?.[command[0] ?? ''] ?? ownPrograms[command[0] ?? '']
    if (program === undefined)
      return { exitCode: 127, output: '', errors: `${command[0]}: executable file not found` }
    const environment = Object.fromEntries((container.body.Env ?? []).map((entry) => entry.split(/=(.*)/s)))
    return program({
      command,
      input,
      volumes: foldersOf(container),
      instance: container.id,
      environment: environment as Record<string, string>,
    })
  }
  const place = (instance: string, folder: string) => {
    for (const { volume, folder: mounted } of mountsOf(get(instance))) {
      if (folder === mounted) return { files: host.files(volume), below: '' }
      if (folder.startsWith(`${mounted}/`))
        return { files: host.files(volume), below: `${folder.slice(mounted.length + 1)}/` }
    }
    throw new SamovarError('not-found', `there is no ${folder} in container ${instance}`)
  }

  return {
    async exec(instance, command, input) {
      called('exec', command[0])
      const container = get(instance)
      if (container.state !== 'running')
        throw new SamovarError('engine-refused', `container ${container.name} is ${container.state}`)
      return begin(input ?? Readable.from([]), (all) => run(container, command, all))
    },
    async pause(current) {
      called('pause', current.name)
      const container = host.present(current)
      if (container.state === 'paused') return
      if (container.state !== 'running')
        throw new SamovarError('engine-refused', `container ${current.name} is ${container.state}`)
      container.state = 'paused'
      host.tell(container, 'pause')
    },
    async unpause(current: Revisioned) {
      called('unpause', current.name)
      const container = containers.get(current.instance)
      if (container?.state !== 'paused') return
      container.state = 'running'
      host.tell(container, 'unpause')
    },
    async mounting(volume) {
      called('mounting', volume)
      return [...containers.values()]
        .filter((container) => mountsOf(container).some((mount) => mount.volume === volume))
        .map(({ id, name, state }) => ({
          instance: id,
          name,
          running: ['running', 'paused', 'restarting'].includes(state),
        }))
    },
    async volumesThere(names) {
      called('volumesThere')
      return names.filter((name) => host.volumes.has(name))
    },
    async scratch(operation, wanted) {
      called('scratch', wanted.command?.[0])
      for (const volume of Object.keys(wanted.volumes))
        if (!host.volumes.has(volume)) throw new SamovarError('not-found', `volume ${volume} does not exist`)
      const container: PretendContainer = {
        id: randomBytes(32).toString('hex'),
        name: `samovar-scratch-${operation}-${randomBytes(4).toString('hex')}`,
        body: {
          Image: wanted.image,
          Labels: { [samovarLabels.scratch]: operation },
          ...(wanted.command === null ? {} : { Cmd: wanted.command }),
          Env: Object.entries(wanted.environment).map(([key, value]) => `${key}=${value}`),
          HostConfig: {
            NetworkMode: 'none',
            Mounts: Object.entries(wanted.volumes).map(([volume, folder]) => ({
              Type: 'volume',
              Source: volume,
              Target: folder,
            })),
          },
        },
        imageId: wanted.image,
        state: 'created',
        exitCode: 0,
        createdAt: host.now(),
        startedAt: 0,
        finishedAt: 0,
        restarts: 0,
        logs: [],
      }
      containers.set(container.id, container)
      return container.id
    },
    async startScratch(instance) {
      const container = get(instance)
      const command = container.body.Cmd
      called('startScratch', command?.[0])
      if (container.state !== 'created') return
      host.start(container)
      if (command === undefined) return
      const { exitCode, output, errors = '' } = await run(container, command, Buffer.alloc(0))
      container.logs.push(...`${output.toString()}${errors}`.split('\n').filter((line) => line !== ''))
      Object.assign(container, { state: 'exited', exitCode, finishedAt: host.now() })
    },
    async scratchEnded(instance, timeoutMs) {
      called('scratchEnded')
      const container = get(instance)
      if (container.state === 'created')
        throw new SamovarError('engine-refused', `scratch container ${container.name} was never started`)
      if (container.state === 'running')
        throw new SamovarError('timed-out', `${container.name} did not end within ${timeoutMs / 1000} s`)
      return { exitCode: container.exitCode, output: container.logs.slice(-50).join('\n') }
    },
    async removeScratch(operation) {
      called('removeScratch')
      for (const container of [...containers.values()])
        if (container.body.Labels[samovarLabels.scratch] === operation) containers.delete(container.id)
    },
    async readFiles(instance, folder) {
      called('readFiles', folder)
      const { files, below } = place(instance, folder)
      return packFiles(files, below)
    },
    async writeFiles(instance, folder, archive) {
      called('writeFiles', folder)
      const { files, below } = place(instance, folder)
      await unpackFiles(files, below, archive)
    },
  }
}

/** What every image has: enough to empty a volume. */
const ownPrograms: Record<string, PretendProgram> = {
  true: () => ({ exitCode: 0, output: '' }),
  find: ({ command, volumes }) => {
    const folder = command[1] ?? ''
    const erases = command.includes('-mindepth') && (command.includes('-delete') || command.includes('rm'))
    const files = volumes[folder]
    if (!erases || files === undefined) return { exitCode: 1, output: '', errors: `find: ${folder}` }
    for (const path of [...files.keys()]) if (path !== '.') files.delete(path)
    return { exitCode: 0, output: '' }
  },
}

/** Named volumes of a container, in both ways that a body can have them. */
export function mountsOf(container: PretendContainer): { volume: string; folder: string }[] {
  const { Mounts = [], Binds = [] } = container.body.HostConfig
  const mounts = Mounts.filter((mount) => mount['Type'] === 'volume').map((mount) => ({
    volume: String(mount['Source'] ?? ''),
    folder: String(mount['Target']),
  }))
  const binds = Binds.map((bind) => bind.split(':')).map(([volume = '', folder = '']) => ({ volume, folder }))
  return [...mounts, ...binds.filter(({ volume }) => !volume.startsWith('/'))]
}

type Ran = Awaited<ReturnType<PretendProgram>>

/** A program starts when all of its input is there; one whose input fails is ended before. */
function begin(input: Readable, program: (input: Buffer) => Promise<Ran>) {
  const output = new Readable({ read: () => {} })
  output.on('error', () => {})
  const ended = buffer(input).then(
    async (all) => {
      const ran = await program(all)
      if (output.destroyed) return { exitCode: ran.exitCode || -1, errors: ran.errors ?? '' }
      output.push(Buffer.from(ran.output))
      output.push(null)
      return { exitCode: ran.exitCode, errors: (ran.errors ?? '').slice(-4096) }
    },
    (error: Error) => {
      output.destroy(error)
      return { exitCode: 143, errors: '' }
    },
  )
  ended.catch((error: Error) => output.destroy(error))
  return { output, ended }
}
