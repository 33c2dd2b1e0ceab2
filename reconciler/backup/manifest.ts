/**
 * What a backup is made of. Written last: a backup exists when its manifest exists (promise 4 of docs/backup.md).
 * Nothing secret is in it. Keys: `v1/<host>/<class>/<id>/<part>`, then `manifest.json`; what `verify` found goes
 * beside it as `verified-<utc>-<level>.json`.
 */
export type Manifest = {
  schema: 1
  /** `<utc>-<seq>-<random>`: `20261122T021400Z-0007-9f3c1a`; sorts by time, then by sequence. */
  id: string
  host: string
  class: BackupClass
  /** Services whose data it is. */
  services: string[]
  /** The operation of the journal that took it. */
  operation: string
  /** Commit that was in force. */
  commit: string
  /** The backup of the same services before this one, or null. */
  previous: string | null
  /** ISO 8601, UTC. */
  startedAt: string
  finishedAt: string
  /** The moment the data is from: database snapshot and files. ISO 8601, UTC. */
  dataFrom: string
  consistency: Consistency
  /** Service -> what ran when it was taken, and the commit it was rolled out from; that may be an older one. */
  images: Record<string, { name: string; tag: string; digest: string; commit?: string }>
  /** Versions of what made it: `samovar`, `node`, and `pg_dump` by its own words. */
  tools: Record<string, string>
  encryption: Encryption | null
  parts: Part[]
}

export type BackupClass = 'scheduled' | 'before-update' | 'manual' | 'before-restore'

/** `stopped`: nothing wrote; `paused`: processes stood still; `running`: the database first, the files after it. */
export type Consistency = 'stopped' | 'paused' | 'running'

/** `key`: the first 8 hexadecimal digits of a hash of the key, so that a wrong one can be named. */
export type Encryption = { method: 'aes-256-gcm-chunked-v1'; key: string }

export type Part = {
  /** Name of the object beside the manifest: `gitea-data.tar.zst`. */
  name: string
  /** As it lies in the store: packed, and encrypted when there is a key. */
  bytes: number
  sha256: string
  /** Before packing and encryption. */
  plainBytes: number
  plainSha256: string
} & (
  | {
      kind: 'database'
      /** Service of the database server. */
      server: string
      database: string
      user: string
      /** Of the server: 15, 18. */
      major: number
      /** As CREATE DATABASE needs it. */
      encoding: string
      collate: string
      ctype: string
      localeProvider: 'libc' | 'icu' | 'builtin'
      /** ICU or builtin locale, null for libc. */
      locale: string | null
      /** Missing in a manifest that somebody else wrote. */
      properties?: DatabaseProperties | undefined
      /** `schema.table` -> rows, counted in the snapshot of the dump. */
      rows: Record<string, number>
    }
  | { kind: 'roles'; server: string; major: number }
  | {
      kind: 'volume'
      /** Key in the Compose file. */
      volume: string
      /** Name on the engine. */
      volumeName: string
      exclude: string[]
      /** Entries of the archive that are not folders. */
      files: number
      folders: number
    }
  | { kind: 'configuration' }
)

export type DatabasePart = Extract<Part, { kind: 'database' }>

/** How a database is made that can take the dump. */
export type DatabaseFacts = Pick<
  DatabasePart,
  'major' | 'encoding' | 'collate' | 'ctype' | 'localeProvider' | 'locale' | 'properties'
>

/** What belongs to a database and is in no dump of it. */
export type DatabaseProperties = {
  owner: string
  /** -1: no limit of its own. */
  connectionLimit: number
  icuRules: string | null
  /** Null: PostgreSQL's own rights. `role` null: everybody. */
  access: { role: string | null; privilege: string; grantable: boolean }[] | null
  /** `ALTER DATABASE .. SET`; with a role: `ALTER ROLE .. IN DATABASE .. SET`. */
  settings: { role: string | null; name: string; value: string }[]
}

/** Of the newest companion of each level that a store has. */
export type Verification = {
  schema: 1
  backup: string
  level: VerifyLevel
  ok: boolean
  at: string
  /** Names what was wrong, part by part; empty when ok. */
  problems: string[]
  ms: number
}

/** 0 size and hash of every object; 1 every stream read to its end; 2 databases restored and counted. */
export type VerifyLevel = 0 | 1 | 2
