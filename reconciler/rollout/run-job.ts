import type { Dependency } from '../compose/service-facts.ts'
import type { ContainerBody, NetworkBody, VolumeBody } from '../engine/container-body.ts'
import type { Candidate, ImageReference } from '../engine/engine.ts'
import { reasonOf, SamovarError, sentenceOf } from '../errors.ts'
import { durationInWords } from '../health/clock.ts'
import type { JobIntent, NewOperation, Operation } from '../journal/operation.ts'
import { baselineOf, follow, followers } from './after-job.ts'
import { lookAtFiles, watchedInWords } from './files-fingerprint.ts'
import { logOf, preflightJob } from './job-container.ts'
import { mustStop, type Step, stepsOf, type Work } from './step.ts'
import { end } from './take-backup.ts'

/** The making of a job's container: what cannot be in the journal, since it may hold secrets. */
export type JobBody = {
  /** The name its container gets. */
  name: string
  networks: NetworkBody[]
  volumes: VolumeBody[]
  image: ImageReference
  /** Why it cannot run as it is, or null. */
  problem: string | null
  /** What a person should know though it runs, or null. */
  remark: string | null
  /** Services that must run meanwhile. */
  needs: Dependency[]
  /** Services whose data must be whole. */
  touches: string[]
  of(imageId: string, operation: string): Promise<ContainerBody>
}

/** How often a job is taken up again after its process died, before it is given up. */
const mostAttempts = 3

/**
 * A job, as a runbook: its container is made, runs to its end or to the time limit, and on success the services that
 * read what it made are told to. Whatever happens, nothing of it is left on the host. `applied` is a success,
 * `untouched` a failure.
 */
export async function runJob(work: Work, wanted: NewOperation, body: JobBody): Promise<Operation> {
  const operation = work.journal.beginOperation(wanted, work.now())
  const step = stepsOf(work, operation)
  try {
    await step('preflight', () => preflightJob(work, operation, body))
    await step('create', () => create(work, operation, body))
    await step('run', () => run(work, operation))
  } catch (error) {
    if (isAway(work, error)) return operation
    return leave(work, operation, reasonOf(error))
  }
  return succeed(work, operation, step)
}

/**
 * Goes on with a job that a crash cut short. One that still runs is stopped: nobody knows what it waits for, and its
 * time limit had no keeper. One that ended meanwhile by itself counts as what it was.
 */
export async function resumeJob(work: Work, operation: Operation): Promise<Operation> {
  const job = operation.intent.job as JobIntent
  const step = stepsOf(work, operation)
  try {
    if (operation.decision === 'leave') return await leave(work, operation, operation.reason)
    job.exitCode ??= await exitCodeOf(work, operation)
    if (job.exitCode === null || operation.attempts > mostAttempts) {
      job.cutShort = true
      return await leave(work, operation, 'Samovar was cut short while it ran')
    }
    const done =
      job.exitCode === 0
        ? await succeed(work, operation, step)
        : await leave(work, operation, `exit code ${job.exitCode}, while Samovar did not run`)
    // It came to its end: the schedule need not make it up.
    if (done.result !== 'running' && !job.byHand) work.journal.endRound(`job ${job.name}`, 'done', work.now())
    return done
  } catch (error) {
    if (mustStop(work, error)) return operation
    throw error
  }
}

async function create(work: Work, operation: Operation, body: JobBody): Promise<string> {
  const job = operation.intent.job as JobIntent
  const { engine } = work
  await engine.prepare(body.networks, body.volumes)
  const { id } = await engine.holdImage(body.image)
  job.imageId = id
  const candidate = await engine.create(operation.id, await body.of(id, operation.id), {
    name: body.name,
    platform: body.image.platform,
  })
  const created = `created ${candidate.name}`
  if (job.watched === null) return created
  const { files, fingerprint } = await lookAtFiles(engine, operation.id, {
    watched: job.watched,
    imageId: id,
  })
  job.watched.before = baselineOf(work, job, fingerprint)
  return `${created}; ${files} ${files === 1 ? 'file' : 'files'} in ${watchedInWords(job.watched)}`
}

async function run(work: Work, operation: Operation): Promise<string> {
  const job = operation.intent.job as JobIntent
  const { engine } = work
  const candidate = await containerOfJob(work, operation)
  if (candidate === null) throw new SamovarError('changed', 'the container of the job is gone')
  stopped(work)
  const began = work.clock.now()
  await engine.start(operation.id, candidate)
  const exitCode = await untilEnded(work, candidate.instance, job.timeout)
  const took = durationInWords(work.clock.now() - began)
  if (exitCode === null) {
    const why = whyCut(work, took, job.timeout)
    // First durable why, then stop: a crash in between must not take it for an end of its own.
    operation.decision = 'leave'
    operation.reason = why.message
    job.cutShort = why.code !== 'job-failed'
    work.journal.saveOperation(operation)
    await engine.stop(await stillThere(work, candidate))
    throw new SamovarError(why.code, `${why.message}${await lastLine(work, candidate.instance)}`)
  }
  job.exitCode = exitCode
  if (exitCode !== 0)
    throw new SamovarError(
      'job-failed',
      `exit code ${exitCode} after ${took}${await lastLine(work, candidate.instance)}`,
    )
  return `exit code 0 after ${took}`
}

