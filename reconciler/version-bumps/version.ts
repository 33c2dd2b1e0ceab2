/**
 * A tag that names a version: `v1.27.1-alpine3.24` has the prefix `v`, three parts and the suffix `-alpine3.24`.
 * Parts are of any length, so they are no ordinary numbers.
 */
export type Version = {
  prefix: '' | 'v'
  parts: readonly bigint[]
  /** With its dash; empty when there is none. */
  suffix: string
  /** Parts are written with leading zeros, as in 2026.04.1. */
  padded: boolean
}

export type Step = 'patch' | 'minor' | 'major'

const form = /^(v?)(\d+(?:\.\d+){0,3})(-[\w.-]+)?$/
const early =
  'rc|cr|beta|alpha|dev|devel|develop|nightly|daily|edge|main|master|trunk|next|snapshot|canary|preview|prerelease|pre|milestone|unstable|testing|test|insiders|experimental|ea|m|a|b'
/** Ends where a word ends: `-rc.1`, `-m1`, `-beta3`, but not `-alpine`, `-amd64`, `-bookworm`. */
const earlyWord = new RegExp(`(?:^|[-._]|\\d)(?:${early})(?=\\d*(?:$|[-._]))`, 'i')

/** @returns null for a tag that is no version: `latest`, `19beta3`, `sha256-...`, `1.2.3.4.5` */
export function parseVersion(tag: string): Version | null {
  const match = form.exec(tag)
  if (match === null || tag.length > 128) return null
  const [, prefix, numbers = '', suffix = ''] = match
  const parts = numbers.split('.')
  return {
    prefix: prefix === 'v' ? 'v' : '',
    parts: parts.map(BigInt),
    suffix,
    padded: parts.some((part) => part.length > 1 && part.startsWith('0')),
  }
}

/** Numbered by years, as in 2026.04.1: the months there come with a leading zero and without. */
export const isCalendar = (version: Version): boolean => (version.parts[0] ?? 0n) >= 1900n

/** Versions of this image may be written with leading zeros. */
export const mayBePadded = (version: Version): boolean => version.padded || isCalendar(version)

/** True when the prefix, the number of parts and the suffix are the same: only such versions can be compared. */
export function sameShape(one: Version, other: Version): boolean {
  return one.prefix === other.prefix && one.parts.length === other.parts.length && one.suffix === other.suffix
}

/** By the numbers alone: 18.10 is above 18.9. Below zero when `one` is lower. */
export function compareVersions(one: Version, other: Version): number {
  for (const [at, part] of one.parts.entries()) {
    const against = other.parts[at] ?? 0n
    if (part !== against) return part < against ? -1 : 1
  }
  return one.parts.length - other.parts.length
}

/**
 * How large the step between two versions of one shape is: the first part is the major, the second the minor, those
 * after it are patches.
 * @param twoParts what a new second part is where there is no third one
 */
export function stepBetween(from: Version, to: Version, twoParts: 'minor' | 'patch'): Step {
  const at = from.parts.findIndex((part, index) => part !== to.parts[index])
  if (at === 0) return 'major'
  if (at === 1) return from.parts.length === 2 ? twoParts : 'minor'
  return 'patch'
}

/** A version that is not finished, as far as its tag tells, also where the word is glued to the number. */
export function isEarly(tag: string): boolean {
  return earlyWord.test(tag)
}
