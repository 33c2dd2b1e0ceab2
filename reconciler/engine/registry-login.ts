import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { dockerConfigFolder } from '../settings.ts'

type Login = { username?: string; password?: string; identitytoken?: string; serveraddress: string }
type DockerConfig = {
  auths?: Record<string, { auth?: string; identitytoken?: string }>
  credHelpers?: Record<string, string>
  credsStore?: string
}

/**
 * The login that `docker login` left for an image's registry, for the X-Registry-Auth header; undefined when there
 * is none, so the pull is anonymous. Credential helpers are asked as the Docker client does
 * (`docker-credential-NAME get`, the registry on standard input).
 *
 * @param image name with or without tag, as in `registry.example.com/team/app`
 */
export async function registryLogin(image: string): Promise<Login | undefined> {
  const config = await readConfig()
  const registry = registryOf(image)
  const keys =
    registry === 'docker.io'
      ? ['https://index.docker.io/v1/', 'docker.io']
      : [registry, `https://${registry}`]
  for (const key of keys) {
    const helper =
      config.credHelpers?.[key] ?? (config.auths?.[key] === undefined ? undefined : config.credsStore)
    if (helper !== undefined) return askHelper(helper, key)
    const entry = config.auths?.[key]
    if (entry?.identitytoken !== undefined) return { identitytoken: entry.identitytoken, serveraddress: key }
    if (entry?.auth !== undefined) {
      const [username = '', ...password] = Buffer.from(entry.auth, 'base64').toString('utf8').split(':')
      return { username, password: password.join(':'), serveraddress: key }
    }
  }
  return undefined
}

/** The first part of a name is a registry when it has a dot or a port or is `localhost` (Docker's own rule). */
export function registryOf(image: string): string {
  const [first = '', ...rest] = image.split('/')
  return rest.length > 0 && (first.includes('.') || first.includes(':') || first === 'localhost')
    ? first
    : 'docker.io'
}

async function readConfig(): Promise<DockerConfig> {
  const folder = dockerConfigFolder() ?? join(homedir(), '.docker')
  try {
    return JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as DockerConfig
  } catch {
    return {}
  }
}

function askHelper(helper: string, registry: string): Promise<Login | undefined> {
  return new Promise((resolve) => {
    const child = execFile(`docker-credential-${helper}`, ['get'], { timeout: 15_000 }, (error, output) => {
      if (error !== null) return resolve(undefined)
      const { Username, Secret } = parsed(output)
      if (Username === undefined || Secret === undefined) return resolve(undefined)
      resolve(
        Username === '<token>'
          ? { identitytoken: Secret, serveraddress: registry }
          : { username: Username, password: Secret, serveraddress: registry },
      )
    })
    // A helper that ends without reading is no reason for us to end.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(registry)
  })
}

/** Whatever a helper says: what is not a login with two texts is none. */
function parsed(output: string): { Username?: string; Secret?: string } {
  try {
    const said = JSON.parse(output) as { Username?: unknown; Secret?: unknown } | null
    const { Username, Secret } = said ?? {}
    return typeof Username === 'string' && typeof Secret === 'string' ? { Username, Secret } : {}
  } catch {
    return {}
  }
}
