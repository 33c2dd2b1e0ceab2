import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import { parseDuration } from './desired-state/quantities.ts'
import { SamovarError } from './errors.ts'
import { type MailAddress, type MailRoute, readMailAddress, readMailRoute } from './notify/mail-route.ts'
import { type OwnService, ownServiceOf } from './self-update/own-service.ts'
import { environmentText, readEnvironment } from './up/environment-file.ts'

/** A value that prints as `***` wherever it goes; only `reveal` gives it. */
export type Secret = { reveal(): string }

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export type Settings = {
  /** URL or path of the host repository. */
  repository: string
  branch: string
  /** Folder of the desired state in the repository. */
  directory: string
  /** Absolute. */
  stateDir: string
  /** Where containers find their secrets; best on a tmpfs. Absolute. */
  secretsDir: string
  listen: { host: string; port: number }
  /** Folder that the proxy mounts and looks in whether requests are to be held. Absolute. */
  holdDir: string
  giteaUrl: string | null
  giteaToken: Secret | null
  /** For `bootstrap` only: an administrator of Gitea, whose tokens would not do. */
  giteaAdmin: { user: string; password: Secret } | null
  /** Where `bootstrap` keeps what it makes. Absolute. */
  madeSecrets: { giteaToken: string; webhookSecret: string }
  /** `owner/name` of the host repository in Gitea; null: as the end of `repository` says. */
  giteaRepository: string | null
  /** Webhooks are refused as long as it is null. */
  webhookSecret: Secret | null
  /** Diun is refused as long as it is null. */
  diunToken: Secret | null
  /** Where people reach the HTTP server of Samovar, without a slash at its end; null: links to it are left out. */
  publicUrl: string | null
  dockerHost: string | undefined
  /** How mail leaves the host, and from whom; null: no mail is sent. */
  mail: { route: MailRoute; from: MailAddress } | null
  /** Address of another S3 server than AWS, or null. */
  s3Endpoint: string | null
  /** 32 bytes: parts of backups are encrypted with it when it is there. */
  backupKey: Secret | null
  /** Milliseconds without any progress after which a store counts as failed. */
  storeTimeoutMs: number
  logLevel: LogLevel
  /** How Samovar itself is installed and started. */
  ownService: OwnService
  /** For the programs Samovar runs: Git picks PATH, proxies and certificates from it. */
  environment: Record<string, string | undefined>
  /** For `env:NAME` references in host.yaml. */
  lookup: (name: string) => string | undefined
}

export function secretOf(value: string): Secret {
  return {
    reveal: () => value,
    toString: () => '***',
    toJSON: () => '***',
    [inspect.custom]: () => '***',
  } as Secret
}

/**
 * The settings, from the environment; the only reader of it. Every problem is reported at once.
 *
 * @param needs what the verb cannot do without; `repository` may be missing for `validate` and `status`. With
 * `makesSecrets` the files of the Gitea token, of the webhook secret and of the token of Diun may still be missing
 * @throws SamovarError `settings-invalid` that lists all problems
 */
