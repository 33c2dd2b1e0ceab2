import { readManifest } from '../backup/read-manifest.ts'
import { verifyBackup } from '../backup/verify.ts'
import { codeOf, reasonOf, SamovarError, sentenceOf } from '../errors.ts'
import type { NewOperation, Operation } from '../journal/operation.ts'
import { containerOf } from '../plan/plan.ts'
import { backUp, prove } from './back-up.ts'
import { checkRestored } from './check-health.ts'
import { holdStill, meansOf, prepareData, storesOf } from './data.ts'
import { putAway, putBack, touched } from './put-back.ts'
import { type Body, mustStop, onlyOnce, type Step, stepsOf, type Work } from './step.ts'
import { goOnAsBefore } from './swap.ts'
import { end } from './take-backup.ts'
import { settleStuck, stuckOnData, takeOverStuck } from './take-over-stuck.ts'

/**
 * Puts the data of a backup back in place, as a runbook: prove the backup, copy what is there now, stop, put back,
 * start, check. The services keep their version; what runs is judged by its own health checks.
 *
 * Up to `put back data` everything can be left as it is. From there on the only way is forward: half restored data is
 * served to nobody.
 *
 * @param body null: what is there now is not backed up first
 */
export async function restore(
  work: Work,
  wanted: NewOperation,
  configuration: Body['configuration'] | null,
): Promise<Operation> {
  const operation = work.journal.beginOperation(wanted, work.now())
  const step = stepsOf(work, operation)
  const stuck = operation.intent.data !== undefined && stuckOnData(work, operation.intent.data).length > 0
  try {
    if (stuck) await step('take over', () => takeOverStuck(work, operation))
    await step('preflight', () => prepareData(work, operation))
    await step('prove backup', () => proveChosen(work, operation))
    await step('quiesce', () => stopAll(work, operation))
    if (configuration !== null) await step('safety backup', () => backUpFirst(work, operation, configuration))
    operation.decision = 'keep'
  } catch (error) {
    if (codeOf(error) === 'engine-unreachable') return operation
    return leaveRestore(work, operation, reasonOf(error))
  }
  return putBackAndCheck(work, operation, step)
}

/** Cut short before anything was replaced: it goes on as before. After that: it is put back to the end. */
export async function resumeRestore(work: Work, operation: Operation): Promise<Operation> {
  await work.engine.removeScratch(operation.id)
  if (operation.decision !== 'keep' && !work.journal.begun(operation.id, 'put back data'))
    return leaveRestore(work, operation, 'Samovar was cut short before anything was put back')
  return putBackAndCheck(work, operation, stepsOf(work, operation))
}

async function putBackAndCheck(work: Work, operation: Operation, step: Step): Promise<Operation> {
  const once = onlyOnce(work, operation, step)
  try {
    await once('put back data', () => putBack(work, operation))
    await step('start', () => goOnAsBefore(work, operation))
    await step('check health', () => checkRestored(work, operation))
    await step('put away', () => putAway(work, operation))
    await settleStuck(work, operation)
    return end(work, operation, 'applied', whatWasRestored(operation))
  } catch (error) {
    if (mustStop(work, error)) return operation
    return end(work, operation, 'stuck', `${reasonOf(error)}${wayBack(work, operation)}`)
  }
}

async function leaveRestore(work: Work, operation: Operation, reason: string): Promise<Operation> {
  try {
    operation.decision = 'leave'
    work.journal.saveOperation(operation)
    await stepsOf(work, operation)('go on as before', () => goOnAsBefore(work, operation))
    return end(work, operation, 'untouched', reason)
  } catch (error) {
    if (mustStop(work, error)) return operation
    return end(work, operation, 'stuck', `${reason}; and then: ${sentenceOf(error)}`)
  }
}

/** A damaged backup is found before anything is stopped for it. One whole copy in one store is enough. */
async function proveChosen(work: Work, operation: Operation): Promise<string> {
  const { data } = operation.intent
  if (data?.backup == null) throw new Error('a restore without a backup')
  const { key, id } = data.backup
  const running = await work.engine.observe(work.project)
  const programsOf = async (server: string): Promise<string | null> => {
    const current = containerOf(server, running)
    return current?.state === 'running' ? current.instance : null
  }
  const problems: string[] = []
  let damaged = false
  for (const { store } of await storesOf(work, data)) {
    try {
      // Its own manifest: that of another store may be what was changed.
      const manifest = await readManifest(store, key)
      const about = { operation: operation.id, key, manifest, level: 1 as const, programsOf }
      const verdict = await verifyBackup(meansOf(work, operation), store, about)
      if (verdict.ok) {
        data.proven = store.name
        return `whole in ${store.name}`
      }
      damaged = true
      problems.push(...verdict.problems.map((each) => `${store.name}: ${each}`))
    } catch (error) {
      const fault = codeOf(error)
      if (fault !== 'store-failed' && fault !== 'not-found' && fault !== 'backup-damaged') throw error
      damaged ||= fault === 'backup-damaged'
      problems.push(sentenceOf(error))
    }
  }
  throw new SamovarError(
    damaged ? 'backup-damaged' : 'store-failed',
    `backup ${id} is ${damaged ? 'damaged' : 'not to be had'}: ${problems.join('; ')}; nothing was restored`,
  )
}

async function stopAll(work: Work, operation: Operation): Promise<string | undefined> {
  const { data } = operation.intent
  if (data === undefined) return undefined
  // Whatever a backup of it does otherwise: what is copied first is as cold as what is put back.
  data.while = 'stopped'
  return holdStill(work, operation, { services: data.stop, how: 'stopped' })
}

/** What is there now, so that a wrong restore can be taken back. It is named in the journal. */
async function backUpFirst(
  work: Work,
  operation: Operation,
  configuration: Body['configuration'],
): Promise<string> {
  const { data } = operation.intent
  if (data === undefined) throw new Error('a restore without data')
  const wanted = data.backup
  data.class = 'before-restore'
  const said = await backUp(work, operation, configuration)
  const proven = await prove(work, operation)
  operation.intent.safetyBackup = data.backup?.id ?? ''
  data.backup = wanted
  data.without = []
  operation.backup = wanted?.id ?? null
  work.journal.saveOperation(operation)
  return `${said}; ${proven}`
}

function whatWasRestored(operation: Operation): string {
  const { data, safetyBackup } = operation.intent
  const safety = safetyBackup === undefined ? '' : `; what was there before is backup ${safetyBackup}`
  return `data of ${new Date(data?.backup?.dataFrom ?? 0).toISOString()}${safety}`
}

/** The next step for a person when the restored data does not serve. */
function wayBack(work: Work, operation: Operation): string {
  const { data, safetyBackup } = operation.intent
  const dirty = new Set(work.journal.dirty().map((each) => each.service))
  const half = data !== undefined && touched(data).some((each) => dirty.has(each))
  const said = half ? '; the data is only half put back, and nothing was started on it' : ''
  const ways = [
    ...(half ? [`samovar restore ${data?.backup?.id} once more`] : []),
    ...(safetyBackup === undefined ? [] : [`samovar restore ${safetyBackup} takes it back`]),
  ]
  return ways.length === 0 ? said : `${said}; next: ${ways.join(', or ')}`
}
