import { accessSync, constants, mkdirSync } from 'node:fs'
import { readdir, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { keyFrom } from './backup/encryption.ts'
import { type OpenStore, openStores } from './backup/open-stores.ts'
import { type ComposeCommand, findCompose } from './compose-config.ts'
import { resolveSecret } from './desired-state/variables.ts'
import { connectDocker } from './engine/docker.ts'
import type { Engine } from './engine/engine.ts'
import { codeOf, SamovarError } from './errors.ts'
import { openSource, type Source, type SourceSettings } from './git/checkout.ts'
import { connectForge } from './gitea/connect.ts'
import type { Forge } from './gitea/forge.ts'
import { repositoryInForge } from './gitea/forge-address.ts'
import { type Clock, realClock } from './health/clock.ts'
import { makeHoldFolder } from './hold-requests.ts'
import { type Lock, takeLock } from './journal/lock.ts'
import { type Journal, openJournal } from './journal.ts'
import { mailNotifier } from './notify/mail.ts'
import type { Notifiers } from './notify/notifier.ts'
import { webhookNotifier } from './notify/webhook.ts'
import type { Backups } from './rollout/step.ts'
import { openSecrets, type Secrets } from './secrets/secrets.ts'
import { openSecretsManager } from './secrets/secrets-manager.ts'
import type { Settings } from './settings.ts'

/** Everything a pass works with. Tests hand in other parts; nothing looks a part up by itself. */
export type Parts = {
  settings: Settings
  engine: Engine
  compose: ComposeCommand
  source: Source
  journal: Journal
  backups: Backups
  /** The values of `variables` in host.yaml. */
  secrets: Secrets
  /** Null when no Gitea is named, or no token: then nothing is said to it. */
  forge: Forge | null
  notifiers: Notifiers
  clock: Clock
  /** Milliseconds since 1970. */
  now: () => number
  close(): Promise<void>
}

/**
 * The one place where implementations are chosen. Closes what it opened when a later part cannot be had. The engine
 * is reached at its first call, so an engine that is away at start is an outage like any other.
 *
 * @param stopping cuts Git when the process is told to end
 * @throws SamovarError `settings-invalid`, `compose-unavailable`
 */
export async function buildParts(settings: Settings, stopping?: AbortSignal): Promise<Parts> {
  const journal = openState(settings.stateDir)
  try {
    // The engine would else make the folder when a container that mounts it starts first.
    makeHoldFolder(settings.holdDir)
    const compose = await findCompose()
    const engine = reachedWhenNeeded(() => connectDocker(settings.dockerHost))
    const source = await sharedSource({
      repository: settings.repository,
      branch: settings.branch,
      stateDir: settings.stateDir,
      token: () => settings.giteaToken?.reveal(),
      timeoutMs: 60_000,
      environment: settings.environment,
      ...(stopping === undefined ? {} : { signal: stopping }),
    })
    const backups = keptOpen(settings)
    return {
      settings,
      backups,
      secrets: openSecrets(settings.stateDir),
      forge: forgeOf(settings, stopping),
      notifiers: notifiersOf(settings),
      engine,
      compose,
      source,
      journal,
      clock: realClock,
      now: Date.now,
      async close() {
        await backups.close()
        await engine.close()
        journal.close()
      },
    }
  } catch (error) {
    journal.close()
    throw error
  }
}

/**
 * Null when no Gitea is named, or no token. Nothing is asked yet.
 * @throws SamovarError `settings-invalid` when it is not known which repository of Gitea it is
 */
export function forgeOf(settings: Settings, stopping?: AbortSignal): Forge | null {
  const { giteaToken } = settings
  const address = repositoryInForge(settings)
  if (address === null || giteaToken === null) return null
  if ('problem' in address) throw new SamovarError('settings-invalid', address.problem)
  return connectForge({
    url: address.url,
    repository: address.fullName,
    token: () => giteaToken.reveal(),
    ...(stopping === undefined ? {} : { signal: stopping }),
  })
}

/** Nothing is loaded or asked before the first message. */
export const notifiersOf = ({
  mail,
  lookup = () => undefined,
}: Pick<Settings, 'mail'> & Partial<Pick<Settings, 'lookup'>>): Notifiers => ({
  mail: mail === null ? null : mailNotifier(mail.route, mail.from),
  webhook: webhookNotifier({
    secretOf: (secret) =>
      resolveSecret({ secret }, { lookup, secretsManager: (name) => openSecretsManager().read(name) }),
  }),
})

/** Each store is opened once, when it is first used: the S3 client is a tenth of a second and some megabytes. */
function keptOpen(settings: Settings): Backups & { close(): Promise<void> } {
  const open = new Map<string, Promise<OpenStore[]>>()
  const text = settings.backupKey?.reveal()
  return {
    key: text === undefined ? null : keyFrom(text),
    open(policies) {
      const name = JSON.stringify(policies)
      const known = open.get(name) ?? openStores(policies, settings)
      open.set(name, known)
      known.catch(() => open.delete(name))
      return known
    },
    async close() {
      for (const stores of open.values())
        for (const { store } of await stores.catch(() => [])) await store.close()
    },
  }
}

/** @throws SamovarError `settings-invalid` when the state directory cannot be used */
export function openState(stateDir: string): Journal {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    accessSync(stateDir, constants.W_OK | constants.X_OK)
    return openJournal(stateDir)
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw new SamovarError('settings-invalid', `the state directory ${stateDir} cannot be used: ${why}`, {
      next: 'Set SAMOVAR_STATE_DIR to a folder on a local disk that this user may write to.',
      cause: error,
    })
  }
}

