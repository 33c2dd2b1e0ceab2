import { oneOffBody } from './compose/one-off-body.ts'
import { projectNetworks, projectVolumes } from './compose/project-objects.ts'
import { dependencies, isWaitedFor, namedVolumes, platform, sharedServices } from './compose/service-facts.ts'
import { type Asked, finishOpen } from './data-operations.ts'
import type { HealthPolicy, Job } from './desired-state.ts'
import { type ImageReference, samovarLabels } from './engine/engine.ts'
import { splitReference } from './engine/image-reference.ts'
import { SamovarError } from './errors.ts'
import { inForce } from './in-force.ts'
import type { NewOperation, Operation } from './journal/operation.ts'
import { everyService } from './journal/standing.ts'
import { type Loaded, maskOf } from './load.ts'
import { targetsOnce } from './look.ts'
import { newerCommit } from './newer-commit.ts'
import type { Parts } from './parts.ts'
import { type Pinned, referenceOf, resolved } from './pinned-images.ts'
import { containerOf } from './plan/plan.ts'
import { followers } from './rollout/after-job.ts'
import { type JobBody, runJob } from './rollout/run-job.ts'
import { missingSecretProblem } from './secrets/missing.ts'
import { rewriteMounted } from './secrets/rewrite.ts'
import type { Targets } from './targets.ts'
import { workOf } from './work.ts'

type NamedJob = { name: string; job: Job }

/**
 * Runs a job of host.yaml to its end. It stands in the same line as passes, backups and whatever else is asked for, so
 * it never meets a roll-out of anything it works with. A newer commit that changes the job itself, or its service, ends
 * it: a job that hangs must not keep its own fix waiting.
 *
 * @param name as in host.yaml
 * @param byHand a person asked for it
 * @throws SamovarError `not-found`; what the job itself fails for is in the operation
 */
export async function runJobNamed(asked: Asked, name: string, byHand: boolean): Promise<Operation> {
  const { parts, memory, options } = asked
  await finishOpen(asked)
  const loaded = await inForce(parts, memory)
  const { host } = loaded.state
  const job = host.jobs[name]
  if (job === undefined) throw unknownJob(name, Object.keys(host.jobs))
  const named = { name, job }
  const targets = await targetsOnce(parts, memory, loaded)
  const body = await bodyOf(parts, { loaded, targets }, named)
  const held = heldJob(parts.journal.paused(), job)
  if (held !== null) body.remark = `run by hand, although ${held.split('; ')[0]}`
  const wanted = orderOf(loaded, named, { byHand, image: body.image })
  parts.journal.writeNote('project', host.project)
  const work = workOf(parts, options, {
    project: host.project,
    root: loaded.root,
    endsByItself: (service) => isWaitedFor(loaded.model, service),
    secrets: maskOf(loaded),
  })
  const newer = newerCommit(parts, memory, { loaded, services: [job.service], hint: options.hint, job: name })
  work.newer = newer.signal
  options.busy([job.service, ...followers(job.afterwards).map(([service]) => service)])
  try {
    // What is restarted has to find its files where they were.
    if (job.afterwards.restart.length > 0)
      await rewriteMounted(parts, { loaded, running: await parts.engine.observe(host.project) })
    const operation = await runJob(work, wanted, body)
    parts.journal.forgetOldRuns(name)
    options.ended?.(operation)
    return operation
  } finally {
    newer.end()
    options.busy([])
  }
}

/** Why a schedule does not start a job now, or null. `samovar job NAME` runs it all the same. */
export function heldJob(
  paused: string[],
  { service, afterwards }: Pick<Job, 'service' | 'afterwards'>,
): string | null {
  if (paused.includes(everyService)) return 'everything is paused by a person; next: samovar resume'
  const touched = [service, ...followers(afterwards).map(([each]) => each)]
  const still = touched.find((each) => paused.includes(each))
  return still === undefined ? null : `${still} is paused by a person; next: samovar resume ${still}`
}

