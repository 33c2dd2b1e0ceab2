/** Where the host repository is in Gitea. `url` is Gitea's, without a slash at its end; `fullName` is `owner/name`. */
export type ForgeAddress = { url: string; fullName: string }

export type AddressSettings = {
  giteaUrl: string | null
  giteaRepository: string | null
  repository: string
}

/**
 * The host repository as Gitea knows it: SAMOVAR_GITEA_REPOSITORY, or the last two parts of SAMOVAR_REPOSITORY when that
 * is an address on the network. Gitea may be reached by another name than Git uses, so hosts are not compared.
 *
 * @returns null without SAMOVAR_GITEA_URL (nothing is said to Gitea then), or the problem as a sentence
 */
export function repositoryInForge(settings: AddressSettings): ForgeAddress | null | { problem: string } {
  if (settings.giteaUrl === null) return null
  const url = settings.giteaUrl.replace(/\/+$/, '')
  const fullName = settings.giteaRepository ?? ownerAndName(settings.repository)
  if (fullName !== null) return { url, fullName }
  return {
    problem:
      'SAMOVAR_GITEA_URL is set, but SAMOVAR_REPOSITORY does not end in OWNER/NAME: set SAMOVAR_GITEA_REPOSITORY to OWNER/NAME such as ops/host',
  }
}

/** The last two parts of an address on the network, without `.git`; null when they cannot be owner and name. */
export function ownerAndName(repository: string): string | null {
  const path = pathOf(repository)
  const parts = (path ?? '')
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
    .split('/')
    .filter((part) => part !== '')
  const [owner, name] = parts.slice(-2)
  const areNames = [owner, name].every((part) => /^[\w.-]+$/.test(part ?? ''))
  return areNames ? `${owner}/${name}` : null
}

/** Of `https://host/path`, `ssh://host/path` and `user@host:path`; null for a folder. */
function pathOf(repository: string): string | null {
  if (/^(https?|ssh):\/\//i.test(repository))
    return URL.canParse(repository) ? new URL(repository).pathname : null
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(repository)) return null
  return /^[^/:]+:(?!:)(.+)$/.exec(repository)?.[1] ?? null
}
