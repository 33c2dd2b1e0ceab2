import { inForce } from '../in-force.ts'
import { jobStatuses, knownJobs } from '../job-status.ts'
import { heldJob, runJobNamed } from '../jobs.ts'
import { newMemory } from '../look.ts'
import { buildParts } from '../parts.ts'
import { readSettings } from '../settings.ts'
import { exitOf } from './apply.ts'
import { doOperations } from './do-operations.ts'
import { jobsTable } from './job-lines.ts'
import { type Call, exit, type Verb } from './verb.ts'

export const jobsVerb: Verb = {
  name: 'jobs',
  usage: '',
  summary: 'the jobs of host.yaml: when they run, and how it went the last time',
  about:
    'SCHEDULE is read on the wall clock of the host (`timezone` in host.yaml), NEXT and LAST are shown on yours.\n`samovar show OPERATION` has the log of a run, `samovar history` its operation.',
  exits: [
    [exit.fine, 'shown'],
    [exit.error, 'the desired state cannot be read'],
  ],
  options: {},
  optionTexts: {},
  names: [0, 0],
  json: true,
  run: list,
}

export const jobVerb: Verb = {
  name: 'job',
  usage: '[NAME]',
  summary: 'run a job of host.yaml now; without a name, list them',
  about:
    'Runs the one-off container of the job to its end, or to its time limit, and then reloads or restarts what `then` names.\nA pause holds a job only on its schedule: this runs it all the same. Beside a daemon it waits for what that is doing.',
  exits: [
    [exit.fine, 'it succeeded, and the services after it are healthy'],
    [exit.error, 'it failed, or there is no such job'],
  ],
  options: {},
  optionTexts: {},
  names: [0, 1],
  json: true,
  run: async (call) => {
    const [name] = call.names
    return name === undefined ? list(call) : runOne(call, name)
  },
}

async function runOne({ console }: Call, name: string) {
  const settings = readSettings({ repository: true })
  const outcome = await doOperations(
    { settings, console, verb: 'samovar job' },
    { kind: 'job', service: null, argument: { job: name } },
    async (asked) => {
      const { parts, memory } = asked
      const job = (await inForce(parts, memory)).state.host.jobs[name]
      const held = job === undefined ? null : heldJob(parts.journal.paused(), job)
      if (held !== null)
        console.line(console.paint('yellow', `${held.split(';')[0]}; it is run all the same`))
      return [await runJobNamed(asked, name, true)]
    },
  )
  console.document(outcome)
  return exitOf(outcome)
}

async function list({ console }: Call) {
  const parts = await buildParts(readSettings({ repository: true }))
  try {
    const { host } = (await inForce(parts, newMemory())).state
    const jobs = jobStatuses(knownJobs(host), parts.journal, parts.now())
    console.document(jobs)
    if (jobs.length === 0) console.line('host.yaml names no jobs')
    else for (const line of jobsTable(console, jobs, parts.now())) console.line(line)
    return exit.fine
  } finally {
    await parts.close()
  }
}
