import type { Running } from '../engine/engine.ts'
import { codeOf, SamovarError, sentenceOf } from '../errors.ts'
import type { JobIntent, Operation } from '../journal/operation.ts'
import { containerOf } from '../plan/plan.ts'
import { checkRunning } from './check-health.ts'
import { lookAtFiles, type Watched, watchedInWords } from './files-fingerprint.ts'
import { mustStop, type Work } from './step.ts'

/** After a reload nobody waits longer for a service than this, whatever its policy says of a new version. */
const longestCheck = 60_000
const longestSteady = 5_000

/**
 * What follows a job that succeeded: its services are reloaded or restarted, one after the other, and each must pass
 * its own checks then. A reload cannot fail by itself: nginx goes on with its old configuration when the new one is
 * not good, so only the checks can tell.
 *
 * @throws SamovarError `health-check-failed` naming every service that is not well
 */
export async function follow(work: Work, operation: Operation): Promise<string> {
  const job = operation.intent.job as JobIntent
  if (!(await hasChanged(work, operation, job)))
    return `nothing in ${watchedInWords(job.watched as Watched)} has changed: ${namesOf(job)} not touched`
  const said: string[] = []
  const problems: string[] = []
  for (const [service, how] of followers(job)) {
    const current = containerOf(service, await work.engine.observe(work.project))
    if (current === null || (current.state !== 'running' && !isHalfRestarted(operation, current))) {
      // It reads its files when it starts, and its own roll-out sees to that.
      said.push(`${service} does not run, so there was nothing to ${how}`)
      continue
    }
    try {
      if (how === 'reload') await work.engine.signal(current, 'SIGHUP')
      else await restartService(work, operation, current)
      said.push(
        `${how === 'reload' ? 'reloaded' : 'restarted'} ${service}: ${await check(work, operation, service)}`,
      )
    } catch (error) {
      if (mustStop(work, error)) throw error
      problems.push(await notWell(work, current, { service, how, error }))
    }
  }
  const [first] = problems
  if (first !== undefined)
    throw new SamovarError(
      'health-check-failed',
      `the job itself succeeded, but ${problems.join('; and ')}`,
      {
        next: `look at it (docker logs), correct what it says, then samovar job ${job.name}`,
      },
    )
  forgetBaseline(work, job)
  return said.join('; ')
}

export const followers = ({
  reload,
  restart,
}: Pick<JobIntent, 'reload' | 'restart'>): [string, 'reload' | 'restart'][] => [
  ...reload.map((service): [string, 'reload'] => [service, 'reload']),
  ...restart
    .filter((service) => !reload.includes(service))
    .map((service): [string, 'restart'] => [service, 'restart']),
]

function namesOf(job: JobIntent): string {
  const names = followers(job).map(([service]) => service)
  return `${names.join(', ')} ${names.length === 1 ? 'was' : 'were'}`
}

async function hasChanged(work: Work, operation: Operation, job: JobIntent): Promise<boolean> {
  const { watched, imageId } = job
  if (watched === null || imageId === null) return true
  const { fingerprint } = await lookAtFiles(work.engine, operation.id, { watched, imageId })
  if (fingerprint !== watched.before) return true
  forgetBaseline(work, job)
  return false
}

/** Durable before it stops, so that a crash in between does not leave it down. */
async function restartService(work: Work, operation: Operation, current: Running): Promise<void> {
  const { instance, name, revision } = current
  if (!isHalfRestarted(operation, current)) {
    operation.intent.quiesced.push({ instance, name, revision })
    work.journal.saveOperation(operation)
    await work.engine.stop(current)
  }
  await work.engine.startAgain(current)
  operation.intent.quiesced = operation.intent.quiesced.filter((each) => each.instance !== instance)
}

/** A crash came between its stop and its start. */
const isHalfRestarted = (operation: Operation, { instance }: Running): boolean =>
  operation.intent.quiesced.some((each) => each.instance === instance)

async function check(work: Work, operation: Operation, service: string): Promise<string> {
  const policy = operation.intent.ownerHealth?.[service]
  const health = {
    within: Math.min(policy?.within ?? longestCheck, longestCheck),
    steady: Math.min(policy?.steady ?? 0, longestSteady),
    soak: 0,
    checks: policy?.checks ?? [],
  }
  return checkRunning(work, operation, { service, health })
}

async function notWell(
  work: Work,
  current: Running,
  { service, how, error }: { service: string; how: string; error: unknown },
): Promise<string> {
  const failed = codeOf(error) === 'health-check-failed' ? 'is not healthy after the' : 'could not take the'
  const lines = work.secretsKnown ? await work.engine.logs(current.instance, 1).catch(() => []) : []
  const wrote = lines[0] === undefined ? '' : `; it wrote last: ${lines[0].slice(0, 300)}`
  return work.mask(`${service} ${failed} ${how}: ${sentenceOf(error)}${wrote}`)
}

/**
 * What a change is judged against: the files as they were when the services last read them. That is before this run,
 * unless an earlier one came to no end: it may have renewed a certificate and died before anybody was told to read it.
 */
export function baselineOf(work: Work, job: JobIntent, seen: string): string {
  const place = { volume: job.watched?.volumeName, path: job.watched?.path }
  const known = JSON.parse(work.journal.note(noteOf(job)) || 'null') as
    | (typeof place & { before: string })
    | null
  if (known !== null && known.volume === place.volume && known.path === place.path) return known.before
  work.journal.writeNote(noteOf(job), JSON.stringify({ ...place, before: seen }))
  return seen
}

const forgetBaseline = (work: Work, job: JobIntent): void => {
  if (job.watched !== null) work.journal.writeNote(noteOf(job), '')
}

const noteOf = (job: JobIntent): string => `files before job ${job.name}`
