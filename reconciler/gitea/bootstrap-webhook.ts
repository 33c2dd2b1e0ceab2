import { randomBytes } from 'node:crypto'
import type { BootstrapParts, BootstrapStep, BootstrapWanted } from './bootstrap.ts'
import type { Address, Hook } from './setup-calls.ts'

/** The hook that tells Samovar to look again. Gitea takes the same address twice, so hooks are known by theirs. */
export async function webhook(parts: BootstrapParts, wanted: BootstrapWanted): Promise<BootstrapStep> {
  const { hookUrl } = wanted
  if (hookUrl === null) {
    const details = ['no address to call: set SAMOVAR_PUBLIC_URL or --hook-url; polling works without it']
    return { what: 'webhook', name: '-', result: 'left out', details }
  }
  const all = await parts.setup.hooks(addressOf(wanted))
  const found = {
    url: hookUrl,
    hooks: all.filter((each) => each.type === 'gitea' && each.url === hookUrl),
    events: eventsWanted(await parts.setup.version()),
  }
  const secret = wanted.webhookSecret ?? parts.files.read(wanted.secretFile)
  return secret === null || wanted.renew
    ? replaceHook(parts, wanted, found)
    : keepHook(parts, wanted, found, secret)
}

type Found = { url: string; hooks: Hook[]; events: string[] }

async function keepHook(
  { setup }: BootstrapParts,
  wanted: BootstrapWanted,
  { url, hooks, events }: Found,
  secret: string,
): Promise<BootstrapStep> {
  const step = { what: 'webhook', name: url } as const
  const [hook, ...more] = hooks
  if (hook === undefined) {
    await setup.createHook(addressOf(wanted), { url, secret, events, branchFilter: '*', active: true })
    return { ...step, result: 'made', details: [] }
  }
  const details = more.length === 0 ? [] : [`${more.length} more have this address: remove them in Gitea`]
  const changes = hookChanges(hook, events, wanted.branch)
  if (changes.length === 0) return { ...step, result: 'already so', details }
  const branchFilter = filterOf(hook, wanted.branch)
  const both = [...new Set([...hook.events, ...events])]
  await setup.editHook(addressOf(wanted), hook.id, { url, events: both, branchFilter, active: true })
  return { ...step, result: 'changed', details: [...changes, ...details] }
}

/**
 * Gitea never gives a secret back and does not change it, so a hook whose secret is not at hand is replaced. It goes
 * before the new secret is written: after a crash in between, a hook never stands there with another secret than the
 * file has.
 */
async function replaceHook(
  { setup, files }: BootstrapParts,
  wanted: BootstrapWanted,
  { url, hooks, events }: Found,
): Promise<BootstrapStep> {
  for (const hook of hooks) await setup.deleteHook(addressOf(wanted), hook.id)
  const { webhookSecret: given, secretFile } = wanted
  const secret = given ?? randomBytes(32).toString('hex')
  if (given === null) files.write(secretFile, secret)
  await setup.createHook(addressOf(wanted), { url, secret, events, branchFilter: '*', active: true })
  const details = [given === null ? `new secret in ${secretFile}` : 'with SAMOVAR_WEBHOOK_SECRET']
  const step = { what: 'webhook', name: url, details } as const
  return hooks.length === 0
    ? { ...step, result: 'made' }
    : { ...step, result: 'changed', replacesSecret: true }
}

const addressOf = ({ owner, name }: BootstrapWanted): Address => ({ owner, name })

/**
 * A push is a new commit to follow; a pull request is planned, its merge ends it, a review or a status may be what an
 * automatic merge waits for. Gitea tells of statuses from 1.23 on; older ones drop the name without a word.
 */
function eventsWanted(version: string): string[] {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const tellsStatuses = major > 1 || (major === 1 && minor >= 23)
  return ['push', 'pull_request', ...(tellsStatuses ? ['status'] : [])]
}

/** Gitea answers `pull_request` as the list of its kinds. */
const kinds = (event: string): string[] => (event === 'pull_request' ? [event, 'pull_request_sync'] : [event])

function hookChanges(hook: Hook, events: string[], branch: string): string[] {
  const missing = events.filter((event) => !kinds(event).every((kind) => hook.events.includes(kind)))
  return [
    ...(hook.active ? [] : ['active']),
    ...(hook.contentType === 'json' ? [] : [`JSON instead of ${hook.contentType}`]),
    ...missing.map((event) => `tells of ${event}`),
    ...(filterOf(hook, branch) === hook.branchFilter ? [] : [`all branches instead of ${hook.branchFilter}`]),
  ]
}

/** Somebody's filter is kept when it lets the branch through that Samovar follows. */
const filterOf = (hook: Hook, branch: string): string =>
  ['', '*', '**', branch].includes(hook.branchFilter) ? hook.branchFilter : '*'
