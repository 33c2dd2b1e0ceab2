import type { Readable } from 'node:stream'
import type { ContainerBody, ImageDefaults, NetworkBody, VolumeBody } from './container-body.ts'

/**
 * The seam to whatever runs containers. Two implementations: docker.ts (a Docker Engine) and in-memory.ts (a
 * pretend host for stories); both pass test/contracts/engine.ts. Swarm must fit later (why each call looks as it
 * does: observe returns instances, mutating calls carry the revision they were decided on, Kept is opaque).
 *
 * Every method may throw SamovarError `engine-unreachable` or `engine-refused`; the others are named below.
 */
export interface Engine {
  /** What this engine can do; asked once. Throws `engine-unreachable`. */
  capabilities(): Promise<Capabilities>

  /** Every instance of the project, also stopped ones and the ones set aside; one call to the Engine. */
  observe(project: string): Promise<Running[]>

  /** Everything about one instance: the slow, exact look. Throws `not-found` when it is gone. */
  inspect(instance: string): Promise<Inspected>

  /** The instance that has a name now, of whatever project, or null. */
  holder(name: string): Promise<string | null>

  /** The digest (`sha256:...`) a tag has in its registry now. Throws `image-unavailable`. */
  resolve(reference: string): Promise<string>

  /** Local images, one call: which digests are here and under which image id. */
  images(): Promise<LocalImage[]>

  /**
   * Makes the image local, by digest; does nothing when it is here. Resolves when it can be started without the
   * registry; `pulled` says that it was not here before. Throws `image-unavailable`; a cut pull leaves nothing that counts as the image.
   */
  holdImage(
    image: ImageReference,
    progress?: (progress: PullProgress) => void,
  ): Promise<LocalImage & { pulled: boolean }>

  /** Removes an image by its name and digest unless a container uses it; true when it is gone. */
  dropImage(image: { id: string; name: string; digest: string }): Promise<boolean>

  /** Networks and volumes of the project exist afterwards, with Compose's names and labels; never changes one. */
  prepare(networks: NetworkBody[], volumes: VolumeBody[]): Promise<void>

  /**
   * Creates the new container under a temporary name, not started, connected to its networks, restart policy `no`
   * until `start` gives it its own (a daemon restart would otherwise start it beside the old one).
   * Called again for the same operation and service it answers the one that is there.
   *
   * @param final the name it gets at the start, and the platform of its image when the model names one
   */
  create(
    operation: string,
    body: ContainerBody,
    final: { name: string; platform?: string | undefined },
  ): Promise<Candidate>

  /**
   * What must be known to bring this instance back; changes nothing. The journal holds it before `setAside` acts.
   * Throws `changed` when the instance is not the one that was decided on.
   */
  describe(operation: string, current: Revisioned, service: string): Promise<Kept>

  /**
   * Restart policy off, stop within the grace of the container, exit confirmed, renamed out of the way. Safe to
   * repeat. Throws when the exit cannot be confirmed: then nothing else may start on its volumes.
   */
  setAside(kept: Kept): Promise<void>

  /** As `setAside`, but it keeps its name: a service left the desired state. Safe to repeat. */
  retire(kept: Kept): Promise<void>

  /** Gives the candidate the service's name and its own restart policy and starts it. Safe to repeat. */
  start(operation: string, candidate: Candidate): Promise<void>

  /** Stops an instance for a while (dependents); it keeps name and identity. Safe to repeat. */
  stop(current: Revisioned): Promise<void>

  /** Starts an instance that stands stopped under its own name. Safe to repeat. */
  startAgain(current: Revisioned): Promise<void>

  /** Stops and removes a candidate, started or not (never its volumes). Safe to repeat. */
  removeCandidate(candidate: Candidate): Promise<void>

  /**
   * Gives the kept instance its name and restart policy back and starts it (unless it was not running before).
   * Safe to repeat, also when only half of it was done. Throws `not-found` when it is gone.
   */
  bringBack(kept: Kept): Promise<void>

  /** Removes a kept instance for good (never its volumes). Safe to repeat. */
  discard(kept: Kept): Promise<void>