export function readSettings(
  needs: { repository: boolean; makesSecrets?: boolean },
  environment: Record<string, string | undefined> = process.env,
): Settings {
  const problems: string[] = []
  const text = (name: string, otherwise: string): string => environment[name] || otherwise
  const secret = (name: string): Secret | null => {
    const value = secretText(environment, name, problems)
    return value === undefined ? null : secretOf(value)
  }
  const madeSecret = (name: string): Secret | null => {
    const file = environment[`${name}_FILE`]
    const isToBeMade = needs.makesSecrets === true && file !== undefined && !existsSync(file)
    return isToBeMade ? null : secret(name)
  }
  const stateDir = stateFolder(environment)
  const repository = text('SAMOVAR_REPOSITORY', '')
  if (needs.repository && repository === '')
    problems.push('SAMOVAR_REPOSITORY is not set; expected the URL or path of the host repository')
  const giteaUrl = text('SAMOVAR_GITEA_URL', '')
  if (giteaUrl !== '' && !/^https?:\/\//.test(giteaUrl))
    problems.push(`SAMOVAR_GITEA_URL is "${giteaUrl}"; expected a URL such as https://git.example.com`)
  const publicUrl = text('SAMOVAR_PUBLIC_URL', '').replace(/\/+$/, '')
  if (publicUrl !== '' && !/^https?:\/\//.test(publicUrl))
    problems.push(`SAMOVAR_PUBLIC_URL is "${publicUrl}"; expected a URL such as https://samovar.example.com`)
  const giteaRepository = text('SAMOVAR_GITEA_REPOSITORY', '')
  if (giteaRepository !== '' && !/^[\w.-]+\/[\w.-]+$/.test(giteaRepository))
    problems.push(`SAMOVAR_GITEA_REPOSITORY is "${giteaRepository}"; expected OWNER/NAME such as ops/host`)
  const s3Endpoint = text('SAMOVAR_S3_ENDPOINT', '')
  if (s3Endpoint !== '' && !/^https?:\/\//.test(s3Endpoint))
    problems.push(`SAMOVAR_S3_ENDPOINT is "${s3Endpoint}"; expected a URL such as https://s3.example.com`)
  const settings: Settings = {
    repository,
    branch: text('SAMOVAR_BRANCH', 'main'),
    directory: text('SAMOVAR_DIRECTORY', 'desired-state'),
    stateDir,
    secretsDir: resolve(text('SAMOVAR_SECRETS_DIR', join(stateDir, 'secrets'))),
    holdDir: resolve(text('SAMOVAR_HOLD_DIR', join(stateDir, 'hold'))),
    listen: listenOf(text('SAMOVAR_LISTEN', '127.0.0.1:9797'), problems),
    giteaUrl: giteaUrl === '' ? null : giteaUrl.replace(/\/+$/, ''),
    giteaToken: madeSecret('SAMOVAR_GITEA_TOKEN'),
    giteaAdmin: adminOf(text('SAMOVAR_GITEA_ADMIN_USER', ''), environment, problems),
    madeSecrets: {
      giteaToken: resolve(text('SAMOVAR_GITEA_TOKEN_FILE', join(stateDir, 'gitea-token'))),
      webhookSecret: resolve(text('SAMOVAR_WEBHOOK_SECRET_FILE', join(stateDir, 'webhook-secret'))),
    },
    giteaRepository: giteaRepository === '' ? null : giteaRepository,
    webhookSecret: madeSecret('SAMOVAR_WEBHOOK_SECRET'),
    diunToken: madeSecret('SAMOVAR_DIUN_TOKEN'),
    publicUrl: publicUrl === '' ? null : publicUrl,
    mail: mailOf(environment, problems),
    dockerHost: environment['DOCKER_HOST'] || undefined,
    s3Endpoint: s3Endpoint === '' ? null : s3Endpoint,
    backupKey: backupKeyOf(secret('SAMOVAR_BACKUP_KEY'), problems),
    storeTimeoutMs: storeTimeoutOf(text('SAMOVAR_STORE_TIMEOUT', '60s'), problems),
    logLevel: levelOf(text('LOG_LEVEL', 'info'), problems),
    ownService: ownServiceOf(environment),
    environment,
    lookup: (name) => environment[name],
  }
  if (problems.length > 0) throw new SamovarError('settings-invalid', problems.join('\n'))
  return settings
}

/**
 * Puts what the file that SAMOVAR_ENVIRONMENT_FILE names says below the environment of this process, for all that reads it
 * (the AWS SDK, Git). NAME there gives way to NAME_FILE here, too. A file that is not there says nothing.
 *
 * @returns whether Node has to be started again: it reads what is its own only then
 * @throws SamovarError `settings-invalid` when the file cannot be read
 */
export function takeEnvironmentFile(): boolean {
  const file = process.env['SAMOVAR_ENVIRONMENT_FILE']
  if (!file) return false
  const sibling = (name: string) => (name.endsWith('_FILE') ? name.slice(0, -'_FILE'.length) : `${name}_FILE`)
  const isHere = (name: string) => process.env[name] !== undefined
  const taken = Object.entries(readEnvironment(environmentText(file))).filter(
    ([name]) => !isHere(name) && !isHere(sibling(name)),
  )
  Object.assign(process.env, Object.fromEntries(taken))
  return taken.some(([name]) => name.startsWith('NODE_'))
}

/** The whole environment of this process. */
export const wholeEnvironment = (): Record<string, string | undefined> => ({ ...process.env })

/** What this process was started with, over values from elsewhere. */
export const environmentOver = (values: Record<string, string>): Record<string, string | undefined> => ({
  ...values,
  ...process.env,
})

/** Absolute. Asked for by itself before anything else is loaded. */
export const stateFolder = (environment: Record<string, string | undefined> = process.env): string =>
  resolve(environment['SAMOVAR_STATE_DIR'] || '/var/lib/samovar')

/** Manifests never change, so each is read from a store once; may be deleted. */
export const manifestCache = (stateDir: string): string => join(stateDir, 'manifests')

/** NAME, or the content of the file that NAME_FILE names. */
function secretText(
  environment: Record<string, string | undefined>,
  name: string,
  problems: string[],
): string | undefined {
  const file = environment[`${name}_FILE`]
  if (file === undefined || file === '') return environment[name] || undefined
  if (environment[name]) problems.push(`${name} and ${name}_FILE are both set; expected one of them`)
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    problems.push(
      `${name}_FILE names ${file}, which cannot be read (${(error as NodeJS.ErrnoException).code})`,
    )
    return undefined
  }
}

function adminOf(
  user: string,
  environment: Record<string, string | undefined>,
  problems: string[],
): Settings['giteaAdmin'] {
  const name = 'SAMOVAR_GITEA_ADMIN_PASSWORD'
  const before = problems.length
  const password = secretText(environment, name, problems)
  if (user !== '' && password) return { user, password: secretOf(password) }
  // A file that cannot be read was told already.
  const isTold = problems.length > before
  if (user !== '' && !isTold) problems.push(`SAMOVAR_GITEA_ADMIN_USER is set, but ${name} (or _FILE) is not`)
  if (password) problems.push(`${name} (or _FILE) is set, but SAMOVAR_GITEA_ADMIN_USER is not`)
  return null
}

/** SMTP_URL and SMTP_FROM belong together. */
function mailOf(environment: Record<string, string | undefined>, problems: string[]): Settings['mail'] {
  const before = problems.length
  const url = secretText(environment, 'SMTP_URL', problems)
  const from = environment['SMTP_FROM'] || undefined
  if (url === undefined) {
    if (from !== undefined && problems.length === before)
      problems.push('SMTP_FROM is set, but SMTP_URL (or _FILE) is not')
    return null
  }
  const address = readMailAddress(from ?? '')
  if (address === null)
    problems.push(
      from === undefined
        ? 'SMTP_URL is set, but SMTP_FROM is not; expected the address that mails come from'
        : `SMTP_FROM is "${from}"; expected an address such as samovar@example.com or Samovar <samovar@example.com>`,
    )
  const awsKey = url.startsWith('ses+smtp:') ? awsKeyOf(environment, problems) : null
  const route = readMailRoute(url, {
    awsKey,
    isTemporary: Boolean(environment['AWS_SESSION_TOKEN']),
    sesEndpoint: environment['SAMOVAR_SES_ENDPOINT'] || null,
    hide: secretOf,
  })
  if ('problem' in route) problems.push(route.problem)
  return 'problem' in route || address === null ? null : { route, from: address }
}

function awsKeyOf(
  environment: Record<string, string | undefined>,
  problems: string[],
): { id: string; secret: string } | null {
  const id = environment['AWS_ACCESS_KEY_ID']
  const secret = secretText(environment, 'AWS_SECRET_ACCESS_KEY', problems)
  return id && secret ? { id, secret } : null
}

/** Base64 or hexadecimal of 32 bytes, as `openssl rand -base64 32` prints them. */
function backupKeyOf(key: Secret | null, problems: string[]): Secret | null {
  if (key === null) return null
  const text = key.reveal()
  const isKey = /^[0-9a-f]{64}$/i.test(text) || /^[A-Za-z0-9+/]{43}=$/.test(text)
  if (!isKey) problems.push('SAMOVAR_BACKUP_KEY is not a key; expected what `openssl rand -base64 32` prints')
  return key
}

function storeTimeoutOf(text: string, problems: string[]): number {
  const milliseconds = parseDuration(text)
  if (milliseconds === null || milliseconds === 0)
    problems.push(`SAMOVAR_STORE_TIMEOUT is "${text}"; expected a duration such as 60s`)
  return milliseconds ?? 60_000
}

function listenOf(text: string, problems: string[]): Settings['listen'] {
  const match = /^\[?([^\]]*?)\]?:(\d+)$/.exec(text)
  const port = Number(match?.[2])
  if (match === null || port > 65_535) {
    problems.push(`SAMOVAR_LISTEN is "${text}"; expected an address and a port such as 127.0.0.1:9797`)
    return { host: '127.0.0.1', port: 9797 }
  }
  return { host: match[1] ?? '', port }
}

function levelOf(text: string, problems: string[]): LogLevel {
  if (text === 'debug' || text === 'info' || text === 'warn' || text === 'error') return text
  problems.push(`LOG_LEVEL is "${text}"; expected debug, info, warn or error`)
  return 'info'
}

/** DOCKER_CONFIG as the Docker client reads it. */
export const dockerConfigFolder = (): string | undefined => process.env['DOCKER_CONFIG']

/** NO_COLOR as https://no-color.org describes it. */
export const colourWanted = (): boolean => !process.env['NO_COLOR']
