import { isDigest } from './image-name.ts'

/** What a registry tells of one image. Nothing of it is trusted: texts are bounded, links are not followed. */
export type ImageFacts = {
  /** Of what the tag names: the index of a multi-platform image. */
  digest: string
  /** Of the manifest for the platform; null: the image is not built for it. */
  platformDigest: string | null
  /** Milliseconds since 1970; null when the build does not tell (many builds say 1970 or the year 1). */
  created: number | null
  /** `org.opencontainers.image.*` only. */
  labels: Record<string, string>
}

/** `linux/amd64`, `linux/arm64/v8`. */
export type Platform = { os: string; architecture: string; variant: string }

export type Manifest =
  | { kind: 'index'; entries: Entry[]; labels: Record<string, string> }
  | { kind: 'image'; config: string; labels: Record<string, string> }

type Entry = { digest: string; platform: Platform; labels: Record<string, string> }

const mostEntries = 1_000
const mostLabels = 40
const longestLabel = 1_000
const labelPrefix = 'org.opencontainers.image.'
const firstCredible = Date.UTC(2000, 0)

export function platformOf(text: string): Platform {
  const [os = '', architecture = '', variant = ''] = text.split('/')
  return { os, architecture, variant }
}

/**
 * A manifest or an index, of OCI or of Docker.
 * @returns null for everything else, such as the signed manifests of 2015
 */
export function readManifest(bytes: Buffer): Manifest | null {
  const value = objectOf(parsed(bytes))
  const labels = labelsOf(value['annotations'])
  if (Array.isArray(value['manifests'])) {
    const entries = value['manifests'].slice(0, mostEntries).flatMap((entry: unknown) => entryOf(entry))
    return { kind: 'index', entries, labels }
  }
  const config = objectOf(value['config'])['digest']
  return typeof config === 'string' && isDigest(config) ? { kind: 'image', config, labels } : null
}

/** The entry of an index for a platform: of the same variant, else the only one without, else the first. */
export function entryFor(entries: Entry[], wanted: Platform): Entry | null {
  const fitting = entries.filter(
    ({ platform }) => platform.os === wanted.os && platform.architecture === wanted.architecture,
  )
  const same = fitting.find(({ platform }) => platform.variant === wanted.variant)
  if (same !== undefined) return same
  // arm64 is v8 whether it is said or not; arm/v7 does not run on arm/v6.
  return wanted.variant === '' || wanted.architecture === 'arm64' ? (fitting[0] ?? null) : null
}

/** The configuration of an image: its platform, when it was built, and its labels. */
export function readConfiguration(bytes: Buffer): {
  platform: Platform
  created: number | null
  labels: Record<string, string>
} {
  const value = objectOf(parsed(bytes))
  const labels = labelsOf(objectOf(value['config'])['Labels'])
  return {
    platform: readPlatform(value),
    created: readTime(value['created']) ?? readTime(labels[`${labelPrefix}created`]),
    labels,
  }
}

/** True when an image that is no index runs on the platform; one that names none is taken as it is. */
export function runsOn(image: Platform, wanted: Platform): boolean {
  if (image.os === '' || image.architecture === '') return true
  return image.os === wanted.os && image.architecture === wanted.architecture
}

function entryOf(value: unknown): Entry[] {
  const { digest, platform, annotations } = objectOf(value)
  if (typeof digest !== 'string' || !isDigest(digest)) return []
  return [{ digest, platform: readPlatform(objectOf(platform)), labels: labelsOf(annotations) }]
}

function readPlatform(value: Record<string, unknown>): Platform {
  const text = (name: string): string => (typeof value[name] === 'string' ? value[name].slice(0, 100) : '')
  return { os: text('os'), architecture: text('architecture'), variant: text('variant') }
}

function readTime(value: unknown): number | null {
  if (typeof value !== 'string' || value.length > 100 || !/^\d{4}-\d\d-\d\dT/.test(value)) return null
  const time = Date.parse(value)
  return Number.isNaN(time) || time < firstCredible ? null : time
}

function labelsOf(value: unknown): Record<string, string> {
  const entries = Object.entries(objectOf(value))
    .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    .filter(([name, text]) => /^[a-z.-]{1,100}$/.test(name) && text.length <= longestLabel)
    .filter(([name]) => name.startsWith(labelPrefix))
  return Object.fromEntries(entries.slice(0, mostLabels))
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    return null
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}
