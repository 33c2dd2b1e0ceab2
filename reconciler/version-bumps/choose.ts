import { judgeTagPattern } from '../desired-state/tag-pattern.ts'
import type { UpdatePolicy } from '../desired-state.ts'
import { lastPartOf } from './image-name.ts'
import {
  compareVersions,
  isCalendar,
  isEarly,
  mayBePadded,
  parseVersion,
  type Step,
  sameShape,
  stepBetween,
  type Version,
} from './version.ts'

/** What the choice of a version follows from. */
export type Choosing = {
  /** Name without tag. */
  image: string
  /** The tag of the file. */
  current: string
  /** Everything the registry lists, in any order. */
  tags: readonly string[]
  accept: UpdatePolicy['accept']
  /** `tags` of the policy. */
  pattern: string | null
  /** The service holds databases of others: its files cannot be read by the next major, whatever the image is called. */
  isDatabaseServer: boolean
  /** Tags that nobody wants, whatever they hold. */
  refused: ReadonlySet<string>
}

export type Choice = { tag: string; step: Step }

/** Images that are PostgreSQL itself, or PostgreSQL with something in it. Exporters and poolers are not. */
const postgresImages =
  /^(?:postgres|postgresql|postgis|timescaledb|timescaledb-ha|pgvector|pgvecto-rs|pgvectors|paradedb|citus|spilo)(?:-\d+)?$/
const nginxImages = /^nginx(?:-unprivileged)?$/

const rank: Record<Step, number> = { patch: 0, minor: 1, major: 2 }

/** A PostgreSQL server: a new major never reads the old files, so it is not an update like others. */
export const isPostgres = (image: string): boolean => postgresImages.test(lastPartOf(image))

export const isNginx = (image: string): boolean => nginxImages.test(lastPartOf(image))

/**
 * Every version that may follow the current one, the highest first. A caller goes on to the next one when the best is
 * too young or has a digest that is refused.
 */
export function chooseVersions(choosing: Choosing): Choice[] {
  const judge = judgeOf(choosing)
  const found: { choice: Choice; version: Version }[] = []
  for (const tag of new Set(choosing.tags)) {
    const judgement = judge(tag)
    if ('choice' in judgement) found.push(judgement)
  }
  const { padded } = parseVersion(choosing.current) ?? { padded: false }
  const likeCurrent = (version: Version): number => (version.padded === padded ? 0 : 1)
  return found
    .sort(
      (one, other) =>
        compareVersions(other.version, one.version) || likeCurrent(one.version) - likeCurrent(other.version),
    )
    .map(({ choice }) => choice)
}

/** The highest version that may follow the current one, or null when there is none. */
export function chooseVersion(choosing: Choosing): Choice | null {
  return chooseVersions(choosing)[0] ?? null
}

/** Why each of the other tags is left out, for a person who asks. */
export function explainTags(choosing: Choosing): { tag: string; why: string }[] {
  const judge = judgeOf(choosing)
  return [...new Set(choosing.tags)].flatMap((tag) => {
    const judgement = judge(tag)
    return 'why' in judgement ? [{ tag, why: judgement.why }] : []
  })
}

type Judgement = { choice: Choice; version: Version } | { why: string }

/** The rules in the order of their cost: the pattern is a person's and comes last. */
function judgeOf(choosing: Choosing): (tag: string) => Judgement {
  const current = parseVersion(choosing.current)
  if (current === null)
    return () => ({ why: `the current tag ${choosing.current} is no version to compare with` })
  const postgres = choosing.isDatabaseServer || isPostgres(choosing.image)
  const matches = patternOf(choosing.pattern)
  return (tag) => {
    const version = parseVersion(tag)
    if (version === null) return { why: isEarly(tag) ? 'a pre-release' : 'no version' }
    const step = stepBetween(current, version, postgres ? 'patch' : 'minor')
    const why =
      otherShape(tag, version, current) ??
      notHigher(version, current) ??
      (postgres && step === 'major'
        ? 'a new major of PostgreSQL, which does not read the old files'
        : null) ??
      tooFar(step, choosing.accept) ??
      otherLine(choosing.image, version, current) ??
      (matches(tag) ? null : 'the pattern of the policy does not match it') ??
      (choosing.refused.has(tag) ? 'it was reverted, or its pull request was closed' : null)
    return why === null ? { choice: { tag, step }, version } : { why }
  }
}

function otherShape(tag: string, version: Version, current: Version): string | null {
  if (sameShape(version, current)) return null
  if (isEarly(tag) && version.suffix !== current.suffix) return 'a pre-release'
  if (version.suffix !== current.suffix)
    return `another suffix than ${current.suffix === '' ? 'none' : current.suffix}`
  if (version.prefix !== current.prefix) return 'the leading v differs'
  const floats = version.parts.length < current.parts.length
  return floats ? 'fewer parts: such a tag moves' : 'more parts than the current tag'
}

function notHigher(version: Version, current: Version): string | null {
  const order = compareVersions(version, current)
  if (order <= 0) return order === 0 ? 'the current version' : 'below the current version'
  if (version.padded && !mayBePadded(current)) return 'leading zeros, which the current tag does not have'
  // 20231107.1.0 beside 2.4.1 is a build of a day, not the next major.
  return isCalendar(version) && (current.parts[0] ?? 0n) < 1000n
    ? 'looks like a date, the current tag does not'
    : null
}

function tooFar(step: Step, accept: UpdatePolicy['accept']): string | null {
  if (accept === 'digest') return 'the policy accepts new digests of the same tag only'
  return rank[step] <= rank[accept] ? null : `a ${step} step, the policy accepts ${accept}`
}

/** nginx: even minors are the stable line, odd ones mainline; both are numbered through. */
function otherLine(image: string, version: Version, current: Version): string | null {
  const [, minor] = version.parts
  const [, before] = current.parts
  if (minor === undefined || before === undefined || !isNginx(image)) return null
  return minor % 2n === before % 2n
    ? null
    : `nginx ${before % 2n === 0n ? 'mainline' : 'stable'}, the other line`
}

/** A pattern that is not safe matches nothing; the desired state refuses it before it comes here. */
function patternOf(pattern: string | null): (tag: string) => boolean {
  if (pattern === null) return () => true
  if (judgeTagPattern(pattern) !== null) return () => false
  const expression = new RegExp(pattern)
  return (tag) => expression.test(tag)
}