  /** Removes an instance that left the desired state (never its volumes). Safe to repeat. */
  remove(current: Revisioned): Promise<void>

  /** What an operation created, found by looking at the world. */
  find(operation: string): Promise<Candidate[]>

  /** Runs a command in a running instance; output is cut after 64 KiB. */
  run(instance: string, command: string[], timeoutMs: number): Promise<{ exitCode: number; output: string }>

  /**
   * Starts a program in a running instance, without a terminal, and answers its streams: output is binary and has no
   * bound, `input` is its standard input. The output ends without an error also when the program dies: only `ended`
   * tells whether it was complete; it rejects with `engine-unreachable` when that is not known. The output has to be
   * read or destroyed, since a large one holds the program. When `input` fails, the program is ended before it sees the end of
   * its input, and `output` fails with the same error. Throws `not-found`, `engine-refused` when the instance does not run.
   */
  exec(instance: string, command: string[], input?: Readable): Promise<Execution>

  /** Freezes the processes of a running instance where they are. Safe to repeat. Throws `changed`. */
  pause(current: Revisioned): Promise<void>

  /** Lets the processes of a frozen instance go on. Safe to repeat; does nothing to one that is gone. */
  unpause(current: Revisioned): Promise<void>

  /** Instances of whatever project that mount a volume, also stopped ones and the ones set aside. */
  mounting(volume: string): Promise<Mounting[]>

  /** Those of the named volumes that exist, whoever made them; one call to the Engine. */
  volumesThere(names: string[]): Promise<string[]>

  /**
   * A container for work on data, which belongs to an operation and to no service: no network, no restart policy, no
   * Compose labels, created but not started. Never counted by `observe` and `find`. A command with an empty
   * entrypoint replaces the image's own when it is named.
   */
  scratch(operation: string, wanted: ScratchBody): Promise<string>

  /** Starts a scratch container. */
  startScratch(instance: string): Promise<void>

  /** Waits until a scratch container has ended; its exit code and the last lines it wrote. Throws `timed-out`. */
  scratchEnded(instance: string, timeoutMs: number): Promise<{ exitCode: number; output: string }>

  /** Removes all scratch containers of an operation, running or not, with the nameless volumes they got. Safe to repeat. */
  removeScratch(operation: string): Promise<void>

  /** A folder of an instance, running or not, through its volumes: a tar stream whose names begin with `./`. */
  readFiles(instance: string, folder: string): Promise<Readable>

  /** Unpacks a tar stream into a folder of an instance, owners by number. Resolves when all of it is there. */
  writeFiles(instance: string, folder: string, tar: Readable): Promise<void>

  /**
   * Sends a signal to the first process of a running instance; what it does with it is its own matter. Throws
   * `changed`, `engine-refused` when it does not run.
   */
  signal(current: Revisioned, name: 'SIGHUP'): Promise<void>

  /**
   * The exit code of a started instance once it has ended; null when the signal fires first, and then it goes on.
   * Throws `not-found` when it is gone.
   */
  ended(instance: string, signal: AbortSignal): Promise<number | null>

  /**
   * Stops (within their grace) and removes the one-off containers of an operation, with the nameless volumes they
   * got. Those are the ones it created with Compose's label `oneoff`. Safe to repeat.
   */
  removeOneOffs(operation: string): Promise<void>

  /** The last lines an instance wrote, oldest first. */
  logs(instance: string, lines: number): Promise<string[]>

  /**
   * Calls back for each event of the project's containers until the signal fires. Gaps are possible (connection
   * lost): `onGap` says that anything may have happened since. Never throws; reconnects by itself.
   */
  watch(
    project: string,
    onEvent: (event: EngineEvent) => void,
    onGap: () => void,
    signal: AbortSignal,
  ): Promise<void>

  /** Bytes free where the engine keeps images and volumes, or null when it cannot be told from here. */
  freeDisk(): Promise<number | null>

  close(): Promise<void>
}

export type Capabilities = {
  keepsOld: 'container' | 'specification'
  nodes: number
  /** For people: `Docker Engine 20.10.24 (API 1.41)`. */
  description: string
  apiVersion: string
  /** The platform images are pulled for, as in `linux/amd64`. */
  platform: string
}

