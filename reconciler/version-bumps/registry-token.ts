import type { registryLogin } from '../engine/registry-login.ts'
import { isSafe, type Registry, request, unreachable } from './registry-request.ts'

export type Login = Awaited<ReturnType<typeof registryLogin>>
type Challenge = { scheme: 'basic' | 'bearer'; realm: string; service: string }

/** The value of an Authorization header, and until when it can be used (milliseconds since 1970). */
export type Pass = { authorization: string; until: number }

const mostBytes = 256 * 1024

/**
 * Answers a 401: with the token that the registry's own token service gives for pulling one repository, or with the
 * login itself (Basic). A login goes to the address that the registry names, over https only; the token goes to
 * nobody but the registry.
 *
 * @param header WWW-Authenticate of the 401
 * @param repository path in the registry
 * @throws SamovarError `registry-unreachable` when the registry asks for something else or the login does not count
 */
export async function passFor(
  registry: Registry,
  about: { header: string; repository: string; login: Login },
): Promise<Pass> {
  const challenge = readChallenge(about.header)
  if (challenge === null)
    throw unreachable(registry, 'wants a login of a kind that Samovar does not know (status 401)')
  if (challenge.scheme === 'bearer') return await tokenFor(registry, challenge, about)
  const basic = basicOf(about.login)
  if (basic === null) throw loginWanted(registry)
  return { authorization: basic, until: Number.POSITIVE_INFINITY }
}

export const loginWanted = (registry: Registry): Error =>
  unreachable(registry, 'does not let this machine read the image (status 401 or 403)', {
    next: `\`docker login ${registry.name}\` as the user that Samovar runs as, and check the name of the image.`,
  })

async function tokenFor(
  registry: Registry,
  challenge: Challenge,
  about: { repository: string; login: Login },
): Promise<Pass> {
  const realm = URL.canParse(challenge.realm) ? new URL(challenge.realm) : null
  if (realm === null || !isSafe(registry, realm))
    throw unreachable(registry, 'names a token service that is not reached by https')
  const asked = { service: challenge.service, scope: `repository:${about.repository}:pull` }
  const answer = await request(registry, {
    ...questionFor(realm, asked, about.login),
    mostBytes,
    // A login must not follow wherever a redirect leads.
    follow: false,
  })
  if (answer.status === 401 || answer.status === 403) throw loginWanted(registry)
  if (answer.status !== 200) throw unreachable(registry, `gave no token (status ${answer.status})`)
  const { token, seconds } = readToken(answer.bytes)
  if (token === null) throw unreachable(registry, 'gave a token that cannot be read')
  // A little less than it says: it is used some time after it was asked for.
  return { authorization: `Bearer ${token}`, until: registry.now() + Math.max(0, seconds - 10) * 1000 }
}

function questionFor(realm: URL, asked: { service: string; scope: string }, login: Login) {
  if (login?.identitytoken === undefined) {
    const url = new URL(realm)
    for (const [name, value] of Object.entries(asked)) if (value !== '') url.searchParams.set(name, value)
    const basic = basicOf(login)
    return { method: 'GET' as const, url, headers: basic === null ? {} : { authorization: basic } }
  }
  const form = { grant_type: 'refresh_token', refresh_token: login.identitytoken, client_id: 'samovar' }
  return {
    method: 'POST' as const,
    url: realm,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ ...form, ...asked }).toString(),
  }
}

function basicOf(login: Login): string | null {
  if (login?.username === undefined || login.password === undefined) return null
  return `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`
}

/** Of several the token service is preferred, as the Docker client does. */
function readChallenge(header: string): Challenge | null {
  const text = header.slice(0, 4096)
  const bearer = /(?:^|,)\s*bearer\s+(.*)$/i.exec(text)?.[1]
  if (bearer === undefined)
    return /(?:^|,)\s*basic\b/i.test(text) ? { scheme: 'basic', realm: '', service: '' } : null
  const value = (name: string): string =>
    new RegExp(`(?:^|[\\s,])${name}=(?:"([^"]*)"|([^\\s,"]+))`, 'i').exec(bearer)?.slice(1).find(Boolean) ??
    ''
  return { scheme: 'bearer', realm: value('realm'), service: value('service') }
}

function readToken(bytes: Buffer): { token: string | null; seconds: number } {
  try {
    const said = JSON.parse(bytes.toString('utf8')) as Record<string, unknown> | null
    const token = said?.['token'] ?? said?.['access_token']
    const seconds = Number(said?.['expires_in'] ?? 60)
    const isToken = typeof token === 'string' && /^[\x21-\x7e]{1,20000}$/.test(token)
    return {
      token: isToken ? token : null,
      seconds: Number.isFinite(seconds) ? Math.min(seconds, 3600) : 60,
    }
  } catch {
    return { token: null, seconds: 0 }
  }
}
