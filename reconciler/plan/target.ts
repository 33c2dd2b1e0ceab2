import type { FieldDifference } from '../engine/container-body.ts'
import type { ImageReference, Running } from '../engine/engine.ts'

export type Dependency = {
  service: string
  condition: 'service_started' | 'service_healthy' | 'service_completed_successfully'
  /** Restarted when the service it depends on is replaced. */
  restart: boolean
}

/** What one service is to be, at one commit. */
export type Target = {
  service: string
  containerName: string
  /** The digest is empty when it could not be resolved; then `problem` says why. */
  image: ImageReference
  /** Local id of the image, or null when the image is not here yet. */
  imageId: string | null
  /** Keyed hash of the configuration, without image and without secrets in the clear. */
  configuration: string
  dependsOn: Dependency[]
  /** Services whose network (or processes, memory) it shares: its container is bound to theirs and swapped with it. */
  shares: string[]
  /** Others wait for its completion: exit code 0 is the state it is meant to be in. */
  endsByItself: boolean
  /** Started by a job or by hand only. */
  onDemand: boolean
  /** Name of the window a change of the commit waits for, or null. */
  window: string | null
  /** Why it cannot be rolled out as it is, or null. */
  problem: string | null
}

/** What the host has for one service: its container, and what an exact look found when one was taken. */
export type Seen = {
  running: Running
  /** Null: no exact look was taken, since nothing asked for one. */
  differences: FieldDifference[] | null
}

/** One identity for "the same thing again", used by quarantine and setbacks. */
export const fingerprintOf = (target: Target): string => `${target.image.digest} ${target.configuration}`

/** `1.22.6@sha256:0123456789ab`: tag and as much of the digest as tells two apart. */
export function shortImage(image: { tag: string; digest: string }): string {
  const digest = image.digest === '' ? '' : `@${image.digest.slice(0, 'sha256:'.length + 12)}`
  return `${image.tag === '' ? 'unknown' : image.tag}${digest}`
}

/** A container that Samovar set aside or has not started yet carries the operation in its name. */
export const isParked = (running: { name: string }): boolean =>
  /\.(old|new)-\d{8}-\d{6}-[0-9a-f]{4}$/.test(running.name)
