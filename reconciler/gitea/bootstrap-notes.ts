import type { BootstrapWanted } from './bootstrap.ts'
import { protectedPaths } from './protection.ts'

/**
 * What Gitea does not say and people find out late. Pure.
 *
 * @param about `version` as Gitea tells it, `url` as Samovar reaches it
 */
export function bootstrapNotes(about: { wanted: BootstrapWanted; version: string; url: string }): string[] {
  const { wanted, version, url } = about
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const notes: string[] = []
  if (wanted.hookUrl !== null && isNear(wanted.hookUrl))
    notes.push(
      `Gitea calls public addresses only until it is told otherwise, and says so nowhere but under "recent deliveries" of the hook. ${hostOf(wanted.hookUrl)} looks like a private one: set GITEA__webhook__ALLOWED_HOST_LIST=${hostOf(wanted.hookUrl)} for Gitea.`,
    )
  if (wanted.approvals > 0)
    notes.push(
      `${wanted.approvals} approvals are required, also of what \`policy: automatic\` proposes: ${wanted.bot} merges those by itself only after people approved them. An author cannot approve what is his own.`,
    )
  notes.push(
    `Nobody can merge a change of ${protectedPaths.join(', ')} into ${wanted.branch} as long as the branch protection names it: lift that line for the moment it takes.`,
  )
  if ((major > 1 || minor >= 26) && isNear(url))
    notes.push(
      `Gitea ${version} writes links as it was called, so Samovar's may begin with ${url}: set GITEA__server__PUBLIC_URL_DETECTION=never for Gitea.`,
    )
  return notes
}

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
