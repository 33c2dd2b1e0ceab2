import { codeOf, SamovarError, sentenceOf } from '../errors.ts'
import { botAccess, botAccount, botToken } from './bootstrap-account.ts'
import { deployKey, labels, owner, protection, repository } from './bootstrap-repository.ts'
import { webhook } from './bootstrap-webhook.ts'
import { refusalStatus } from './refusal.ts'
import type { SecretFiles } from './secret-files.ts'
import type { Setup } from './setup-calls.ts'

export type BootstrapWanted = {
  owner: string
  name: string
  branch: string
  /** Login of the account that Samovar speaks as. */
  bot: string
  /** How many people must approve a pull request before it can be merged. */
  approvals: number
  /** Contexts of statuses, as plain text. */
  requiredStatuses: string[]
  /** Where Gitea shall call; null leaves the webhook out. */
  hookUrl: string | null
  /** The line of a public key that may fetch, or null. */
  deployKey: string | null
  /** Makes token and webhook secret anew, and takes the old ones back. */
  renew: boolean
  tokenFile: string
  secretFile: string
  /** Given as values, not by files: these cannot be written. */
  token: string | null
  webhookSecret: string | null
}

export type BootstrapParts = {
  /** With the administrator's password. */
  setup: Setup
  /** The same Gitea, seen with a token. */
  withToken: (token: string) => Pick<Setup, 'currentUser' | 'repository'>
  files: SecretFiles
}

export type BootstrapStep = {
  what:
    | 'organisation'
    | 'repository'
    | 'bot account'
    | 'access'
    | 'token'
    | 'deploy key'
    | 'webhook'
    | 'label'
    | 'branch protection'
  name: string
  result: 'made' | 'changed' | 'already so' | 'left out'
  /** What is different now, or what is worth knowing. */
  details: string[]
  /** A running daemon may have the token or secret that was there before. */
  replacesSecret?: true
}

/**
 * Makes Gitea ready for Samovar, step by step. Each step looks first and does only what is missing: a second run
 * changes nothing, and one that follows a crash does the rest. What people have added is kept.
 *
 * @throws SamovarError `forge-unreachable`, `forge-refused` or `settings-invalid` with the next step
 */
export async function* bootstrap(
  parts: BootstrapParts,
  wanted: BootstrapWanted,
): AsyncGenerator<BootstrapStep> {
  yield* bootstrapUnprotected(parts, wanted)
  // Last: nothing before it is in its way, and a first push must not meet it.
  yield await protection(parts, wanted)
}

/** All but the protection of the branch: for who has something to push yet. Else as `bootstrap`. */
export async function* bootstrapUnprotected(
  parts: BootstrapParts,
  wanted: BootstrapWanted,
): AsyncGenerator<BootstrapStep> {
  await mustBeAdministrator(parts.setup, wanted)
  yield* owner(parts, wanted)
  yield await repository(parts, wanted)
  yield await botAccount(parts, wanted)
  yield await botAccess(parts, wanted)
  yield await botToken(parts, wanted)
  if (wanted.deployKey !== null) yield await deployKey(parts, wanted, wanted.deployKey)
  yield await webhook(parts, wanted)
  yield* labels(parts, wanted)
}

async function mustBeAdministrator(setup: Setup, wanted: BootstrapWanted): Promise<void> {
  const user = await setup.currentUser().catch(aboutCredentials(setup.webUrl))
  if (!user.admin)
    throw new SamovarError('forge-refused', `${user.login} is not an administrator of Gitea`, {
      next: 'Set SAMOVAR_GITEA_ADMIN_USER to an administrator; `gitea admin user list --admin` names them.',
    })
  if (user.login.toLowerCase() === wanted.bot.toLowerCase())
    throw new SamovarError(
      'settings-invalid',
      `the bot cannot be ${user.login}, the administrator who sets Gitea up`,
      {
        next: 'Give the bot an account of its own (--bot NAME): what it may do is what a stolen token may do.',
      },
    )
}

/** Nothing but address and credentials can be wrong yet. */
const aboutCredentials =
  (url: string) =>
  (error: unknown): never => {
    const status = refusalStatus(error) ?? (error instanceof Error ? refusalStatus(error.cause) : undefined)
    const isRefused = status === 401 || status === 403
    if (!isRefused && error instanceof SamovarError && error.advises) throw error
    throw new SamovarError(codeOf(error) ?? 'forge-unreachable', sentenceOf(error), {
      next: isRefused
        ? 'Check SAMOVAR_GITEA_ADMIN_USER and SAMOVAR_GITEA_ADMIN_PASSWORD (or _FILE). An account that must change its password is refused everything until it has; one with two factors cannot use its password here: make another administrator for this.'
        : `Check SAMOVAR_GITEA_URL: ${url} does not answer as Gitea. Is it running, and is the path right?`,
      cause: error,
    })
  }
