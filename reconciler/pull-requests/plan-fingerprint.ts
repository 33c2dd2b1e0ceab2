import { createHash } from 'node:crypto'
import type { Change } from '../plan/change.ts'
import { makePlan, type Plan, type PlanInput } from '../plan/plan.ts'
import type { Target } from '../plan/target.ts'
import type { ToldImage } from './head-plan.ts'

/** A change as far as a fingerprint covers it. */
export type FingerprintChange = {
  service: string
  action: string
  from: ToldImage | null
  /** The digest is empty, and the configuration null, when they are not known before the merge. */
  to: ToldImage | null
  configuration: string | null
  /** Or only their kinds. */
  fields: string[]
  drift: boolean
}

/** As many characters as this stand for what is not known; no hash looks so. */
const unknown = '------'

/**
 * A short text of what would be done, the same for the plan of a pull request and for the plan of the commit it is
 * merged as, as long as both would do the same.
 *
 * Covered: for each change of what the commit asks for the service, the action, the image before (name, tag, digest)
 * and after (name and tag), which kinds of fields change (`environment`, not `environment.NAME`), the digest of the new
 * image and the configuration with all its values, as its keyed hash. The last two count only when both sides know
 * them: the digest of a new image and the value of a new secret are not looked for before the merge.
 *
 * Not covered: repairs of what moved away on the host, holds (windows, pauses, quarantine), the order, foreign
 * containers, policies.
 */
export function fingerprintOf(changes: FingerprintChange[]): string {
  const wanted = changes
    .filter((change) => !change.drift && change.action !== 'none')
    .toSorted((a, b) => (a.service < b.service ? -1 : 1))
  const core = wanted.map(({ service, action, from, to, fields }) => [
    ...[service, action, from?.name, from?.tag, from?.digest, to?.name, to?.tag],
    ...kindsOf(fields),
  ])
  const details = wanted.map(({ to, configuration }) =>
    [to === null ? 'none' : to.digest, configuration]
      .map((part) => (part ? hash(part, 6) : unknown))
      .join(''),
  )
  return [hash(JSON.stringify(core), 16), ...details].join('.')
}

/** Whether what is going to be done is what was told. What only one side knows is left out. */
export function isAsTold(told: string, now: string): boolean {
  const [one, other] = [told.split('.'), now.split('.')]
  return (
    one.length === other.length &&
    one[0] === other[0] &&
    one.slice(1).every((part, at) => agree(part, other[at + 1] ?? ''))
  )
}

function agree(one: string, other: string): boolean {
  const half = unknown.length
  return [0, half].every((from) => {
    const [a, b] = [one.slice(from, from + half), other.slice(from, from + half)]
    return a === b || a === unknown || b === unknown
  })
}

const hash = (text: string, length: number): string =>
  createHash('sha256').update(text).digest('hex').slice(0, length)

const kindsOf = (fields: string[]): string[] =>
  [...new Set(fields.map((field) => field.split('.')[0] ?? ''))].sort()

/** The fingerprint of a plan that production made. */
export const fingerprintOfPlan = (considered: PlanInput): string =>
  fingerprintOf(plannedChanges(considered).map(({ covered }) => covered))

/** The changes of a plan, whatever holds them back now, each with what a fingerprint covers. */
export function plannedChanges(considered: PlanInput): { change: Change; covered: FingerprintChange }[] {
  return unhindered(considered)
    .changes.filter((change) => change.action !== 'none')
    .map((change) => {
      const target = considered.targets.find((each) => each.service === change.service)
      return { change, covered: coveredOf(change, target) }
    })
}

/** What would be done if nothing held it back: neither windows nor people, nor what failed before. */
export function unhindered(considered: PlanInput): Plan {
  return makePlan({
    ...considered,
    targets: considered.targets.map((target) => ({ ...target, problem: null })),
    standing: {
      ...considered.standing,
      ignoreWindows: true,
      paused: new Set(),
      stuck: [],
      quarantined: [],
      dirty: [],
      setbacks: [],
    },
  })
}

function coveredOf(change: Change, target: Target | undefined): FingerprintChange {
  const { service, action, current, drift, reasons } = change
  return {
    service,
    action,
    from: current === null ? null : toldImage(current.image),
    to: target === undefined ? null : toldImage(target.image),
    configuration: target?.configuration || null,
    fields: kindsOf(configurationFields(reasons)),
    drift,
  }
}

export const toldImage = ({ name, tag, digest }: ToldImage): ToldImage => ({ name, tag, digest })

/** These say what is done rather than what changes. */
const noFields = new Set(['image', 'container', 'state', 'service'])

export const configurationFields = (reasons: { field: string }[]): string[] =>
  [...new Set(reasons.map(({ field }) => field))]
    // The name of a changed secret stands beside the fields that it is in.
    .filter((field) => !noFields.has(field) && !field.startsWith('secret '))
    .sort()
