import type { FieldDifference } from '../engine/container-body.ts'
import type { Inspected, LocalImage } from '../engine/engine.ts'
import { codeOf } from '../errors.ts'
import { everyService } from '../journal/standing.ts'
import type { Loaded } from '../load.ts'
import type { Outlook } from '../look.ts'
import type { Parts } from '../parts.ts'
import type { Change } from '../plan/change.ts'
import { hold, type Standing } from '../plan/hold.ts'
import { containerOf, makePlan, membersOf, type PlanInput } from '../plan/plan.ts'
import type { Target } from '../plan/target.ts'
import { orderOf } from '../roll-out-order.ts'
import { missingSecretProblem } from '../secrets/missing.ts'
import { expectedData, expectedDisk, expectedDowntime, expectedStart } from './expectations.ts'
import { unknownDigest } from './head-images.ts'
import type { HeadChange, HeadPlan, ToldImage } from './head-plan.ts'
import { problemsOf } from './head-problems.ts'
import type { Renderings } from './head-renderings.ts'
import {
  configurationFields,
  type FingerprintChange,
  fingerprintOf,
  plannedChanges,
  unhindered,
} from './plan-fingerprint.ts'

export type Sight = {
  parts: Parts
  /** The head, with stand-ins for all secrets. */
  head: Loaded
  inForce: Loaded
  outlook: Outlook & { considered: PlanInput }
  renderings: Renderings
  hide: (text: string) => string
}

const mostFields = 60

/** What the head would do to this host, from what the last look saw of it. */
export async function headChanges(
  sight: Sight,
): Promise<Pick<HeadPlan, 'changes' | 'order' | 'unchanged' | 'disk' | 'fingerprint'>> {
  const { parts, head, outlook, renderings } = sight
  const [local, freeDisk] = [await parts.engine.images(), await parts.engine.freeDisk()]
  const targets = headTargets(sight, local)
  const inspected = await inspectAll(sight, targets)
  const considered: PlanInput = {
    commit: head.commit,
    targets,
    running: outlook.running,
    looks: await looksOf(sight, targets, inspected),
    standing: standingFor(sight, targets),
    prune: head.state.host.prune,
  }
  const planned = plannedChanges(considered)
  const real = makePlan(considered)
  const ordered: Outlook = {
    ...outlook,
    commit: head.commit,
    loaded: head,
    targets: { ...renderings.head, list: targets },
    plan: real,
    considered,
  }
  const already = unhindered(outlook.considered).changes
  const changes = planned.map(({ change }) =>
    told(sight, { change, real: real.changes, ordered, considered, inspected, already, freeDisk }),
  )
  return {
    changes,
    order: changes.filter((change) => change.together === null).map((change) => change.service),
    unchanged: targets.length - planned.filter(({ change }) => change.action !== 'remove').length,
    disk: { free: freeDisk, needed: neededDisk(changes, { planned, targets, local }) },
    fingerprint: fingerprintOf(planned.map(({ covered }) => asFarAsKnown(sight, covered))),
  }
}

/** `changes` are those of `planned`, in the same order. */
function neededDisk(
  changes: HeadChange[],
  about: { planned: { change: Change }[]; targets: Target[]; local: LocalImage[] },
): number | null {
  const swaps = about.planned.flatMap(({ change }, at) => {
    const target = about.targets.find((each) => each.service === change.service)
    const isSwap = change.action === 'replace' || change.action === 'create'
    if (target === undefined || !isSwap) return []
    return [{ target, current: change.current, data: changes[at]?.data ?? null }]
  })
  return expectedDisk(swaps, about.local)
}

const asFarAsKnown = (sight: Sight, covered: FingerprintChange): FingerprintChange => ({
  ...covered,
  to: covered.to === null ? null : withoutUnknown(covered.to),
  configuration: configurationKnown(sight, covered.service),
})

/**
 * Of what stays as it is the real configuration counts. Of the rest it must not when a secret is in it: that it is one
 * which ran or failed here before would tell whoever wrote a guess in place of the secret that he guessed right.
 */
