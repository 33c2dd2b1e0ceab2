import { codeOf, sentenceOf } from '../errors.ts'
import type { Member, Operation } from '../journal/operations.ts'
import type { Work } from './step.ts'

/** Dependents that asked to be restarted with the service go down before it and come up after it. */
export async function quiesce(work: Work, operation: Operation): Promise<string | undefined> {
  for (const dependent of operation.intent.quiesced) await work.engine.stop(dependent)
  for (const member of operation.intent.members) {
    if (member.current === null) continue
    member.kept = await work.engine.describe(operation.id, member.current, member.service)
  }
  return operation.intent.quiesced.length === 0
    ? undefined
    : `stopped ${operation.intent.quiesced.map((dependent) => dependent.name).join(', ')}`
}

/** Last of all the one whose network the others live in. */
export async function setAside(work: Work, operation: Operation): Promise<string | undefined> {
  operation.intent.downSince ??= operation.intent.members.some((member) => member.kept?.opaque['wasRunning'])
    ? work.now()
    : null
  work.journal.saveOperation(operation)
  const kept = operation.intent.members.map((member) => member.kept).filter((each) => each !== null)
  for (const each of kept.toReversed()) await work.engine.setAside(each)
  return kept.length === 0 ? 'there was no old container' : undefined
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

export async function bringBack(work: Work, operation: Operation): Promise<string | undefined> {
  const kept = operation.intent.members.filter((member: Member) => member.kept !== null)
  for (const member of kept) if (member.kept !== null) await work.engine.bringBack(member.kept)
  return kept.length === 0 ? 'there was no old container to bring back' : undefined
}

/** One that cannot be started does not change how the service itself ended; the next pass mends it. */
export async function startQuiesced(work: Work, operation: Operation): Promise<string | undefined> {
  const problems: string[] = []
  for (const dependent of operation.intent.quiesced) {
    try {
      await work.engine.startAgain(dependent)
    } catch (error) {
      if (codeOf(error) === 'engine-unreachable') throw error
      problems.push(sentenceOf(error))
    }
  }
  return problems.length === 0 ? undefined : problems.join('; ')
}
