import { randomBytes } from 'node:crypto'
import type { BackupClass, VerifyLevel } from './manifest.ts'

/** Where the objects of one backup lie. */
export type BackupPlace = { host: string; class: BackupClass; id: string }

/** What a key of ours says. */
export type ParsedKey = BackupPlace & { name: string }

export const backupClasses: readonly BackupClass[] = [
  'scheduled',
  'before-update',
  'manual',
  'before-restore',
]
export const manifestName = 'manifest.json'

const idForm = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-(\d{4,12})-[0-9a-f]{6}$/
const hostForm = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,198}[A-Za-z0-9])?$/
/** Objects of a backup: one folder deep, no name that a file system or a person would read another way. */
const nameForm = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$/
const verdictForm = /^verified-(\d{8}T\d{6}Z)-([012])\.json$/

/**
 * `20261122T021400Z-0007-9f3c1a`. Ids sort by time and then by number; the random end keeps two hosts that share a
 * name, or a host whose journal was lost, from writing under each other's keys.
 *
 * @param now milliseconds since 1970
 * @param number of the backup on this host, from the journal
 */
export function newBackupId(now: number, number: number): string {
  return `${compactTime(now)}-${String(number).padStart(4, '0')}-${randomBytes(3).toString('hex')}`
}

/** When a backup was begun, milliseconds since 1970; null for what is no id. */
export function timeOfId(id: string): number | null {
  const parts = idForm.exec(id)
  if (parts === null) return null
  const [year = 0, month = 0, ...rest] = parts.slice(1, 7).map(Number)
  const time = Date.UTC(year, month - 1, ...rest)
  return id.startsWith(compactTime(time)) ? time : null
}

/** For sorting: the newest first, and of one second the higher number. */
export function newestFirst(one: { id: string }, other: { id: string }): number {
  return (
    (timeOfId(other.id) ?? 0) - (timeOfId(one.id) ?? 0) ||
    numberOf(other.id) - numberOf(one.id) ||
    (one.id < other.id ? 1 : one.id > other.id ? -1 : 0)
  )
}

const numberOf = (id: string): number => Number(idForm.exec(id)?.[7] ?? 0)

/** `v1/git.example.com/`: everything that a host keeps in a store. */
export const prefixOfHost = (host: string): string => `v1/${safe('host', host, hostForm)}/`

/** `v1/git.example.com/scheduled/20261122T021400Z-0007-9f3c1a`: its objects lie below this. */
export function keyOfBackup({ host, class: kind, id }: BackupPlace): string {
  return `${prefixOfHost(host)}${kind}/${safe('id', id, idForm)}`
}

/** The key of one object of a backup. */
export const keyOf = (backup: BackupPlace, name: string): string =>
  `${keyOfBackup(backup)}/${safe('name', name, nameForm)}`

/** What a key names, or null when it is none of ours: what others keep in the same place is left alone. */
export function parseKey(key: string): ParsedKey | null {
  const [version, host = '', kind, id = '', name = '', ...more] = key.split('/')
  const known = backupClasses.find((each) => each === kind)
  if (version !== 'v1' || known === undefined || more.length > 0) return null
  if (!hostForm.test(host) || timeOfId(id) === null || !nameForm.test(name)) return null
  return { host, class: known, id, name }
}

/** True for what may be the object of a part: a name of its own, one folder deep. */
export const isPartName = (name: string): boolean =>
  nameForm.test(name) && name !== manifestName && parseVerdictName(name) === null

/** What the name of a verification says: `verified-20261122T050000Z-2.json`; null for any other object. */
export function parseVerdictName(name: string): { at: string; level: VerifyLevel } | null {
  const parts = verdictForm.exec(name)
  return parts === null ? null : { at: parts[1] ?? '', level: Number(parts[2]) as VerifyLevel }
}

/** `20261122T021400Z`, to the second. */
export const compactTime = (moment: number): string =>
  new Date(moment).toISOString().replaceAll(/[-:]|\.\d+/g, '')

/** The desired state and the journal are judged before; this is the last look before it becomes a path. */
function safe(what: string, text: string, form: RegExp): string {
  if (!form.test(text) || text.includes('..'))
    throw new Error(`${JSON.stringify(text)} cannot stand in the key of a backup (${what})`)
  return text
}