/** Null when it was not over at its time limit, at the end of the process, or when a newer commit changes it. */
async function untilEnded(work: Work, instance: string, timeout: number): Promise<number | null> {
  const over = new AbortController()
  const limit = new AbortController()
  void work.clock.sleep(timeout, over.signal).then(() => limit.abort())
  try {
    return await work.engine.ended(instance, AbortSignal.any([limit.signal, work.stopping, work.newer]))
  } finally {
    over.abort()
  }
}

function whyCut(
  work: Work,
  took: string,
  timeout: number,
): { code: 'interrupted' | 'pre-empted' | 'job-failed'; message: string } {
  if (work.stopping.aborted)
    return { code: 'interrupted', message: `it was stopped after ${took}, since Samovar was told to stop` }
  if (work.newer.aborted)
    return { code: 'pre-empted', message: `it was stopped after ${took}: ${sentenceOf(work.newer.reason)}` }
  return { code: 'job-failed', message: `it was stopped at its time limit of ${durationInWords(timeout)}` }
}

async function succeed(work: Work, operation: Operation, step: Step): Promise<Operation> {
  const job = operation.intent.job as JobIntent
  operation.decision = 'keep'
  let said = ''
  try {
    if (followers(job).length > 0)
      await step('afterwards', async () => {
        said = await follow(work, operation)
        return said
      })
  } catch (error) {
    if (isAway(work, error)) return operation
    return leave(work, operation, reasonOf(error))
  }
  try {
    await step('take away', () => takeAway(work, operation))
  } catch (error) {
    if (isAway(work, error)) return operation
    said = [said, `its container is still there: ${sentenceOf(error)}`]
      .filter((text) => text !== '')
      .join('; ')
  }
  return end(work, operation, 'applied', said)
}

/** It failed: whatever it left on the host is taken away, and what it stopped runs again. */
async function leave(work: Work, operation: Operation, reason: string): Promise<Operation> {
  operation.decision = 'leave'
  operation.reason = work.mask(reason)
  work.journal.saveOperation(operation)
  const problems: string[] = []
  try {
    await stepsOf(work, operation)('take away', async () => {
      for (const each of operation.intent.quiesced)
        await work.engine.startAgain(each).catch((error: unknown) => {
          if (isAway(work, error)) throw error
          problems.push(sentenceOf(error))
        })
      return takeAway(work, operation)
    })
  } catch (error) {
    if (isAway(work, error)) return operation
    problems.push(sentenceOf(error))
  }
  const [sentence = '', next] = reason.split('; next: ')
  const more = problems.map((each) => `; and then: ${each}`).join('')
  return end(work, operation, 'untouched', `${sentence}${more}${next === undefined ? '' : `; next: ${next}`}`)
}

/** The log goes into the journal, since it goes with the container. */
async function takeAway(work: Work, operation: Operation): Promise<string | undefined> {
  const candidate = await containerOfJob(work, operation)
  const log = candidate === null ? '' : await logOf(work, candidate.instance)
  await work.engine.removeScratch(operation.id)
  await work.engine.removeOneOffs(operation.id)
  return log === '' ? undefined : `it wrote:\n${log}`
}

const containerOfJob = async (work: Work, operation: Operation): Promise<Candidate | null> =>
  (await work.engine.find(operation.id))[0] ?? null

/** `start` has given it its name. */
async function stillThere(work: Work, candidate: Candidate) {
  const { name } = await work.engine.inspect(candidate.instance)
  return { instance: candidate.instance, name, revision: '' }
}

async function exitCodeOf(work: Work, operation: Operation): Promise<number | null> {
  const candidate = await containerOfJob(work, operation)
  if (candidate === null) return null
  const { state, exitCode } = await work.engine.inspect(candidate.instance)
  return state === 'exited' ? exitCode : null
}

async function lastLine(work: Work, instance: string): Promise<string> {
  const last = (await logOf(work, instance)).split('\n').at(-1) ?? ''
  return last === '' ? '' : `: ${last.slice(0, 300)}`
}

/** Without an engine nothing can be taken away; the next pass that finds it goes on. */
const isAway = (work: Work, error: unknown): boolean =>
  mustStop(work, error) && !(error instanceof SamovarError && error.code === 'interrupted')

function stopped(work: Work): void {
  if (work.stopping.aborted) throw new SamovarError('interrupted', 'Samovar was told to stop before it began')
}
