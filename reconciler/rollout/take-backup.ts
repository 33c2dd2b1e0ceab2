import { readManifest } from '../backup/read-manifest.ts'
import { requiredOnes, verifyBackup } from '../backup/verify.ts'
import { codeOf, reasonOf, SamovarError, sentenceOf } from '../errors.ts'
import type { NewOperation, Operation, OperationResult } from '../journal/operation.ts'
import { containerOf } from '../plan/plan.ts'
import { backUp, prove } from './back-up.ts'
import { meansOf, prepareData, storesOf } from './data.ts'
import type { Body, Work } from './step.ts'
import { mustStop, stepsOf } from './step.ts'
import { goOnAsBefore, quiesce } from './swap.ts'

/**
 * A backup by itself: on a schedule, or because a person asked. As before an update, but nothing is replaced, and the
 * service goes on before the backup is read back.
 */
export async function takeBackupAlone(
  work: Work,
  wanted: NewOperation,
  configuration: Body['configuration'],
): Promise<Operation> {
  const operation = work.journal.beginOperation(wanted, work.now())
  const step = stepsOf(work, operation)
  try {
    await step('preflight', () => prepareData(work, operation))
    await step('quiesce', () => quiesce(work, operation))
    await step('back up', () => backUp(work, operation, configuration))
    operation.decision = 'keep'
    let down: string | undefined
    await step('go on as before', async () => {
      down = await goOnAsBefore(work, operation)
      return down
    })
    await step('prove backup', () => prove(work, operation))
    // The backup is good, but somebody has to look: what stood still for it does not run.
    return down === undefined
      ? end(work, operation, 'applied', '')
      : end(
          work,
          operation,
          'stuck',
          `the backup is complete, but ${down}; next: start it (samovar apply), and look why (samovar show ${operation.id})`,
        )
  } catch (error) {
    // Told to stop: what stands still goes on first, for nobody knows when the next start is.
    if (codeOf(error) === 'engine-unreachable') return operation
    return leaveBackup(work, operation, reasonOf(error))
  }
}

/** A copy that was cut short is not gone on with: what stood still goes on, and the next backup is a whole one. */
export async function resumeBackup(work: Work, operation: Operation): Promise<Operation> {
  const complete = operation.intent.data?.backup !== null
  return leaveBackup(
    work,
    operation,
    complete
      ? 'Samovar was cut short when the backup was complete, before it was proven'
      : 'Samovar was cut short during the backup',
  )
}

async function leaveBackup(work: Work, operation: Operation, reason: string): Promise<Operation> {
  try {
    operation.decision = operation.decision === 'forward' ? 'leave' : operation.decision
    work.journal.saveOperation(operation)
    await work.engine.removeScratch(operation.id)
    await stepsOf(work, operation)('go on as before', () => goOnAsBefore(work, operation))
    return end(work, operation, 'untouched', reason)
  } catch (error) {
    if (mustStop(work, error)) return operation
    return end(work, operation, 'stuck', `${reason}; and then: ${sentenceOf(error)}`)
  }
}

/**
 * Proves a backup that exists, in every store that has it.
 *
 * @param wanted intent.level says how deep
 */
export async function verifyAlone(work: Work, wanted: NewOperation): Promise<Operation> {
  const operation = work.journal.beginOperation(wanted, work.now())
  const { data, level = 1 } = wanted.intent
  const step = stepsOf(work, operation)
  try {
    if (data?.backup == null) throw new SamovarError('not-found', 'there is no backup to verify')
    const { key, id } = data.backup
    operation.backup = id
    const stores = await storesOf(work, data)
    const required = new Set(requiredOnes(stores))
    const running = await work.engine.observe(work.project)
    const programsOf = async (server: string): Promise<string | null> => {
      const current = containerOf(server, running)
      return current?.state === 'running' ? current.instance : null
    }
    const problems: string[] = []
    let copies = 0
    for (const each of stores) {
      await step(`verify in ${each.store.name}`, async () => {
        try {
          const manifest = await readManifest(each.store, key)
          copies += 1
          const about = { operation: operation.id, key, manifest, level, programsOf }
          const verdict = await verifyBackup(meansOf(work, operation), each.store, about)
          if (verdict.ok) return `good at level ${level}`
          problems.push(...verdict.problems.map((problem) => `${each.store.name}: ${problem}`))
          return verdict.problems.join('; ')
        } catch (error) {
          // Each store keeps as long as its own `keep` says.
          if (codeOf(error) === 'not-found') return 'it does not have this backup'
          if (required.has(each) || mustStop(work, error)) throw error
          problems.push(`${each.store.name}: ${sentenceOf(error)}`)
          return sentenceOf(error)
        }
      })
    }
    if (copies === 0 && problems.length === 0)
      throw new SamovarError('not-found', `no store has backup ${id} any more`)
    if (problems.length === 0) return end(work, operation, 'applied', `good at level ${level}`)
    return end(work, operation, 'untouched', `backup ${id} is damaged: ${problems.join('; ')}`)
  } catch (error) {
    if (mustStop(work, error)) return operation
    return end(work, operation, 'untouched', reasonOf(error))
  }
}

export async function resumeVerify(work: Work, operation: Operation): Promise<Operation> {
  await work.engine.removeScratch(operation.id)
  return end(work, operation, 'untouched', 'Samovar was cut short during the verification')
}

/** Nothing of a backup says anything about the version that runs: no setback, no quarantine. */
export function end(work: Work, operation: Operation, result: OperationResult, reason: string): Operation {
  operation.result = result
  operation.reason = work.mask(reason)
  operation.finishedAt = work.now()
  work.journal.saveOperation(operation)
  return operation
}
