import { findCompose } from './compose-config.ts'
import { findingLine, type Host } from './desired-state.ts'
import { examineBackups } from './doctor-backups.ts'
import { bad, check, type Finding, ok } from './doctor-finding.ts'
import { examineGitea } from './doctor-gitea.ts'
import { examineNotifications } from './doctor-notifications.ts'
import { readAddress } from './git/repository-address.ts'
import { lockOwner } from './journal/lock.ts'
import { type Loaded, loadCommit } from './load.ts'
import { buildParts, forgeOf, openState, type Parts } from './parts.ts'
import type { Settings } from './settings.ts'

/** Below this a roll-out would be refused soon. */
const littleDisk = 2 * 1024 ** 3

/**
 * Looks at everything a pass needs, one thing after the other; what cannot be looked at since something before it is
 * missing is left out. Changes nothing on the host.
 *
 * @param settings or why they cannot be read
 */
export async function* examine(settings: Settings | Error): AsyncGenerator<Finding> {
  if (settings instanceof Error) {
    for (const problem of settings.message.split('\n')) yield bad('settings', new Error(problem), settings)
    return
  }
  yield ok(
    'settings',
    `${readAddressOrText(settings.repository)}, branch ${settings.branch}, ${settings.directory}/`,
  )
  const state = await check('state directory', settings.stateDir, () => openState(settings.stateDir).close())
  yield state
  yield lock(settings)
  const compose = await check(
    'compose',
    (version) => `Compose ${version}`,
    async () => (await findCompose()).version,
  )
  yield compose
  if (!state.ok || !compose.ok) {
    yield* examineGitea(settings, { forge: () => forgeOf(settings), host: null })
    return
  }
  const parts = await buildParts(settings)
  try {
    yield* examineParts(parts)
  } finally {
    await parts.close()
  }
}

async function* examineParts(parts: Parts): AsyncGenerator<Finding> {
  const engine = await check(
    'engine',
    (found) => `${found.description}, ${found.platform}`,
    () => parts.engine.capabilities(),
  )
  yield engine
  if (engine.ok) yield await disk(parts)
  let commit = ''
  yield await check(
    'git',
    (found) => `branch ${parts.settings.branch} is at ${found.slice(0, 8)}`,
    async () => {
      commit = (await parts.source.fetch()).commit
      return commit
    },
  )
  const found = commit === '' ? null : await desiredState(parts, commit)
  if (found !== null) yield found.finding
  if (found?.loaded) yield* examineSecrets(found.loaded)
  const host = found?.loaded?.state.host ?? null
  yield* examineGitea(parts.settings, { forge: () => parts.forge, host })
  yield* examineNotifications(parts, host)
  if (!found?.loaded || !engine.ok) return
  for (const { image, tag, digest } of Object.values(found.loaded.state.services)) {
    const reference = `${image}:${tag}`
    yield await check(
      'image',
      (now) =>
        `${reference} is ${now.slice(0, 19)} in its registry${digest === null || digest === now ? '' : `; pinned to ${digest.slice(0, 19)}`}`,
      () => parts.engine.resolve(reference),
    )
  }
  yield* examineBackups(parts, found.loaded)
}

function* examineSecrets({ resolved, state }: Loaded): Generator<Finding> {
  const all = Object.values(state.host.variables).filter((value) => typeof value !== 'string').length
  if (all === 0) return
  const { missing } = resolved
  if (missing.length === 0) yield ok('secrets', all === 1 ? 'the one is there' : `all ${all} are there`)
  for (const { name, why, next } of missing)
    yield { name: 'secrets', ok: false, said: `the secret ${name} is missing: ${why}`, next }
}

async function desiredState(
  parts: Parts,
  commit: string,
): Promise<{ finding: Finding; loaded: Loaded | null }> {
  const name = 'desired state'
  try {
    const { directory } = await parts.source.checkout(commit)
    const { settings, compose } = parts
    const values = (host: Pick<Host, 'variables'>) => parts.secrets.resolve(host, settings.lookup)
    const read = { compose, commit, root: directory, directory: settings.directory, values }
    const { loaded, findings } = await loadCommit(read)
    if (loaded !== null) {
      const services = Object.keys(loaded.state.services)
      return { loaded, finding: ok(name, `${loaded.state.host.name}: ${services.join(', ')}`) }
    }
    const [first] = findings
    const more = findings.length > 1 ? ` (and ${findings.length - 1} more)` : ''
    const said = first === undefined ? 'it cannot be read' : `${findingLine(first)}${more}`
    return {
      loaded,
      finding: {
        name,
        ok: false,
        said,
        next: 'samovar validate DIR lists every finding; correct them and push',
      },
    }
  } catch (error) {
    return { loaded: null, finding: bad(name, error) }
  }
}

async function disk(parts: Parts): Promise<Finding> {
  const free = await parts.engine.freeDisk().catch(() => null)
  if (free === null) return ok('disk', 'the free disk of this engine cannot be seen from here')
  const said = `${(free / 1024 ** 3).toFixed(1)} GiB are free where the engine keeps images`
  return free >= littleDisk
    ? ok('disk', said)
    : { name: 'disk', ok: false, said, next: '`docker system df` shows where it went; make some room' }
}

function lock(settings: Settings): Finding {
  const owner = lockOwner(settings.stateDir)
  return ok(
    'lock',
    owner === null
      ? 'free: no daemon runs'
      : `held by \`${owner.what}\` (pid ${owner.pid}, since ${owner.since})`,
  )
}

/** An address may carry a password; what cannot be read as one is a problem that Git's line tells. */
function readAddressOrText(repository: string): string {
  try {
    return readAddress(repository).url
  } catch {
    return 'the repository address cannot be read'
  }
}
