import { check, type Finding, ok } from './doctor-finding.ts'
import { SamovarError } from './errors.ts'
import { repositoryInForge } from './gitea/forge-address.ts'
import type { Parts } from './parts.ts'

/** What Samovar says to Gitea needs, and what it hears from it. Nothing is written there. */
export async function* examineGitea({ forge, settings }: Parts): AsyncGenerator<Finding> {
  if (forge === null) {
    yield ok('gitea', 'not used: SAMOVAR_GITEA_URL or SAMOVAR_GITEA_TOKEN is not set')
    return
  }
  const there = await check(
    'gitea',
    (found) => `Gitea ${found.version} at ${settings.giteaUrl ?? ''}, as ${found.login}`,
    async () => ({ version: await forge.version(), login: await forge.login() }),
  )
  yield there
  if (!there.ok) return
  yield await check(
    'gitea repository',
    (fullName) => `${fullName}: statuses, comments and pull requests may be written`,
    async () => {
      const { fullName, archived, permissions } = await forge.repository()
      if (archived) throw unfit(`${fullName} is archived`, 'Take it out of the archive in Gitea.')
      if (!permissions.push)
        throw unfit(
          `the account of SAMOVAR_GITEA_TOKEN may not write to ${fullName}`,
          'Run `samovar bootstrap`, or make it a collaborator who may write.',
        )
      return fullName
    },
  )
  yield* hears(settings)
}

function* hears({
  webhookSecret,
  diunToken,
  giteaRepository,
  ...rest
}: Parts['settings']): Generator<Finding> {
  const address = repositoryInForge({ giteaRepository, ...rest })
  const from = address !== null && 'fullName' in address ? ` from ${address.fullName}` : ''
  yield ok(
    'webhook',
    webhookSecret === null
      ? 'SAMOVAR_WEBHOOK_SECRET is not set: merges are found by polling alone'
      : `POST /hooks/gitea${from} is accepted when it is signed`,
  )
  yield ok(
    'diun',
    diunToken === null
      ? 'SAMOVAR_DIUN_TOKEN is not set: new versions are found by the sweep alone'
      : 'POST /hooks/diun is accepted with its token',
  )
}

const unfit = (sentence: string, next: string): SamovarError =>
  new SamovarError('forge-refused', sentence, { next })
