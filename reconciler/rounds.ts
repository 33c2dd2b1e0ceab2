import { schedule } from 'node-cron'
import { backUpServices, verifyBackups } from './data-operations.ts'
import type { Host } from './desired-state.ts'
import { reasonOf, sentenceOf } from './errors.ts'
import { inForce } from './in-force.ts'
import { heldJob, runJobNamed } from './jobs.ts'
import type { Round } from './journal/data-records.ts'
import type { Operation } from './journal/operation.ts'
import type { Memory } from './look.ts'
import type { Parts } from './parts.ts'
import {
  judgeRounds,
  type LastRound,
  type RoundName,
  roundOfJob,
  type Schedule,
  type Schedules,
  schedulesIn,
} from './plan/rounds.ts'
import { pruneBackups } from './prune-backups.ts'
import type { PassOptions } from './work.ts'

/**
 * Rings at the moments of the schedules in host.yaml; set anew when they change. It only says "look": what is due
 * follows from the journal, so that a moment the machine slept through is made up once. The poll looks too, so a
 * moment that node-cron sees otherwise (a day of the month together with a weekday, a clock change) comes with that.
 *
 * @param ring is called with the name of the round
 * @param stopping ends the alarms, which would keep the process alive
 */
export function alarmClock(ring: (round: RoundName) => void, stopping: AbortSignal) {
  let set = ''
  let tasks: ReturnType<typeof schedule>[] = []
  const stop = () => {
    for (const task of tasks) void task.destroy()
    tasks = []
  }
  stopping.addEventListener('abort', stop, { once: true })
  return (host: Host | undefined): void => {
    const schedules = schedulesOf(host)
    const wanted = JSON.stringify(schedules)
    if (wanted === set || stopping.aborted) return
    set = wanted
    stop()
    for (const [name, wish] of schedulesIn(schedules)) {
      const task = schedule(wish.expression, () => ring(name), { timezone: wish.timezone })
      // The machine slept, or was too busy at the very second: late is better than with the next poll.
      task.on('execution:missed', () => ring(name))
      tasks.push(task)
    }
  }
}

/**
 * Backups, verifications and the removal of old backups that are due now. Called after a pass, so never at the same
 * time as a roll-out. A round that fails is recorded as such and comes again at its next moment; one that was cut by
 * the end of the process is made up once.
 */
export async function roundsThatAreDue(
  parts: Parts,
  memory: Memory,
  options: PassOptions,
): Promise<Operation[]> {
  const { journal, now } = parts
  // No commit was ever good, or it cannot be read just now: the pass has told why, and the next one looks again.
  const loaded = await inForce(parts, memory).catch(() => null)
  if (loaded === null) return []
  const { host } = loaded.state
  for (const { name } of journal.rounds()) {
    const job = jobOf(name)
    if (job !== null && host.jobs[job] === undefined) journal.forgetRound(name)
  }
  const rounds = new Map(journal.rounds().map((each) => [each.name, each]))
  const last = new Map([...rounds].map(([name, each]) => [name, lastOf(each)]))
  const operations: Operation[] = []
  for (const { name, verdict, dueAt, schedule: by } of judgeRounds(schedulesOf(host), last, now())) {
    if (options.stopping.aborted) break
    // What a person holds is made up once when it goes on.
    if (verdict === 'due' && isHeld(name, host, journal.paused())) continue
    const before = rounds.get(name)
    const again = before !== undefined && wasCut(before) && before.dueAt === dueAt
    journal.beginRound({ name, dueAt, schedule: by }, { now: now(), again })
    if (verdict === 'new') {
      journal.endRound(name, 'first seen', now())
      continue
    }
    const done = await round(name, { parts, memory, options })
    operations.push(...done.operations)
    if (done.result !== null) journal.endRound(name, done.result, now())
  }
  return operations
}

/** Killed, or told to stop, in the middle: it is made up once, not again and again. */
const wasCut = ({ finishedAt, result }: Round): boolean => finishedAt === null && result !== 'again'

/** The job of a round, or null. */
const jobOf = (name: string): string | null => (name.startsWith('job ') ? name.slice('job '.length) : null)

function isHeld(name: RoundName, host: Host, paused: string[]): boolean {
  const job = host.jobs[jobOf(name) ?? '']
  return job !== undefined && heldJob(paused, job) !== null
}

const lastOf = (last: Round): LastRound => ({
  dueAt: last.dueAt,
  schedule: last.schedule,
  cut: wasCut(last),
})

/** `result` is null when it was cut; the words are those that data-problems.ts looks for. */
async function round(
  name: RoundName,
  asked: { parts: Parts; memory: Memory; options: PassOptions },
): Promise<{ operations: Operation[]; result: string | null }> {
  const { stopping } = asked.options
  try {
    const operations = await work(name, asked)
    // A newer commit that cuts a job short may be its fix, and the moment is not lost for it.
    if (stopping.aborted || operations.some((each) => each.intent.job?.cutShort === true))
      return { operations, result: null }
    const bad = operations.filter((each) => each.result !== 'applied')
    if (bad.length > 0)
      return { operations, result: `not good: ${bad.map((each) => each.service).join(', ')}` }
    // Old ones go only after a new one is there.
    const stays = name === 'backup' ? await pruneProblem(asked) : null
    return { operations, result: stays === null ? 'done' : `done, but ${stays}` }
  } catch (error) {
    return { operations: [], result: stopping.aborted ? null : `failed: ${reasonOf(error)}` }
  }
}

async function work(
  name: RoundName,
  asked: { parts: Parts; memory: Memory; options: PassOptions },
): Promise<Operation[]> {
  const job = jobOf(name)
  if (job !== null) return [await runJobNamed(asked, job, false)]
  return name === 'verify' ? verifyBackups(asked, null, 2) : backUpServices(asked, [], 'scheduled')
}

/** The backup itself was good: that an old one could not be removed is a matter of its own. */
async function pruneProblem({ parts, memory }: { parts: Parts; memory: Memory }): Promise<string | null> {
  try {
    const { problems } = await pruneBackups(parts, memory, { dryRun: false })
    const [first] = problems
    return first === undefined ? null : `old backups could not all be removed: ${reasonOf(first.error)}`
  } catch (error) {
    return `old backups could not be removed: ${sentenceOf(error)}`
  }
}

function schedulesOf(host: Host | undefined): Schedules {
  const read = (expression: string | null | undefined): Schedule | null =>
    host === undefined || expression === null || expression === undefined
      ? null
      : { expression, timezone: host.timezone }
  return {
    backup: read(host?.backup?.schedule),
    verify: read(host?.backup?.verify),
    ...Object.fromEntries(
      Object.entries(host?.jobs ?? {}).map(([name, job]) => [roundOfJob(name), read(job.schedule)]),
    ),
  }
}
