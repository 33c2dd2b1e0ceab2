import type { BootstrapStep, BootstrapWanted } from './bootstrap.ts'
import { protectedPaths } from './protection.ts'

/**
 * What Gitea does not say and people find out late. Pure.
 *
 * @param about `url` as Samovar reaches Gitea, `steps` that were done, or would be
 */
export function bootstrapNotes(about: {
  wanted: BootstrapWanted
  url: string
  steps: BootstrapStep[]
}): string[] {
  const { wanted, url, steps } = about
  const notes: string[] = []
  if (wanted.hookUrl !== null && isNear(wanted.hookUrl))
    notes.push(
      `By default Gitea calls public addresses only. ${hostOf(wanted.hookUrl)} looks like a private one. Set GITEA__webhook__ALLOWED_HOST_LIST=external,${hostOf(wanted.hookUrl)} for Gitea and restart it; keep what is already in that list. A refused call shows only under "Recent Deliveries" of the webhook.`,
    )
  if (wanted.approvals > 0)
    notes.push(
      `${wanted.approvals === 1 ? '1 approval is' : `${wanted.approvals} approvals are`} required, also of what \`policy: automatic\` proposes: ${wanted.bot} merges those by itself only after people approved them. An author cannot approve what is his own.`,
    )
  if (steps.some((step) => step.what === 'branch protection' && isDone(step)))
    notes.push(
      `To change a workflow: Settings, Branches, edit ${wanted.branch}, take ${protectedPaths.join(', ')} out of "Protected file patterns", merge, run bootstrap again.`,
    )
  if (isNear(url))
    notes.push(
      `Links to pull requests will begin with ${url}, which people may not reach. Set SAMOVAR_GITEA_URL to Gitea's ROOT_URL.`,
    )
  return [...notes, ...notesOfSecrets(wanted, steps)]
}

/** A daemon reads both when it starts. */
function notesOfSecrets(wanted: BootstrapWanted, steps: BootstrapStep[]): string[] {
  const token = steps.find((step) => step.what === 'token')
  const isInFileNow = wanted.token !== null && token !== undefined && isDone(token)
  return [
    ...(isInFileNow
      ? [
          `SAMOVAR_GITEA_TOKEN is no longer used: remove it from the daemon's environment, the new token is in ${wanted.tokenFile}.`,
        ]
      : []),
    ...(steps.some((step) => step.replacesSecret)
      ? ['The token or the webhook secret is new: restart the daemon.']
      : []),
  ]
}

const isDone = ({ result }: BootstrapStep): boolean => result === 'made' || result === 'changed'

const hostOf = (url: string): string => new URL(url).hostname.replaceAll(/^\[|\]$/g, '')

/** A name without a dot, one of a private zone, or a private or loopback address. */
function isNear(url: string): boolean {
  const host = hostOf(url)
  return (
    !/[.:]/.test(host) ||
    /\.(local|localhost|internal|lan|home|home\.arpa)$/i.test(host) ||
    /^(127|10)\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|^169\.254\./.test(host) ||
    /^(::1$|f[cd][0-9a-f]{2}:|fe80:)/i.test(host)
  )
}
