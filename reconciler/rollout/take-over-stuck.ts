import type { DataIntent, Operation } from '../journal/operation.ts'
import { quarantine } from './settle.ts'
import type { Work } from './step.ts'
import { removeCandidates } from './swap.ts'

/**
 * A revert that got stuck on its data left the old containers set aside, and a restore that did left the services
 * stopped. A restore of that data ends it: the old containers come back with the data, database servers at once, since
 * the data is put back into them.
 */
export function stuckOnData(work: Pick<Work, 'journal'>, data: DataIntent): Operation[] {
  const services = new Set([...data.owners, ...data.databases.map((each) => each.server)])
  const last = [...services].map((service) => work.journal.lastRollOut(service))
  const reverts = last.filter((each) => each?.decision === 'revert' && !work.journal.isRetried(each.id))
  const half = work.journal.dirty().filter((each) => services.has(each.service))
  const restores = new Set(half.map((each) => each.operation))
  const earlier = [...restores]
    .map((id) => work.journal.operation(id))
    .filter((each) => each?.kind === 'restore')
  return [...reverts, ...earlier].filter((each) => each?.result === 'stuck') as Operation[]
}

export async function takeOverStuck(work: Work, operation: Operation): Promise<string> {
  const { data } = operation.intent
  if (data === undefined) throw new Error('a restore without data')
  const servers = new Set(data.databases.map((each) => each.server))
  const taken: string[] = []
  for (const stuck of stuckOnData(work, data)) {
    await removeCandidates(work, stuck)
    const own = stuck.intent.members.map((member) => member.kept).filter((kept) => kept !== null)
    for (const kept of [...own, ...(stuck.intent.data?.stopped ?? [])]) {
      if (servers.has(kept.service)) await work.engine.bringBack(kept)
      else if (!data.stopped.some((each) => each.instance === kept.instance)) data.stopped.push(kept)
      taken.push(kept.name)
    }
    operation.intent.tookOver = [...(operation.intent.tookOver ?? []), stuck.id]
    work.journal.saveOperation(operation)
  }
  return `${taken.join(', ')} will run again as before`
}

/** The stuck roll-outs are over: what they wanted is not tried again until the desired state changes. */
export async function settleStuck(work: Work, operation: Operation): Promise<void> {
  for (const id of operation.intent.tookOver ?? []) {
    const stuck = work.journal.operation(id)
    if (stuck === null) continue
    await quarantine(work, stuck)
    work.journal.writeNote(`retried ${id}`, 'yes')
  }
}
