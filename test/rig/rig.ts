import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { findCompose } from './compose.ts'
import { releaseKept, startEngine, stopUnused, type TestEngine } from './engine.ts'
import { pushTestImages } from './images.ts'
import { removeFromEngine } from './leftovers.ts'
import { pushNginx } from './nginx-image.ts'
import type { Say } from './packages.ts'
import { end, isAlive, isThisBoot, type Owner, ownerOf } from './process.ts'
import { proveReachable } from './reachable.ts'
import { startRegistry, type TestRegistry } from './registry.ts'
import { tempPrefix } from './temp-folder.ts'

/** What a test or the demo needs to know; survives JSON, so that it reaches the test processes by environment. */
export type RigAddress = {
  /** Begins every Compose project and every temp folder of this run: `st` + checkout + process. */
  run: string
  dockerHost: string
  /** `127.0.0.1:PORT`; image names begin with it. */
  registry: string
  /** What to add to the environment of programs that look for an engine and for Compose. */
  environment: Record<string, string>
  cacheFolder: string
}

export type Rig = RigAddress & {
  /** Removes everything this run made and stops what it started. Safe to repeat. */
  stop(): Promise<void>
  /** Leaves everything running after this process; `stopKept` ends it. */
  keep(): Promise<void>
}

type RunRecord = {
  run: string
  owner: Owner
  kept: boolean
  dockerHost: string
  registry: string
  registryProcess: Owner
  folder: string
}

/** This run: the checkout it is of and the process, so that the leftovers of a dead one are recognised. */
const checkout = createHash('sha256')
  .update(resolve(import.meta.dirname, '../..'))
  .digest('hex')
  .slice(0, 6)

export function cacheFolder(): string {
  const named = process.env['SAMOVAR_RIG_CACHE']
  return named !== undefined && named !== ''
    ? resolve(named)
    : join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'samovar-rig')
}

let runsOfThisProcess = 0

/**
 * Sets up the real parts: a Docker Engine, Compose v2, a registry with the test images. Installs what is missing
 * and says so; first removes what a killed run of this checkout left.
 */
export async function startRig(say: Say = (line) => console.error(`rig: ${line}`)): Promise<Rig> {
  const cache = cacheFolder()
  runsOfThisProcess += 1
  const run = `st${checkout}-${process.pid}-${runsOfThisProcess}`
  const engine = await startEngine(cache, say)
  let registry: TestRegistry | undefined
  const folder = join(cache, 'runs', run)
  try {
    await removeLeftovers(cache, engine.dockerHost, say)
    const compose = await findCompose(cache, say)
    registry = await startRegistry(folder, say)
    const record = { run, owner: ownerOf(process.pid), kept: false, dockerHost: engine.dockerHost, folder }
    const write = (kept: boolean, by: TestRegistry) =>
      writeFile(
        `${folder}.json`,
        JSON.stringify({
          ...record,
          kept,
          registry: by.address,
          registryProcess: by.process,
        } satisfies RunRecord),
      )
    await write(false, registry)
    await pushTestImages(registry.address, say)
    if (!engine.ours) await proveReachable(engine.dockerHost, registry.address)
    await pushNginx(registry.address, cache, say)
    say(`${engine.description}, Compose ${compose.version}, registry ${registry.address}`)
    const path = process.env['PATH'] ?? ''
    const started = registry
    return {
      run,
      dockerHost: engine.dockerHost,
      registry: registry.address,
      cacheFolder: cache,
      environment: {
        DOCKER_HOST: engine.dockerHost,
        PATH: compose.bin === null ? path : `${compose.bin}${delimiter}${path}`,
        ...(compose.dockerConfig === null ? {} : { DOCKER_CONFIG: compose.dockerConfig }),
      },
      stop: () => stop(engine, started, run, folder),
      keep: async () => {
        await write(true, started)
        await engine.keep()
      },
    }
  } catch (error) {
    await registry?.stop()
    await engine.release()
    throw error
  }
}

/** Every step is tried, so that what one cannot remove does not keep the rest running. */
async function stop(engine: TestEngine, registry: TestRegistry, run: string, folder: string): Promise<void> {
  const errors: unknown[] = []
  const steps = [
    () => removeFromEngine(engine.dockerHost, run, registry.address),
    () => registry.stop(),
    () => removeFiles(run, folder),
    () => engine.release(),
  ]
  for (const step of steps) await step().catch((error: unknown) => errors.push(error))
  if (errors.length > 0)
    throw new AggregateError(errors, `The rig could not remove everything: ${errors.map(String).join('; ')}`)
}

/** Ends what earlier runs of this checkout kept on purpose. Answers how many there were. */
export async function stopKept(): Promise<number> {
  const cache = cacheFolder()
  const kept = (await records(cache)).filter((record) => record.kept && isOfThisCheckout(record))
  for (const record of kept) await removeRun(record)
  await releaseKept(cache)
  return kept.length
}

async function removeFiles(run: string, folder: string): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (name.startsWith(`${tempPrefix}${run}-`))
      await rm(join(tmpdir(), name), { recursive: true, force: true })
  }
  await rm(folder, { recursive: true, force: true })
  await rm(`${folder}.json`, { force: true })
}

/** Clears away what killed runs of this checkout left, and the private engine when nobody else uses it. */
export async function removeKilledRuns(say: Say): Promise<void> {
  const cache = cacheFolder()
  await removeLeftovers(cache, null, say)
  await stopUnused(cache)
}

/** What runs of this checkout left that were killed: by their records, never by guessing. */
async function removeLeftovers(cache: string, dockerHost: string | null, say: Say): Promise<void> {
  for (const record of await records(cache)) {
    const inUse = record.kept
      ? isThisBoot(record.owner) && isAlive(record.registryProcess)
      : isAlive(record.owner)
    if (inUse || !isOfThisCheckout(record)) continue
    say(`removing what the killed run ${record.run} left`)
    await removeRun({ ...record, dockerHost: dockerHost ?? record.dockerHost })
  }
}

const isOfThisCheckout = (record: RunRecord) => record.run.startsWith(`st${checkout}-`)

async function removeRun(record: RunRecord): Promise<void> {
  await removeFromEngine(record.dockerHost, record.run, record.registry)
  await end(record.registryProcess, 3_000)
  await removeFiles(record.run, record.folder)
}

async function records(cache: string): Promise<RunRecord[]> {
  const folder = join(cache, 'runs')
  await mkdir(folder, { recursive: true })
  const found: RunRecord[] = []
  for (const name of (await readdir(folder)).filter((one) => one.endsWith('.json'))) {
    // Another checkout may be removing its record at this moment.
    const text = await readFile(join(folder, name), 'utf8').catch(() => null)
    if (text !== null) found.push(JSON.parse(text) as RunRecord)
  }
  return found
}