function headTargets({ renderings, outlook, inForce }: Sight, local: LocalImage[]): Target[] {
  return renderings.head.list.map((target) => {
    const before = outlook.targets.list.find((each) => each.service === target.service)
    const here = local.find((image) => image.digests.includes(target.image.digest))
    const isSame = before !== undefined && renderings.isSame(target.service)
    const isTellable = !renderings.hasSecrets(target.service)
    const otherwise = isTellable ? (renderings.configuration(target.service) ?? '') : ''
    return {
      ...target,
      imageId: before?.image.digest === target.image.digest ? before.imageId : (here?.id ?? null),
      configuration: isSame ? before.configuration : otherwise,
      // Only production knows which secrets are there.
      problem: target.problem ?? (isSame ? missingSecretProblem(inForce, target.service) : null),
    }
  })
}

const configurationKnown = ({ renderings, outlook }: Sight, service: string): string | null =>
  (renderings.isSame(service)
    ? outlook.targets.list.find((each) => each.service === service)?.configuration
    : renderings.configuration(service)) || null

async function inspectAll({ parts, outlook, renderings }: Sight, targets: Target[]) {
  const seen = new Map<string, Inspected>()
  for (const target of targets) {
    const current = containerOf(target.service, outlook.running)
    const stays = renderings.isSame(target.service) && current?.image.digest === target.image.digest
    if (current === null || stays) continue
    try {
      seen.set(target.service, await parts.engine.inspect(current.instance))
    } catch (error) {
      if (codeOf(error) !== 'not-found') throw error
    }
  }
  return seen
}

/** What production saw of a container, and in what the head differs from the commit in force. */
async function looksOf(sight: Sight, targets: Target[], inspected: Map<string, Inspected>) {
  const { outlook, renderings } = sight
  const looks = new Map<string, FieldDifference[]>()
  for (const target of targets) {
    const current = containerOf(target.service, outlook.running)
    if (current === null) continue
    const seen = withoutSecretNames(sight, outlook.considered.looks.get(current.instance) ?? [])
    const isMade = target.configuration !== '' && current.configuration === target.configuration
    // It has this configuration already, other than what is in force.
    if (isMade && !renderings.isSame(target.service)) continue
    if (renderings.isSame(target.service)) {
      looks.set(current.instance, seen)
      continue
    }
    const defaults = inspected.get(target.service)?.imageDefaults ?? null
    const own = isUnmade(sight, target) ? [unmade] : await renderings.differences(target.service, defaults)
    const others = seen.filter(({ field }) => !own.some((each) => each.field === field))
    looks.set(current.instance, [...own, ...others])
  }
  return looks
}

/** What cannot be made is a change that will be refused, and must not look like none. */
const unmade: FieldDifference = { field: 'configuration', before: '', after: '' }

const isUnmade = ({ renderings }: Sight, { service }: Target): boolean =>
  renderings.head.list.find((each) => each.service === service)?.configuration === ''

/** Production saw it with real secrets, and names of fields can be made of them: such a name is cut to its kind. */
function withoutSecretNames({ inForce }: Sight, seen: FieldDifference[]): FieldDifference[] {
  const secrets = [...inForce.secrets].filter((secret) => secret !== '')
  const tellable = (field: string): string =>
    secrets.some((secret) => field.includes(secret)) ? (field.split('.')[0] ?? '') : field
  return seen.map((each) => ({ ...each, field: tellable(each.field) }))
}

function standingFor({ parts, head, outlook }: Sight, targets: Target[]): Standing {
  const { standing } = outlook.considered
  const { timezone, windows } = head.state.host
  const paused = new Set(standing.paused)
  if (parts.journal.paused().includes(everyService)) for (const { service } of targets) paused.add(service)
  const isSame = (service: string): boolean => {
    const [a, b] = [targets, outlook.targets.list].map((list) =>
      list.find((each) => each.service === service),
    )
    return a?.image.digest === b?.image.digest && a?.configuration === b?.configuration
  }
  const stuck = standing.stuck.filter(({ service }) => isSame(service))
  return { ...standing, now: parts.now(), timezone, windows, ignoreWindows: false, paused, stuck }
}

