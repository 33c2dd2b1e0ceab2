import { isIP } from 'node:net'
import { CronExpressionParser } from 'cron-parser'
import { parseDuration } from './quantities.ts'
import { judgeTagPattern } from './tag-pattern.ts'
import { nearest, quoted } from './wording.ts'

/** Judges one text: what is wrong with it, or null. The schemas name these as `format`. */
export type Judgement = (text: string) => string | null

/** The formats of schemas/*.json. Editors ignore the names they do not know, ajv uses these. */
export const formats: Record<string, Judgement> = {
  'duration-or-zero': (text) => (parseDuration(text) === null ? 'is not a duration' : null),
  'positive-duration': judgePositiveDuration,
  cron: judgeCron,
  'time-zone': judgeTimeZone,
  'host-name': (text) =>
    /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i.test(text) && !text.includes('..')
      ? null
      : 'is not a host name',
  'service-name': (text) => (isServiceName(text) ? null : 'is not the name of a Compose service'),
  'repository-path': judgeRepositoryPath,
  'absolute-path': (text) => (isAbsolutePath(text) ? null : 'is not an absolute path'),
  'any-path': (text) => (text.startsWith('/') ? judgeAbsolutePath(text) : judgeRepositoryPath(text)),
  'variable-name': judgeVariableName,
  'secret-reference': judgeSecretReference,
  'image-name': judgeImageName,
  'image-tag': judgeImageTag,
  'tag-pattern': judgeTagPattern,
  'http-url': judgeUrl,
  'host-and-port': (text) => (splitHostAndPort(text) === null ? 'is not host:port' : null),
  'mail-address': (text) => (/^[^\s@,;<>]+@[^\s@,;<>]+$/u.test(text) ? null : 'is not a mail address'),
}

/** Compose's own rule for names, without a leading dot, dash or underscore. */
export function isServiceName(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/.test(text)
}

/** `127.0.0.1:22`, `git.example.com:443` or `[::1]:22` in its parts; null when it is none of these. */
export function splitHostAndPort(text: string): { host: string; port: number } | null {
  const parts = /^(?:\[([^\]]+)\]|([^\s:/@[\]]+)):(\d{1,5})$/.exec(text)
  if (parts === null) return null
  const port = Number(parts[3])
  if (port < 1 || port > 65_535) return null
  if (parts[1] !== undefined) return isIP(parts[1]) === 6 ? { host: parts[1], port } : null
  return { host: parts[2] ?? '', port }
}

function judgePositiveDuration(text: string): string | null {
  const milliseconds = parseDuration(text)
  if (milliseconds === null) return 'is not a duration'
  return milliseconds === 0 ? 'is no time at all' : null
}

/** Only what every cron understands: numbers, names, lists, ranges and steps; no seconds, no @daily, no L or #. */
function judgeCron(text: string): string | null {
  const fields = text.trim().split(/[ \t]+/)
  if (fields.length !== 5)
    return `has ${fields.length} field${fields.length === 1 ? '' : 's'} instead of five`
  const names = /^(?:\*|\d{1,2}|[a-z]{3})(?:-(?:\d{1,2}|[a-z]{3}))?(?:\/\d{1,2})?$/i
  const unread = fields.flatMap((field) => field.split(',')).find((part) => !names.test(part))
  if (unread !== undefined) return `has a part that cannot be read: ${quoted(unread)}`
  try {
    CronExpressionParser.parse(fields.join(' '), { tz: 'UTC' }).next()
    return null
  } catch {
    return 'is not a time that ever comes'
  }
}

function judgeTimeZone(text: string): string | null {
  try {
    // An offset such as +02:00 would be accepted too, but it knows no daylight saving time.
    if (!/^[A-Za-z]/.test(text)) throw new RangeError(text)
    new Intl.DateTimeFormat('en', { timeZone: text })
    return null
  } catch {
    const meant = nearest(text, Intl.supportedValuesOf('timeZone'))
    return `is not a time zone${meant === null ? '' : ` (did you mean ${meant}?)`}`
  }
}

function isAbsolutePath(text: string): boolean {
  return judgeAbsolutePath(text) === null
}

function judgeAbsolutePath(text: string): string | null {
  if (!text.startsWith('/') || text.includes('\0')) return 'is not an absolute path'
  return text.split('/').includes('..') ? 'contains ..' : null
}

/** A path that stays inside: relative, with forward slashes, without `..`. */
function judgeRepositoryPath(text: string): string | null {
  if (text === '' || text.includes('\0')) return 'is not a path'
  if (text.startsWith('/') || /^[a-z]+:\/\//i.test(text)) return 'leaves the repository'
  if (text.includes('\\')) return 'contains a backslash'
  const parts = text.split('/')
  if (parts.includes('..')) return 'leaves the repository (..)'
  return parts.includes('.git') ? 'lies in .git' : null
}

/** These would change what Docker or the shell does, not what the Compose files say. */
const reservedNames = /^(PATH|HOME|PWD|TMPDIR|(DOCKER|COMPOSE|BUILDX|BUILDKIT|LD|XDG)_.*|__proto__)$/i

function judgeVariableName(text: string): string | null {
  if (text.startsWith('x-')) return null
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(text)) return 'is not the name of a variable'
  return reservedNames.test(text) ? 'is reserved: it would steer Docker or Compose itself' : null
}

function judgeSecretReference(text: string): string | null {
  const kind = /^(env|file|aws-sm):/.exec(text)?.[1]
  if (kind === undefined) return 'is not a reference to a secret'
  const rest = text.slice(kind.length + 1)
  if (kind === 'env')
    return /^[A-Za-z_][A-Za-z0-9_]*$/.test(rest) ? null : 'names no environment variable after env:'
  if (kind === 'file') return isAbsolutePath(rest) ? null : 'names no absolute path after file:'
  return /^[\w/+=.@!:-]+(#[^#\s]+)?$/.test(rest) ? null : 'names no secret after aws-sm:'
}

/** A repository as Docker takes it: an optional registry with port, then lower-case parts. */
function judgeImageName(text: string): string | null {
  if (text.includes('@')) return 'has a digest, which belongs in `digest`'
  const last = text.slice(text.lastIndexOf('/') + 1)
  if (last.includes(':')) return 'has a tag, which belongs in `tag`'
  if (/^https?:\/\//.test(text)) return 'is a web address'
  const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
  const registry =
    '(?:localhost|[a-zA-Z0-9-]+(?:\\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9-]+(?=:)|\\[[0-9a-fA-F:]+\\])(?::\\d{1,5})?/'
  const isImage = new RegExp(`^(?:${registry})?${component}(?:/${component})*$`).test(text)
  return isImage && text.length <= 255 ? null : 'is not the name of an image'
}

function judgeImageTag(text: string): string | null {
  if (text.startsWith('sha256:')) return 'is a digest, which belongs in `digest`'
  return /^\w[\w.-]{0,127}$/.test(text) ? null : 'is not a tag'
}

/** `{tag}` may stand anywhere; a password may not, since addresses end in logs and reports. */
function judgeUrl(text: string): string | null {
  const filled = text.replaceAll('{tag}', '1')
  if (/[\s{}]/.test(filled)) return 'is not a web address (only {tag} can stand in braces)'
  const url = URL.canParse(filled) ? new URL(filled) : null
  if (url === null || !/^https?:\/\//i.test(text)) return 'is not a web address (http:// or https://)'
  return url.username === '' && url.password === ''
    ? null
    : 'has a name or password in it, which would end in logs'
}
