import { parseVersion } from './version.ts'

const longest = 500
const labels = ['source', 'url', 'documentation'].map((name) => `org.opencontainers.image.${name}`)

/**
 * Where the release notes of a tag are: the template of the policy, else what the labels of the image name. Labels are
 * anybody's text, so only an https address without a login comes out, in a form that cannot break out of Markdown.
 *
 * @param template `update.releaseNotes`, with `{tag}` and `{version}` (without a leading v and without the suffix)
 * @returns null when there is none that can be shown
 */
export function releaseNotesLink(
  tag: string,
  from: { template: string | null; labels: Record<string, string> },
): string | null {
  if (from.template !== null) {
    const version = versionOf(tag)
    return checked(from.template.replaceAll('{tag}', tag).replaceAll('{version}', version))
  }
  for (const name of labels) {
    const link = checked(from.labels[name] ?? '')
    if (link === null) continue
    const version = from.labels['org.opencontainers.image.version'] ?? ''
    return releasesOf(link, parseVersion(version) === null ? tag : version)
  }
  return null
}

function versionOf(tag: string): string {
  const { prefix = '', suffix = '' } = parseVersion(tag) ?? {}
  return tag.slice(prefix.length, tag.length - suffix.length)
}

/**
 * The releases of a repository on GitHub, searched for the version: whether its Git tag has a v nobody knows from here.
 * Everywhere else the address as it is.
 */
function releasesOf(link: string, version: string): string {
  const repository = /^https:\/\/github\.com\/([\w.-]+)\/([\w.-]+?)(?:\.git)?\/?(?:[#?/].*)?$/.exec(link)
  if (repository === null) return link
  const [, owner, name] = repository
  const search = new URLSearchParams({ q: versionOf(version), expanded: 'true' })
  return `https://github.com/${owner}/${name}/releases?${search.toString()}`
}

function checked(text: string): string | null {
  if (text.length > longest || !URL.canParse(text)) return null
  const url = new URL(text)
  if (url.protocol !== 'https:' || url.username !== '' || url.password !== '') return null
  // What URL leaves as it is, but Markdown does not.
  const escaped = url.href.replace(
    /[()[\]<>"'`|\\*~!]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return escaped.length > 2 * longest ? null : escaped
}