export type InstanceState =
  | 'created'
  | 'running'
  | 'paused'
  | 'restarting'
  | 'exited'
  | 'dead'
  | 'removing'
  | 'unreachable'

export type EngineHealth = 'healthy' | 'starting' | 'unhealthy' | 'none'

/** One instance (not: one service), as cheaply as it can be seen. */
export type Running = {
  instance: string
  name: string
  service: string
  node: string
  /** Local image id; `tag` and `digest` are what Samovar wrote on it, empty for what it did not create. */
  image: { id: string; name: string; tag: string; digest: string }
  state: InstanceState
  health: EngineHealth
  /** Exit code of an exited instance when the cheap look shows it, else null. */
  exitCode: number | null
  /** Creation, milliseconds since 1970. */
  createdAt: number
  /** Keyed hash of the configuration it was created with; empty for what Samovar did not create. */
  configuration: string
  /** The operation that created it; empty for what Samovar did not create. */
  operation: string
  /** True for a one-off container of `docker compose run`. */
  oneOff: boolean
  /** Paths of the host that it mounts. */
  mounts: string[]
  /** Names of the networks it is connected to. */
  networks: string[]
  /** For compare-and-set: a mutating call decided on this revision may answer `changed`. */
  revision: string
}

export type Revisioned = Pick<Running, 'instance' | 'name' | 'revision'>

export type Inspected = {
  instance: string
  name: string
  image: { id: string; digests: string[] }
  state: InstanceState
  health: EngineHealth
  /** Output of the engine's own health check, newest last. */
  healthLog: string[]
  exitCode: number
  restarts: number
  /** Milliseconds since 1970; 0 when it never started. */
  startedAt: number
  finishedAt: number
  /** As the engine reports it: a ContainerBody merged with the image's defaults and the engine's own. */
  configuration: ContainerBody
  imageDefaults: ImageDefaults | null
  /** Volumes without a name of their own, by where they are mounted. */
  anonymousVolumes: string[]
  /** Address of the instance on each of its networks. */
  addresses: Record<string, string>
}

/** `errors` are the last 4 KiB that the program wrote to its standard error. */
export type Execution = {
  output: Readable
  ended: Promise<{ exitCode: number; errors: string }>
}

export type Mounting = { instance: string; name: string; running: boolean }

export type ScratchBody = {
  /** Local image id. */
  image: string
  /** Volume name -> folder in the container. */
  volumes: Record<string, string>
  /** Null: what the image starts by itself. */
  command: string[] | null
  environment: Record<string, string>
  user?: string
}

export type ImageReference = { name: string; tag: string; digest: string; platform?: string | undefined }
export type LocalImage = {
  id: string
  digests: string[]
  tags: string[]
  bytes: number
  /** Milliseconds since 1970 when the image was built. */
  createdAt: number
}
export type PullProgress = { bytes: number; total: number; layersDone: number; layers: number }

export type Candidate = { instance: string; service: string; name: string }

/** What was set aside and how it is brought back. Opaque to everybody but its engine; survives JSON. */
export type Kept = {
  engine: string
  service: string
  name: string
  instance: string
  opaque: Record<string, string | number | boolean>
}

export type EngineEvent = {
  instance: string
  service: string
  /** `die`, `destroy`, `unhealthy`, `update`, `rename`, `start`, `connect`, `disconnect`, ... */
  action: string
  /** Name of the container when the engine tells it, else empty. */
  name: string
  /** Milliseconds since 1970, the engine's clock. */
  at: number
}

/** Labels that Samovar puts on what it creates, beside Compose's own. */
export const samovarLabels = {
  operation: 'samovar.operation',
  configuration: 'samovar.configuration',
  image: 'samovar.image',
  secretFields: 'samovar.secret-fields',
  /** Keyed hash of each secret in the container: `NAME=hash,...`. */
  secrets: 'samovar.secrets',
  restart: 'samovar.restart',
  /** On scratch containers: the operation they work for. */
  scratch: 'samovar.scratch',
} as const
