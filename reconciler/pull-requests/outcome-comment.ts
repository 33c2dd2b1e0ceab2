import type { Finding } from '../desired-state.ts'
import { durationInWords } from '../health/clock.ts'
import type { Operation } from '../journal/operation.ts'
import { version as ownVersion } from '../version.ts'
import type { HeadChange, HeadPlan } from './head-plan.ts'
import type { FingerprintChange } from './plan-fingerprint.ts'
import { cut, imageInWords, minuteInWords, plain, sentence, shown, table } from './plan-words.ts'

export type Outcome = {
  hostName: string
  /** Milliseconds since 1970. */
  now: number
  version?: string
  timezone: string
  /** The commit it was merged as. */
  commit: string
  /** What was done for that commit, oldest first. */
  operations: Pick<
    Operation,
    'id' | 'service' | 'kind' | 'result' | 'from' | 'to' | 'reason' | 'downtimeMs' | 'backup'
  >[]
  /**
   * What the merged commit turned out to ask for (plannedChanges), when that was not what had been told; null when it
   * was.
   */
  instead: FingerprintChange[] | null
  /** The merged commit asked for nothing. */
  nothing: boolean
  /** Address of a page about an operation, or null. */
  link?: (operation: string) => string | null
}

const mostRows = 60

/**
 * The comment of a plan after the merge: what became of each change and, when the plan was no longer true, in what it
 * was not.
 *
 * @param told the plan as it was told last; null when nobody knows it any more
 */
export function outcomeComment(told: HeadPlan | null, outcome: Outcome): string {
  const { operations, instead, now, timezone, version = ownVersion } = outcome
  const lines = [
    `### ${headline(outcome)}`,
    '',
    ...differences(told, instead),
    ...done(outcome),
    ...missing(told, outcome),
    ...operations
      .filter((operation) => operation.reason !== '' && operation.result !== 'applied')
      .flatMap((operation) => [
        `- ${shown(operation.service)} (${shown(operation.result)}): ${sentence(operation.reason)}`,
        '',
      ]),
    `As of ${minuteInWords(now, timezone)}, by Samovar ${shown(version)}.`,
  ]
  return cut(lines)
}

function headline(outcome: Outcome): string {
  const { hostName, commit, operations, instead } = outcome
  const merged = `Merged as ${shown(commit.slice(0, 10))}; on ${shown(hostName)}`
  const bad = operations.filter(({ result }) => result !== 'applied' && result !== 'running')
  const asTold = instead === null ? '' : ', and the plan was no longer true'
  if (operations.length === 0)
    return outcome.nothing ? `${merged} nothing had to be done` : `${merged} nothing was done yet${asTold}`
  if (bad.length > 0)
    return `${merged} ${bad.map((each) => `${shown(each.service)}: ${endInWords[each.result]}`).join('; ')}${asTold}`
  const running = operations.filter(({ result }) => result === 'running').length
  if (running > 0) return `${merged} ${running} of ${operations.length} changes are being made${asTold}`
  return operations.length === 1
    ? `${merged} the change was made${asTold}`
    : `${merged} all ${operations.length} changes were made${asTold}`
}

/** The comment of a plan whose merge was followed by another one before the host was looked at. */
export const togetherComment = ({ hostName, commit }: { hostName: string; commit: string }): string =>
  cut([
    `### Merged as ${shown(commit.slice(0, 10))}; on ${shown(hostName)} it was rolled out together with a later merge`,
    '',
    'The statuses of the later commit, and `samovar history`, say how it went.',
  ])

/**
 * The comment of a plan whose merge made a commit that is not valid: two merges may make together what neither was
 * alone. Messages of findings may quote a value, so only their places are told.
 */
export function notFollowedComment(about: { hostName: string; commit: string; findings: Finding[] }): string {
  const { hostName, commit, findings } = about
  const count = findings.length === 1 ? '1 finding' : `${findings.length} findings`
  return cut([
    `### Merged as ${shown(commit.slice(0, 10))}; on ${shown(hostName)} it is not followed: it has ${count}`,
    '',
    ...findings
      .slice(0, mostRows)
      .map(({ file, line, column, key }) => `- ${shown(`${file}:${line}:${column}`, 200)} ${shown(key)}`),
    '',
    'The last good commit stays in force. Next: correct it and merge that; `samovar validate` says what is wrong.',
  ])
}

