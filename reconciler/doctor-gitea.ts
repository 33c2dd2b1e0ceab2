import type { Host } from './desired-state.ts'
import { check, type Finding, ok } from './doctor-finding.ts'
import { SamovarError } from './errors.ts'
import type { Forge } from './gitea/forge.ts'
import { repositoryInForge } from './gitea/forge-address.ts'
import type { Settings } from './settings.ts'

/**
 * What Samovar says to Gitea needs, and what it hears from it. Nothing is written there.
 *
 * @param about.forge may throw SamovarError, which is a finding
 * @param about.host null when it cannot be read
 */
export async function* examineGitea(
  settings: Settings,
  about: { forge: () => Forge | null; host: Host | null },
): AsyncGenerator<Finding> {
  let forge: Forge | null = null
  const there = await check(
    'gitea',
    (said) => said,
    async () => {
      forge = about.forge()
      if (forge === null) return 'not used: SAMOVAR_GITEA_URL or SAMOVAR_GITEA_TOKEN is not set'
      const [version, login] = [await forge.version(), await forge.login()]
      return `Gitea ${version} at ${settings.giteaUrl ?? ''}, as ${login}`
    },
  )
  yield there
  if (forge === null || !there.ok) return
  yield await repository(forge, settings)
  yield webhook(settings)
  yield versions(settings, about.host)
}

async function repository(forge: Forge, settings: Settings): Promise<Finding> {
  return check(
    'gitea repository',
    (fullName) => `${fullName}: statuses, comments and pull requests may be written`,
    async () => {
      const { fullName, archived, permissions } = await forge.repository()
      const wanted = nameOf(settings)
      // Calls are redirected to the new name; webhooks carry it, and are taken for those of another repository.
      if (wanted !== null && wanted.toLowerCase() !== fullName.toLowerCase())
        throw unfit(
          `${wanted} is called ${fullName} in Gitea, so its webhooks are not heard`,
          settings.giteaRepository === null
            ? 'Set SAMOVAR_REPOSITORY to its address now.'
            : `Set SAMOVAR_GITEA_REPOSITORY to ${fullName}, and SAMOVAR_REPOSITORY to its address now.`,
        )
      if (archived) throw unfit(`${fullName} is archived`, 'Take it out of the archive in Gitea.')
      if (!permissions.push)
        throw unfit(
          `the account of SAMOVAR_GITEA_TOKEN may not write to ${fullName}`,
          'Run `samovar bootstrap`, or make it a collaborator who may write.',
        )
      return fullName
    },
  )
}

function nameOf(settings: Settings): string | null {
  const address = repositoryInForge(settings)
  return address !== null && 'fullName' in address ? address.fullName : null
}

function webhook(settings: Settings): Finding {
  const name = nameOf(settings)
  const from = name === null ? '' : ` from ${name}`
  const said =
    settings.webhookSecret === null
      ? 'SAMOVAR_WEBHOOK_SECRET is not set: merges are found by polling alone'
      : `POST /hooks/gitea${from} is accepted when it is signed`
  return ok('webhook', said)
}

/** How new versions are heard of. Nobody needs to want that, so it is no problem when they are not. */
function versions({ diunToken }: Settings, host: Host | null): Finding {
  const isSwept = host !== null && host.bumps.sweep !== null
  if (diunToken !== null) {
    const lost = host === null || isSwept ? '' : '; without bumps.sweep an event that is lost stays lost'
    return ok('diun', `POST /hooks/diun is accepted with its token${lost}`)
  }
  if (isSwept) return ok('diun', 'SAMOVAR_DIUN_TOKEN is not set: new versions are found by the sweep alone')
  if (host === null) return ok('diun', 'SAMOVAR_DIUN_TOKEN is not set')
  return {
    name: 'diun',
    ok: true,
    said: 'neither bumps.sweep nor SAMOVAR_DIUN_TOKEN is set: new versions are not looked for',
    next: 'to be told of them, add bumps: { sweep: "20 */6 * * *" } to host.yaml',
  }
}

const unfit = (sentence: string, next: string): SamovarError =>
  new SamovarError('forge-refused', sentence, { next })