function unknownJob(name: string, known: string[]): SamovarError {
  return new SamovarError('not-found', `there is no job "${name}" in host.yaml`, {
    next: known.length === 0 ? 'Name it under `jobs:` in host.yaml.' : `Jobs: ${known.join(', ')}.`,
  })
}

function orderOf(
  loaded: Loaded,
  { name, job }: NamedJob,
  about: { byHand: boolean; image: ImageReference },
): NewOperation {
  const { reload, restart, ifChanged } = job.afterwards
  const volumeName = loaded.model.volumes[ifChanged?.volume ?? '']?.name ?? ''
  return {
    service: job.service,
    kind: 'job',
    commit: loaded.commit,
    from: null,
    to: about.image,
    intent: {
      members: [],
      quiesced: [],
      health: nothingToCheck,
      oldHealth: null,
      configuration: '',
      reasons: [],
      drift: false,
      ownerHealth: Object.fromEntries(
        followers(job.afterwards).map(([service]) => [
          service,
          loaded.state.services[service]?.health ?? nothingToCheck,
        ]),
      ),
      job: {
        name,
        byHand: about.byHand,
        timeout: job.timeout,
        reload,
        restart,
        watched: ifChanged === null ? null : { ...ifChanged, volumeName, before: null },
        imageId: null,
        exitCode: null,
        cutShort: false,
      },
    },
  }
}

const nothingToCheck: HealthPolicy = { within: 60_000, steady: 0, soak: 0, checks: [] }

async function bodyOf(
  parts: Parts,
  { loaded, targets }: { loaded: Loaded; targets: Targets },
  { job }: NamedJob,
): Promise<JobBody> {
  const { model } = targets
  const { service } = job
  const { image, problem } = await imageOf(parts, { loaded, targets }, service)
  const volumes = namedVolumes(model, service)
  const networks = Object.keys(model.services[service]?.networks ?? {})
  return {
    name: `${model.project}-${service}-run`,
    networks: projectNetworks(model).filter(({ name }) =>
      networks.some((key) => model.networks[key]?.name === name),
    ),
    volumes: projectVolumes(model).filter(({ name }) =>
      volumes.some((key) => model.volumes[key]?.name === name),
    ),
    image,
    problem: missingSecretProblem(loaded, service) ?? problem,
    remark: null,
    needs: dependencies(model, service),
    touches: Object.keys(model.services).filter(
      (other) => other === service || namedVolumes(model, other).some((volume) => volumes.includes(volume)),
    ),
    async of(imageId, operation) {
      const running = await parts.engine.observe(model.project)
      const containers = Object.fromEntries(
        sharedServices(model, service).flatMap((other) => {
          const current = containerOf(other, running)
          return current === null ? [] : [[other, current.instance]]
        }),
      )
      const body = await targets.body(service, imageId, containers)
      const reference = referenceOf(image)
      body.Labels[samovarLabels.image] = reference
      return oneOffBody(body, { image: reference, command: job.command, slug: operation })
    },
  }
}

/** As the file of the service says; a service with a profile may do without one, then as the Compose file says. */
async function imageOf(
  parts: Parts,
  { loaded, targets }: { loaded: Loaded; targets: Targets },
  service: string,
): Promise<Pinned> {
  const target = targets.list.find((each) => each.service === service)
  if (target !== undefined)
    return { image: target.image, problem: target.image.digest === '' ? target.problem : null }
  const written = splitReference(loaded.model.services[service]?.image ?? '')
  const tag = written.tag === '' && written.digest === '' ? 'latest' : written.tag
  const image = { ...written, tag, platform: platform(loaded.model, service) }
  if (image.name === '')
    return { image, problem: `the Compose service ${service} names no image; next: name one there` }
  return image.digest === '' ? resolved(parts, loaded.commit, image) : { image, problem: null }
}
