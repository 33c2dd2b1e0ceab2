import { resolve } from 'node:path'
import { SamovarError } from '../errors.ts'

/** Where a repository is, without anything secret: safe for arguments, files and messages. */
export type RepositoryAddress = {
  url: string
  /** User name for HTTP when the address named one. */
  user: string | null
  /** Password that stood in the address; it goes to Git only through the environment. */
  password: string | null
}

const schemes = ['file:', 'http:', 'https:', 'ssh:']

/**
 * Reads SAMOVAR_REPOSITORY: a URL (file, http, https, ssh), `user@host:path`, or a path. User and password of an HTTP
 * address are taken out of it.
 * @throws `settings-invalid` for any other protocol, such as Git's `ext::`, which runs programs.
 */
export function readAddress(repository: string): RepositoryAddress {
  if (repository === '' || repository.startsWith('-') || /^[\w+.-]+::/.test(repository)) throw refused()
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(repository)) {
    const copyStyle = /^[^/:]+:/.test(repository)
    return { url: copyStyle ? repository : resolve(repository), user: null, password: null }
  }
  if (!URL.canParse(repository)) throw refused()
  const url = new URL(repository)
  if (!schemes.includes(url.protocol)) throw refused()
  if (url.protocol === 'ssh:') url.password = ''
  if (!url.protocol.startsWith('http')) return { url: url.href, user: null, password: null }
  const user = decodeURIComponent(url.username)
  const password = decodeURIComponent(url.password)
  url.username = ''
  url.password = ''
  return { url: url.href, user: user === '' ? null : user, password: password === '' ? null : password }
}

function refused(): SamovarError {
  return new SamovarError(
    'settings-invalid',
    'SAMOVAR_REPOSITORY is not an address that Samovar can fetch from: expected https://..., http://..., ssh://..., user@host:path, file://... or a path',
  )
}

/**
 * The HTTP header that logs in, or null. Gitea takes the token as the password of any user name.
 * Source: routers/web/repo/githttp.go and services/auth/basic.go of Gitea.
 */
export function loginHeader(address: RepositoryAddress, token: string | undefined): string | null {
  if (!address.url.startsWith('http')) return null
  const password = token ?? address.password
  if (password === null) return address.user === null ? null : basic(address.user, '')
  return basic(address.user ?? 'samovar', password)
}

function basic(user: string, password: string): string {
  return `Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}