/** One connection, made at the first call and tried again as long as it fails. */
function reachedWhenNeeded(connect: () => Promise<Engine>): Engine {
  let reached: Engine | null = null
  let connecting: Promise<Engine> | null = null
  const engine = (): Promise<Engine> => {
    connecting ??= connect()
      .then((found) => {
        reached = found
        return found
      })
      .finally(() => {
        if (reached === null) connecting = null
      })
    return connecting
  }
  return new Proxy({} as Engine, {
    get: (_target, name) => {
      // Awaiting the proxy itself must not look like a call.
      if (name === 'then') return undefined
      if (name === 'close') return async () => reached?.close()
      return async (...input: unknown[]) => {
        const found = await engine()
        const method = found[name as keyof Engine] as (...given: unknown[]) => unknown
        return method(...input)
      }
    },
  })
}

/** Several processes (the daemon, `plan`, `status`) use one clone: they take turns, and say so when it takes long. */
async function sharedSource(settings: SourceSettings): Promise<Source> {
  const turn = async <T>(work: () => T | Promise<T>): Promise<T> => {
    using _held = await takeTurn(join(settings.stateDir, 'source-lock'))
    return await work()
  }
  const source = await turn(() => openSource(settings))
  return {
    fetch: () => turn(() => source.fetch()),
    head: () => source.head(),
    lastGood: () => source.lastGood(),
    checkout: (commit) =>
      turn(async () => {
        const checkout = await source.checkout(commit)
        await utimes(checkout.directory, new Date(), new Date())
        return checkout
      }),
    keepOnly: (commits) =>
      turn(async () =>
        source.keepOnly([...commits, ...(await lately(join(settings.stateDir, 'checkouts')))]),
      ),
    commitInfo: (commit) => turn(() => source.commitInfo(commit)),
    changedFiles: (before, after) => turn(() => source.changedFiles(before, after)),
    // In a place of its own: production never waits for a stranger's branch.
    pullRequest: (wanted) => source.pullRequest(wanted),
    bundle: (commit, file) => turn(() => source.bundle(commit, file)),
    seed: (commit, file) => turn(() => source.seed(commit, file)),
  }
}

/** Another process may be reading a checkout that it asked for a moment ago. */
const reading = 5 * 60_000

async function lately(checkouts: string): Promise<string[]> {
  const asked: string[] = []
  for (const name of await readdir(checkouts)) {
    const { mtimeMs } = await stat(join(checkouts, name))
    if (Date.now() - mtimeMs < reading) asked.push(name)
  }
  return asked
}

const longestWait = 90_000

async function takeTurn(folder: string): Promise<Lock> {
  const deadline = Date.now() + longestWait
  for (;;) {
    try {
      return takeLock(folder, 'reading Git', 0)
    } catch (error) {
      if (codeOf(error) !== 'state-locked' || Date.now() > deadline) throw error
      await realClock.sleep(50, new AbortController().signal)
    }
  }
}
