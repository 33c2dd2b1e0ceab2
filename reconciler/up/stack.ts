import { checkServices } from '../check-services.ts'
import { rememberPass } from '../current-status.ts'
import { SamovarError } from '../errors.ts'
import { runJobNamed } from '../jobs.ts'
import type { Operation } from '../journal/operation.ts'
import type { Loaded } from '../load.ts'
import { look, type Outlook } from '../look.ts'
import type { Plan } from '../plan/plan.ts'
import { pass } from '../reconcile.ts'
import type { UpContext } from './context.ts'
import { done, fine, problem, type UpStep, warning } from './step.ts'

/** What an earlier run left half done is finished by the first, which may keep others waiting for the next. */
const mostPasses = 3

/**
 * Passes over everything that is not held by a missing secret.
 *
 * @returns what was seen last, or null when the daemon does the work
 * @throws SamovarError `interrupted`, and what a pass throws
 */
export async function* bringUp(context: UpContext): AsyncGenerator<UpStep, Outlook | null> {
  if (context.hasDaemon) {
    yield fine('stack', 'the daemon runs and looks after it')
    return null
  }
  const last = new Map<string, Operation>()
  for (let passes = 1; ; passes += 1) {
    const { outlook, operations, plan } = await onePass(context)
    for (const operation of operations) last.set(operation.service, operation)
    const isOver = operations.every((each) => each.result === 'applied') || passes === mostPasses
    if (!isOver) continue
    yield* toldOf([...last.values()], plan)
    return outlook
  }
}

async function onePass(
  context: UpContext,
): Promise<{ outlook: Outlook | null; operations: Operation[]; plan: Plan | null }> {
  const { parts, memory, options, isSwitched } = context
  let outlook: Outlook | null = null
  const report = await pass(parts, memory, {
    ...options,
    // Nobody uses it yet. Later a window is a window, also for this verb.
    now: !isSwitched,
    isFirstStart: !isSwitched,
    looked: (seen) => {
      outlook = seen
    },
    ended: (operation) => {
      context.operations.set(operation.service, operation)
      options.ended?.(operation)
    },
  })
  if (options.stopping.aborted) throw new SamovarError('interrupted', 'Samovar was told to stop')
  rememberPass(parts, report, outlook)
  return { outlook, operations: report.operations, plan: report.plan }
}

function* toldOf(operations: Operation[], plan: Plan | null): Generator<UpStep> {
  for (const { service, result, reason, id } of operations)
    if (result !== 'applied')
      yield problem(
        'stack',
        `${service} ${result}: ${sentence(reason)}`,
        `samovar show ${id} has its last log lines`,
      )
  // For the runners it is made later.
  for (const { service, held } of plan?.changes ?? [])
    if (held !== null && !/RUNNER_\w*TOKEN/.test(held))
      yield warning(
        'stack',
        `${service} is held: ${sentence(held)}`,
        held.split('; next: ')[1] ?? 'samovar plan says more',
      )
  const applied = operations.filter((each) => each.result === 'applied').map((each) => each.service)
  yield applied.length > 0
    ? done('stack', `started: ${applied.join(', ')}`)
    : fine('stack', 'nothing to roll out')
}

const sentence = (reason: string): string => reason.split('; next: ')[0] ?? ''

/**
 * Runs the jobs that bring certificates, while the checks of the door do not pass: on a new host the first certificate can
 * only be had when the door is open. What a job fails for is a warning: a name without an address is the usual reason.
 */
export async function* firstCertificates(context: UpContext, loaded: Loaded): AsyncGenerator<UpStep> {
  if (context.isSwitched || context.hasDaemon) return
  for (const name of Object.keys(loaded.state.host.jobs).filter((each) => /certificate/i.test(each))) {
    const operation = await runJobNamed(context, name, true)
    yield operation.result === 'applied'
      ? done('certificates', `the job ${name} came to a good end`)
      : warning(
          'certificates',
          `the job ${name} failed: ${sentence(operation.reason)}`,
          `samovar show ${operation.id} has its last log lines; when the name leads to this host: samovar job ${name}`,
        )
  }
}

/** Longer than what has just been started takes; nobody wants to wait for a name that leads nowhere. */
const longestWait = 3 * 60_000

/**
 * Everything through its own checks, through the door as well, now that all of it stands.
 *
 * @param skip services that are held
 */
export async function* checkEverything(
  { parts, options, wanted }: UpContext,
  loaded: Loaded,
  skip: ReadonlySet<string>,
): AsyncGenerator<UpStep> {
  const { stopping } = options
  const asked = { parts, skip, stopping, longest: longestWait, waiting: wanted.waiting }
  const good: string[] = []
  for (const { service, container, outcome } of await checkServices(asked, loaded)) {
    if ('healthy' in outcome && !outcome.healthy)
      yield problem(
        'checks',
        `${service}: ${outcome.said}`,
        `docker logs ${container} may say why; correct it, then run up again.`,
      )
    else good.push(service)
  }
  if (good.length > 0) yield fine('checks', `healthy: ${good.join(', ')}`)
}

/** The host as it is now. */
export const lookAgain = async (context: UpContext): Promise<Outlook | null> => {
  const seen = await look(context.parts, context.memory, { fetch: false, ignoreWindows: false })
  return 'plan' in seen ? seen : null
}
