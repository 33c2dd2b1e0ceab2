import { lastPass, problemOf, problemsOf, statusNow } from '../current-status.ts'
import type { OperationKind } from '../journal/operation.ts'
import { look, newMemory, type Outlook } from '../look.ts'
import { buildParts, openState, type Parts } from '../parts.ts'
import { readSettings, type Settings } from '../settings.ts'
import type { Problem, ServiceStatus, Status } from '../status.ts'
import { type Colour, type Console, printable } from './console.ts'
import { jobsTable } from './job-lines.ts'
import { table } from './table.ts'
import { findingLines } from './validate.ts'
import { type Call, exit, type Verb } from './verb.ts'
import { ago, sentenceAndNext, startsIn, versionInWords } from './wording.ts'

export const statusVerb: Verb = {
  name: 'status',
  usage: '',
  summary: 'every service: what it should be, what it is, and what stands in the way',
  about:
    'Looks at the host and compares it with the last commit that was fetched. When the engine or Git is away it says so\nand shows what the last pass saw.',
  exits: [
    [exit.fine, 'the state was shown, whatever it is'],
    [exit.error, 'there is nothing to show'],
  ],
  options: {},
  optionTexts: {},
  names: [0, 0],
  json: true,
  run: show,
}

async function show({ console }: Call) {
  const found = await currentStatus(readSettings({ repository: true }))
  console.document(found)
  tellStatus(console, found, Date.now())
  return exit.fine
}

async function currentStatus(settings: Settings): Promise<Status> {
  let parts: Parts
  try {
    parts = await buildParts(settings)
  } catch (error) {
    const journal = openState(settings.stateDir)
    try {
      const seen = { outlook: null, problems: [problemOf('samovar', error)], findings: [] }
      return statusNow({ journal, now: Date.now, source: null, settings }, seen)
    } finally {
      journal.close()
    }
  }
  try {
    return statusNow(parts, await seenNow(parts))
  } finally {
    await parts.close()
  }
}

/** One look without asking Git: `status` answers at once, also when Git is away. What the last pass met counts too. */
async function seenNow(
  parts: Parts,
): Promise<{ outlook: Outlook | null; problems: Problem[]; findings: Status['findings'] }> {
  const last = lastPass(parts.journal)
  try {
    const seen = await look(parts, newMemory(), { fetch: false, ignoreWindows: false })
    if (!('plan' in seen)) {
      const message = `commit ${seen.commit.slice(0, 8)} is not good, and no commit before it was`
      const next = 'correct what is listed below and push'
      return { outlook: null, problems: [{ about: 'desired state', message, next }], findings: seen.findings }
    }
    const outlook = { ...seen, sourceProblem: last?.sourceProblem ?? null }
    return { outlook, problems: problemsOf(outlook), findings: outlook.findings }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const about = code.startsWith('engine') ? 'engine' : code === 'source-unreachable' ? 'git' : 'samovar'
    return { outlook: null, problems: [problemOf(about, error)], findings: [] }
  }
}

const syncColours: Record<ServiceStatus['sync'], Colour> = { synced: 'green', 'out-of-sync': 'yellow' }
const healthColours: Record<ServiceStatus['health'], Colour> = {
  healthy: 'green',
  starting: 'blue',
  unhealthy: 'red',
  stopped: 'yellow',
  none: 'dim',
}
const stateColours: Record<ServiceStatus['state'], Colour> = {
  idle: 'dim',
  'rolling-out': 'blue',
  held: 'yellow',
  quarantined: 'red',
  stuck: 'red',
  paused: 'yellow',
}

export function tellStatus(console: Console, status: Status, now: number): void {
  console.line(console.paint('bold', status.summary))
  for (const { about, message, next } of status.problems) {
    console.line(`${console.paint('red', `${about}:`)} ${printable(message)}`)
    if (next !== '') console.line(`  next: ${printable(next)}`)
  }
  for (const line of findingLines(status.findings)) console.line(`  ${line}`)
  if (status.services.length > 0) console.line()
  const lines = table(
    ['SERVICE', 'SYNC', 'HEALTH', 'STATE', 'DESIRED', 'RUNNING', 'SINCE'],
    status.services.map((each) => rowOf(console, each, now)),
  )
  for (const [at, line] of lines.entries()) {
    console.line(line)
    const service = status.services[at - 1]
    if (service === undefined || service.reason === '') continue
    const { sentence, next } = sentenceAndNext(service.reason)
    console.line(`  ${console.paint('dim', `${printable(sentence)}${startsIn(service.startsAt, now)}`)}`)
    if (next !== null) console.line(`  next: ${next}`)
  }
  if (status.jobs.length > 0) console.line()
  if (status.jobs.length > 0) for (const line of jobsTable(console, status.jobs, now)) console.line(line)
  console.line()
  console.line(console.paint('dim', footOf(status, now)))
}

/** A service that is backed up is no other than before, but the one who looks wonders why it stands still. */
const doing: Partial<Record<OperationKind, string>> = {
  backup: 'backing up',
  verify: 'verifying',
  restore: 'restoring',
}

function rowOf(console: Console, each: ServiceStatus, now: number) {
  const working = each.operation === null ? undefined : doing[each.operation.kind]
  const colour = (name: Colour) => (text: string) => console.paint(name, text)
  return [
    { text: each.name },
    { text: each.sync, paint: colour(syncColours[each.sync]) },
    { text: each.health, paint: colour(healthColours[each.health]) },
    { text: working ?? each.state, paint: colour(working === undefined ? stateColours[each.state] : 'blue') },
    { text: versionInWords(each.desired) },
    { text: each.running === null ? 'nothing' : versionInWords(each.running) },
    { text: each.running === null ? '' : ago(each.running.since, now) },
  ]
}

function footOf(status: Status, now: number): string {
  const git =
    status.fetchedAt === null ? 'Git was never fetched' : `Git answered ${ago(status.fetchedAt, now)}`
  const last = status.lastPass === null ? 'no pass yet' : `last pass ${ago(status.lastPass, now)}`
  const who =
    status.daemon === null
      ? 'no daemon runs: start `samovar run`, or use `samovar apply`'
      : `\`${status.daemon.what}\` is at work (pid ${status.daemon.pid})`
  return [status.host, last, git, who].filter((text) => text !== '').join(' · ')
}
