import { randomBytes } from 'node:crypto'
import { codeOf, SamovarError } from '../errors.ts'
import type { BootstrapParts, BootstrapStep, BootstrapWanted } from './bootstrap.ts'
import type { AccessToken } from './setup-calls.ts'

/**
 * The least that Samovar can work with. `write:repository`: fetch, commit bumps on branches, statuses, pull requests,
 * merging. `write:issue`: comments and labels, also those of pull requests, are issues to Gitea. `read:user`: whose token this
 * is, so that Samovar recognises its own comments.
 */
export const tokenScopes = ['write:repository', 'write:issue', 'read:user']

/** A password that nobody knows: whoever is to sign in as the bot gets a new one from an administrator. */
export async function botAccount(
  { setup }: BootstrapParts,
  { bot }: BootstrapWanted,
): Promise<BootstrapStep> {
  const step = { what: 'bot account', name: bot } as const
  const known = await setup.user(bot)
  if (known === null) {
    const password = randomBytes(32).toString('base64url')
    const made = await setup.createUser({ login: bot, email: `${bot}@noreply.localhost`, password })
    if (made === 'created') return { ...step, result: 'made', details: [] }
  }
  const details = known?.admin
    ? ['it is an administrator of Gitea, which Samovar does not need: take that right away']
    : []
  return { ...step, result: 'already so', details }
}

/** Fetching, branches, statuses and merging need write; hooks and protection are for administrators, so not for it. */
export async function botAccess(
  { setup }: BootstrapParts,
  { owner, name, bot }: BootstrapWanted,
): Promise<BootstrapStep> {
  const step = { what: 'access', name: `${bot} may write` } as const
  const before = await setup.permission({ owner, name }, bot)
  if (before === 'owner' || before === 'admin' || before === 'write')
    return { ...step, result: 'already so', details: before === 'write' ? [] : [`it even is ${before}`] }
  await setup.putCollaborator({ owner, name }, bot, 'write')
  if (before === 'none') return { ...step, result: 'made', details: [] }
  return { ...step, result: 'changed', details: [`instead of ${before}`] }
}

/**
 * A token that is at hand and works stays. When none is, a new one is made and older ones are left alone, since a
 * Samovar elsewhere may use them; `renew` takes them back.
 */
export async function botToken(parts: BootstrapParts, wanted: BootstrapWanted): Promise<BootstrapStep> {
  const { setup, files } = parts
  const { bot, renew, tokenFile } = wanted
  const atHand = wanted.token ?? files.read(tokenFile)
  const known = await setup.tokens(bot)
  const where = wanted.token === null ? tokenFile : 'SAMOVAR_GITEA_TOKEN'
  const unfit =
    atHand === null
      ? 'there was none at hand'
      : await whyUnfit(parts, wanted, { known, token: atHand, where })
  if (unfit === null && !renew) return { what: 'token', name: where, result: 'already so', details: [] }

  const token = await newToken(parts, wanted, known)
  files.write(tokenFile, token)
  await prove(parts, wanted, token)
  const ours = known.filter((each) => isOurs(each, wanted))
  if (renew) for (const old of ours) await setup.deleteToken(bot, old.id)
  const why = renew && unfit === null ? 'asked for' : unfit
  const rest =
    ours.length === 0
      ? []
      : [`${ours.length} older ${renew ? 'taken back' : 'left (--renew takes them back)'}`]
  return {
    what: 'token',
    name: tokenFile,
    result: ours.length === 0 ? 'made' : 'changed',
    details: [...(ours.length === 0 && atHand === null ? [] : [why ?? '']), ...rest],
    ...(atHand !== null || renew ? { replacesSecret: true } : {}),
  }
}

/** Gitea makes tokens also for accounts that may not use them. */
async function prove(parts: BootstrapParts, wanted: BootstrapWanted, token: string): Promise<void> {
  const seen = parts.withToken(token)
  const { login } = await seen.currentUser().catch(withAdvice(wanted.bot))
  if (login.toLowerCase() !== wanted.bot.toLowerCase())
    throw new SamovarError('forge-refused', `the new token is one of ${login}, not of ${wanted.bot}`, {
      next: `Remove ${wanted.tokenFile} and run bootstrap again.`,
    })
  if ((await seen.repository(wanted.owner, wanted.name)) === null)
    throw new SamovarError('forge-refused', `${wanted.bot} may not see ${wanted.owner}/${wanted.name}`, {
      next: 'Look at Collaborators in the settings of the repository, then run bootstrap again.',
    })
}

const tokenName = ({ owner, name }: BootstrapWanted): string => `samovar ${owner}/${name}`

const isOurs = (token: AccessToken, wanted: BootstrapWanted): boolean =>
  token.name === tokenName(wanted) || token.name.startsWith(`${tokenName(wanted)} (`)

/** Null when the token does what Samovar needs. */
async function whyUnfit(
  parts: BootstrapParts,
  wanted: BootstrapWanted,
  { known, token, where }: { known: AccessToken[]; token: string; where: string },
): Promise<string | null> {
  const listed = known.find((each) => token.endsWith(each.lastEight) && each.lastEight !== '')
  if (listed === undefined) return `the token in ${where} is not one of ${wanted.bot}'s`
  const missing = tokenScopes.filter(
    (scope) => !listed.scopes.includes(scope) && !listed.scopes.includes('all'),
  )
  if (missing.length > 0) return `the one at hand lacks ${missing.join(', ')}`
  try {
    const seen = await parts.withToken(token).repository(wanted.owner, wanted.name)
    return seen === null ? 'the one at hand cannot see the repository' : null
  } catch (error) {
    // Refused credentials. When Gitea is away the next call says so.
    if (codeOf(error) === 'forge-unreachable') return 'the one at hand is refused'
    return withAdvice(wanted.bot)(error)
  }
}

/** Gitea does not take a name twice, and an older token may be in use. */
async function newToken(
  { setup }: BootstrapParts,
  wanted: BootstrapWanted,
  known: AccessToken[],
): Promise<string> {
  const first = tokenName(wanted)
  const names = [first, ...known.map((_, at) => `${first} (${at + 2})`)]
  const free = names.find((name) => !known.some((each) => each.name === name)) ?? first
  const token = await setup.createToken(wanted.bot, { name: free, scopes: tokenScopes })
  if (token !== null) return token
  throw new SamovarError('forge-refused', `${wanted.bot} got a token named "${free}" meanwhile`, {
    next: 'Somebody else runs bootstrap at this moment: wait for it to end, then run it again.',
  })
}

/** A fresh account that must change its password is refused everything, its tokens too. */
const withAdvice =
  (bot: string) =>
  (error: unknown): never => {
    throw new SamovarError(
      codeOf(error) ?? 'forge-refused',
      `the account ${bot} cannot be used with a token: ${error instanceof Error ? error.message : String(error)}`,
      {
        next: `It may have to change its password first, or may not sign in: \`gitea admin user must-change-password --unset ${bot}\` or the page of the account under Site Administration, then run bootstrap again.`,
        cause: error,
      },
    )
  }
