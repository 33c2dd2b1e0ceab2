import type { Dependency } from '../compose/service-facts.ts'
import type { Running } from '../engine/engine.ts'
import { SamovarError, sentenceOf } from '../errors.ts'
import type { Operation } from '../journal/operation.ts'
import { containerOf } from '../plan/plan.ts'
import { leastFreeDisk } from './prepare.ts'
import type { JobBody } from './run-job.ts'
import type { Work } from './step.ts'

/** So much of what a job wrote stays in the journal. */
const mostLines = 200
const mostBytes = 64 * 1024

/** Everything that can be known before a container is made. */
export async function preflightJob(work: Work, operation: Operation, body: JobBody): Promise<string> {
  if (work.stopping.aborted) throw new SamovarError('interrupted', 'Samovar was told to stop before it began')
  if (body.problem !== null) throw new SamovarError('image-unavailable', body.problem)
  const half = work.journal.dirty().find((each) => body.touches.includes(each.service))
  if (half !== undefined)
    throw new SamovarError(
      'restore-incomplete',
      `the data of ${half.service} is only half put back, so nothing works on it`,
      { next: `samovar restore ${half.backup}` },
    )
  const running = await work.engine.observe(work.project)
  await removeLeftovers(work, operation, running)
  for (const need of body.needs) refuseWithout(need, running)
  const free = await work.engine.freeDisk()
  if (free !== null && free < leastFreeDisk)
    throw new SamovarError('disk-full', `only ${Math.floor(free / 1024 ** 2)} MiB of disk are free`)
  const { image } = body
  const held = await work.engine.holdImage(image, (progress) => work.progress.pull(operation, progress))
  const { name, tag, digest } = image
  work.journal.rememberImage({ digest, id: held.id, name, tag, pulled: held.pulled, at: work.now() })
  const remark = body.remark === null ? '' : `; ${body.remark}`
  return `image is local: ${name}:${tag}@${digest}${remark}`
}

/** A run of before whose container could not be taken away then: two must not work on the same files. */
async function removeLeftovers(work: Work, operation: Operation, running: Running[]): Promise<void> {
  for (const each of running)
    if (each.oneOff && each.service === operation.service && each.operation !== '')
      await work.engine.removeOneOffs(each.operation)
}

function refuseWithout({ service, condition, required }: Dependency, running: Running[]): void {
  if (!required) return
  const current = containerOf(service, running)
  const state = current === null ? 'has no container' : `is ${current.state}`
  const isRight =
    condition === 'service_completed_successfully'
      ? current?.state === 'exited' && current.exitCode === 0
      : current?.state === 'running'
  if (!isRight)
    throw new SamovarError('job-failed', `it needs ${service}, which ${state}`, {
      next: `samovar status says why ${service} does not run`,
    })
  if (condition === 'service_healthy' && current?.health !== 'healthy')
    throw new SamovarError('job-failed', `it needs ${service} to be healthy, which is ${current?.health}`, {
      next: `samovar status says more of ${service}`,
    })
}

/** The last lines a container wrote, without secrets; those are taken out before anything is cut. */
export async function logOf(work: Work, instance: string): Promise<string> {
  if (!work.secretsKnown) return 'not recorded: the secrets of its commit are not known'
  try {
    const text = work.mask((await work.engine.logs(instance, mostLines)).join('\n'))
    const bytes = Buffer.from(text)
    if (bytes.length <= mostBytes) return text
    // The first line may be cut in the middle of a character.
    return bytes
      .subarray(-mostBytes)
      .toString('utf8')
      .replace(/^[^\n]*\n/, '')
  } catch (error) {
    return `its log could not be read: ${sentenceOf(error)}`
  }
}
