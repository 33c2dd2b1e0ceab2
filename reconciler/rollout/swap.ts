import { codeOf, sentenceOf } from '../errors.ts'
import type { Member, Operation } from '../journal/operation.ts'
import { goOn, holdStill, isSwapped, standStill } from './data.ts'
import type { Work } from './step.ts'

/**
 * Dependents that asked to be restarted with the service go down before it and come up after it. When its data has to
 * be cold, the service itself and all who work on that data stand still from here on.
 */
export async function quiesce(work: Work, operation: Operation): Promise<string | undefined> {
  for (const dependent of operation.intent.quiesced) await work.engine.stop(dependent)
  for (const member of operation.intent.members) {
    if (member.current === null) continue
    member.kept = await work.engine.describe(operation.id, member.current, member.service)
  }
  work.journal.saveOperation(operation)
  const dependents = operation.intent.quiesced.map((dependent) => dependent.name)
  const still = await standStill(work, operation)
  const said = dependents.length === 0 ? [] : [`stopped ${dependents.join(', ')}`]
  if (still !== undefined) said.push(still)
  return said.length === 0 ? undefined : said.join('; ')
}

/** Nothing was replaced: what was stopped or frozen for the copy of its data goes on as it was. */
export async function goOnAsBefore(work: Work, operation: Operation): Promise<string | undefined> {
  const { data, members, downSince } = operation.intent
  for (const each of data?.paused ?? []) await work.engine.unpause(each)
  const serverStopped = data?.stopAfterDumps.some((server) => isSwapped(operation, server)) === true
  if (data !== undefined && (downSince != null || serverStopped)) {
    // First of all the one whose network the others live in; one that was never stopped is left as it is.
    for (const { kept } of members) if (kept !== null) await work.engine.bringBack(kept)
  }
  const problems = await startAll(work, operation)
  const frozenMs = data?.frozenMs ?? null
  operation.downtimeMs = downSince == null ? frozenMs : work.now() - downSince + (frozenMs ?? 0)
  return problems.length === 0 ? undefined : problems.join('; ')
}

/**
 * Last of all the one whose network the others live in. Before them whoever else works on the same data: what they
 * would write from now on would be lost with a revert, and a volume is put back only while nothing runs on it.
 */
export async function setAside(work: Work, operation: Operation): Promise<string | undefined> {
  const { data, members } = operation.intent
  const others = data?.stop.filter((service) => !members.some((member) => member.service === service)) ?? []
  const stopped = await holdStill(work, operation, { services: others, how: 'stopped' })
  operation.intent.downSince ??= operation.intent.members.some((member) => member.kept?.opaque['wasRunning'])
    ? work.now()
    : null
  work.journal.saveOperation(operation)
  const kept = operation.intent.members.map((member) => member.kept).filter((each) => each !== null)
  for (const each of kept.toReversed()) await work.engine.setAside(each)
  if (data !== undefined) data.stoppedAt ??= work.now()
  return kept.length === 0 ? 'there was no old container' : stopped
}

/** First of all the one whose network the others live in. */
export async function start(work: Work, operation: Operation): Promise<string | undefined> {
  for (const member of operation.intent.members) {
    if (member.candidate !== null) await work.engine.start(operation.id, member.candidate)
  }
  return undefined
}

/** Found by label as well as by the journal: a crash may have come between the create call and its record. */
export async function removeCandidates(work: Work, operation: Operation): Promise<string | undefined> {
  const found = await work.engine.find(operation.id)
  const inJournal = operation.intent.members.map((member) => member.candidate).filter((each) => each !== null)
  const all = [...found, ...inJournal.filter((each) => !found.some((one) => one.instance === each.instance))]
  const order = operation.intent.members.map((member) => member.service)
  for (const candidate of all.toSorted((a, b) => order.indexOf(b.service) - order.indexOf(a.service)))
    await work.engine.removeCandidate(candidate)
  return undefined
}

export async function bringBack(
  work: Work,
  operation: Operation,
  which: (service: string) => boolean = () => true,
): Promise<string | undefined> {
  const kept = operation.intent.members.filter(
    (member: Member) => member.kept !== null && which(member.service),
  )
  for (const member of kept) if (member.kept !== null) await work.engine.bringBack(member.kept)
  return kept.length === 0 ? 'there was no old container to bring back' : undefined
}

/** One that cannot be started does not change how the service itself ended; the next pass mends it. */
export async function startQuiesced(work: Work, operation: Operation): Promise<string | undefined> {
  const problems = await startAll(work, operation)
  return problems.length === 0 ? undefined : problems.join('; ')
}

async function startAll(work: Work, operation: Operation): Promise<string[]> {
  const problems = await goOn(work, operation)
  for (const dependent of operation.intent.quiesced) {
    try {
      await work.engine.startAgain(dependent)
    } catch (error) {
      if (codeOf(error) === 'engine-unreachable') throw error
      problems.push(sentenceOf(error))
    }
  }
  return problems
}