type About = {
  change: Change
  real: Change[]
  ordered: Outlook
  considered: PlanInput
  inspected: Map<string, Inspected>
  already: Change[]
  freeDisk: number | null
}

function told(sight: Sight, about: About): HeadChange {
  const { change, ordered, considered, already } = about
  const { parts, head, renderings, hide } = sight
  const { service, action } = change
  const target = considered.targets.find((each) => each.service === service)
  const { wanted, body } = orderOf(parts, ordered, change)
  const data = wanted.intent.data === undefined ? null : expectedData(parts.journal, wanted.intent.data)
  const problems =
    target === undefined
      ? []
      : problemsOf({
          ...{ change, target, model: head.model, standing: considered.standing, running: ordered.running },
          ...{ seen: about.inspected.get(service) ?? null, data: wanted.intent.data ?? null, told: data },
          ...{ freeDisk: about.freeDisk, problem: action === 'start' ? null : body.problem },
        }).map(hide)
  const held = heldOf(about, target)
  return {
    service,
    action: action === 'none' ? 'start' : action,
    image: imageOf(change, target),
    fields: fieldsOf(sight, change),
    configuration: configurationKnown(sight, service),
    drift: change.drift,
    pending: isPending(sight, change, already),
    held: held === null || problems.includes(hide(held)) ? null : hide(held),
    together: change.together,
    brings: membersOf(change, considered.targets)
      .slice(1)
      .map((each) => each.service),
    stops: wanted.intent.quiesced.flatMap(
      ({ instance }) => ordered.running.find((each) => each.instance === instance)?.service ?? [],
    ),
    policy: head.state.services[service]?.update.policy ?? 'manual',
    data: change.together === null ? data : null,
    downtime:
      action === 'replace' && change.together === null ? expectedDowntime(parts.journal, service) : null,
    window:
      action === 'replace' && !change.drift && target !== undefined
        ? expectedStart(target, considered.standing)
        : null,
    problems,
    newSecrets: target === undefined ? [] : renderings.newSecrets(service),
  }
}

/** What stands stopped is started while its change waits; then the plan has the start, and why the change waits is asked. */
function heldOf({ change, real, considered }: About, target: Target | undefined): string | null {
  const planned = real.find((each) => each.service === change.service)
  if (planned?.action === change.action || target === undefined) return planned?.held ?? null
  return hold(target, change, considered.standing)
}

function isPending({ outlook, renderings }: Sight, change: Change, already: Change[]): boolean {
  const there = already.find((each) => each.service === change.service)
  if (there === undefined || there.action !== change.action) return false
  if (change.action === 'remove') return true
  const before = outlook.targets.list.find((each) => each.service === change.service)
  const after = renderings.head.list.find((each) => each.service === change.service)
  return renderings.isSame(change.service) && before?.image.digest === after?.image.digest
}

function imageOf(change: Change, target: Target | undefined): HeadChange['image'] {
  const before = change.current === null ? null : pick(change.current.image)
  if (target === undefined) return { before, after: null }
  const isNew = change.action === 'create' || change.reasons.some(({ field }) => field === 'image')
  return isNew ? { before, after: withoutUnknown(pick(target.image)) } : null
}

const pick = ({ name, tag, digest }: ToldImage): ToldImage => ({ name, tag, digest })

const withoutUnknown = (image: ToldImage): ToldImage =>
  image.digest === unknownDigest ? { ...image, digest: '' } : image

/** Names of fields can be made of variables, too: `environment: ["${NAME}=x"]`. */
const fieldsOf = ({ hide }: Sight, change: Change): string[] =>
  [...new Set(configurationFields(change.reasons).map(hide))].slice(0, mostFields)
