import type { Finding } from '../desired-state.ts'
import type { Action } from '../plan/change.ts'

/** An image for people; the digest is empty as long as nobody knows it. */
export type ToldImage = { name: string; tag: string; digest: string }

/** What will be copied before a change, and what is known of it. */
export type ToldData = {
  /** Services whose data it is. */
  owners: string[]
  /** `database` in `server`. */
  databases: { server: string; database: string }[]
  /** By their keys in the Compose files. */
  volumes: string[]
  while: 'stopped' | 'paused' | 'running'
  /** Services that stand still meanwhile. */
  stop: string[]
  /** The data goes back when the change is reverted. */
  restore: boolean
  /** The backup before: bytes of the data, and when (milliseconds since 1970); null: none is recorded. */
  last: { bytes: number; at: number } | null
}

/** One change as it is told on a pull request. No value of a variable or a secret is in it. */
export type HeadChange = {
  service: string
  action: Exclude<Action, 'none'>
  /** Null: the image stays. `after` null: the service leaves. */
  image: { before: ToldImage | null; after: ToldImage | null } | null
  /** Fields of the configuration that change, in Compose's words, never their values. */
  fields: string[]
  /** Keyed hash of the configuration it is given; null when it is not known before the merge. */
  configuration: string | null
  /** The host moved away from what was rolled out: it is mended with or without the pull request. */
  drift: boolean
  /** The commit in force asks for exactly this, too. */
  pending: boolean
  /** Why it would have to wait, or null. */
  held: string | null
  /** The service it is swapped together with; null when it goes by itself. */
  together: string | null
  /** Services that are swapped with it. */
  brings: string[]
  /** Services that are stopped meanwhile and start again. */
  stops: string[]
  policy: 'automatic' | 'manual'
  /** Null: nothing is backed up. */
  data: ToldData | null
  /** Milliseconds, the median of `count` roll-outs; null for a change without downtime, or when nothing is known. */
  downtime: { ms: number; of: 'service' | 'host'; count: number } | null
  /** The window it waits for; `opensAt` null: it is open now. */
  window: { name: string; opensAt: number | null } | null
  /** What will be refused, and why, each with a next step where there is one. */
  problems: string[]
  /** Secrets that are new, or come from another place: nobody reads them before the merge. */
  newSecrets: string[]
}

export type HeadPlan = {
  number: number
  /** The commit that was planned: the head as it was fetched. */
  head: string
  /** The commit in force on the host. */
  against: string
  /** Milliseconds since 1970. */
  at: number
  timezone: string
  /** `merged`: the head is behind, and what is told is of both together. `alone`: it is behind, and the two cannot be put together. */
  standing: 'current' | 'merged' | 'alone'
  findings: Finding[]
  /** How many more there are. */
  moreFindings: number
  /** Why it could not be planned, or null. Then everything below is empty. */
  refused: string | null
  changes: HeadChange[]
  /** Services in the order they are worked on; what is swapped along is not named again. */
  order: string[]
  /** How many services stay as they are. */
  unchanged: number
  /** Names of `variables` in host.yaml. */
  variables: { changed: string[]; new: string[]; gone: string[] }
  /** Keys of the desired state that change beside the image: `host` or a service, and the keys. */
  settings: { of: string; keys: string[] }[]
  /** Bytes; null where nobody knows. `needed`: for new images and for a copy of the data. */
  disk: { free: number | null; needed: number | null }
  /** See plan-fingerprint.ts; empty when it could not be planned. */
  fingerprint: string
}