const endInWords: Record<Operation['result'], string> = {
  applied: 'applied',
  running: 'being rolled out',
  reverted: 'reverted',
  untouched: 'untouched, nothing was replaced',
  stuck: '**stuck, a person must look**',
}

function done({ operations, link }: Outcome): string[] {
  if (operations.length === 0) return []
  const rows = operations.slice(0, mostRows).map((operation) => {
    const { id, service, kind, result, from, to, downtimeMs, backup } = operation
    const address = link?.(id) ?? null
    return [
      shown(service),
      kind,
      result === 'applied' ? result : `**${result}**`,
      imageInWords(from, to),
      imageInWords(to, from),
      downtimeMs === null ? '-' : durationInWords(downtimeMs),
      backup === null ? '-' : shown(backup),
      address === null ? shown(id) : `[${shown(id)}](<${plain(address, 500).replaceAll(/[<>\s]/g, '')}>)`,
    ]
  })
  const head = ['Service', 'What', 'Result', 'Before', 'After', 'Downtime', 'Backup', 'Operation']
  return [...table(head, rows), '']
}

/** What was told and of which nothing was begun. */
function missing(told: HeadPlan | null, { operations, instead }: Outcome): string[] {
  if (told === null || instead !== null) return []
  const begun = new Set(operations.map(({ service }) => service))
  const waiting = told.changes.filter(
    (change) => change.together === null && !change.drift && !begun.has(change.service),
  )
  if (waiting.length === 0) return []
  return [
    ...waiting
      .slice(0, mostRows)
      .map(
        ({ service, held, action }) =>
          `- ${shown(service)}: ${action} is not done yet${held === null ? '' : `: ${sentence(held)}`}`,
      ),
    '',
  ]
}

function differences(told: HeadPlan | null, instead: FingerprintChange[] | null): string[] {
  if (instead === null) return []
  const lines = told === null ? [] : differencesOfPlans(told.changes, instead.map(asTold))
  return [
    '**The plan was no longer true.** The host or an image had changed between the plan and the merge.',
    '',
    ...lines.slice(0, mostRows),
    ...(lines.length === 0 ? [] : ['']),
  ]
}

type Comparable = Pick<HeadChange, 'service' | 'action' | 'image' | 'fields' | 'configuration' | 'drift'>

const asTold = (change: FingerprintChange): Comparable => ({
  ...change,
  action: change.action as HeadChange['action'],
  image: change.from?.digest === change.to?.digest ? null : { before: change.from, after: change.to },
})

/** In what two plans differ, a line for each; repairs of the host left out. */
export function differencesOfPlans(before: Comparable[], after: Comparable[]): string[] {
  const names = [...new Set([...before, ...after].map(({ service }) => service))].sort()
  const find = (all: Comparable[], service: string) =>
    all.find((each) => each.service === service && !each.drift)
  return names.flatMap((service) => {
    const [told, now] = [find(before, service), find(after, service)]
    if (told === undefined && now === undefined) return []
    const name = shown(service)
    if (told === undefined) return [`- ${name}: nothing was told; now ${now?.action ?? ''}.`]
    if (now === undefined) return [`- ${name}: ${told.action} was told; now nothing.`]
    if (told.action !== now.action) return [`- ${name}: ${told.action} was told; now ${now.action}.`]
    return [...images(name, told, now), ...configurations(name, told, now)]
  })
}

function images(name: string, told: Comparable, now: Comparable): string[] {
  const isSame = (['before', 'after'] as const).every((side) => {
    const [a, b] = [told.image?.[side] ?? null, now.image?.[side] ?? null]
    // A digest that was not known before the merge is no difference.
    const digests = a?.digest === b?.digest || a?.digest === '' || b?.digest === ''
    return a?.name === b?.name && a?.tag === b?.tag && digests
  })
  if (isSame) return []
  const words = ({ image }: Comparable) =>
    image === null
      ? 'the image stays'
      : `${imageInWords(image.before, image.after)} -> ${imageInWords(image.after, image.before)}`
  return [`- ${name}: ${words(told)} was told; now ${words(now)}.`]
}

function configurations(name: string, told: Comparable, now: Comparable): string[] {
  const isKnown = told.configuration !== null && now.configuration !== null
  return isKnown && told.configuration !== now.configuration
    ? [`- ${name}: its configuration is another one.`]
    : []
}
