import { announcePass, announcing } from '../announce.ts'
import { rememberPass } from '../current-status.ts'
import { SamovarError } from '../errors.ts'
import { lockOwner, takeLock } from '../journal/lock.ts'
import { newMemory, type Outlook } from '../look.ts'
import { notifyBriefly } from '../notify-work.ts'
import { type Outcome, outcomeOf } from '../outcome.ts'
import { buildParts, openState } from '../parts.ts'
import { pass } from '../reconcile.ts'
import { deliverBriefly } from '../say-to-gitea.ts'
import { readSettings, type Settings } from '../settings.ts'
import type { PassOptions } from '../work.ts'
import { askDaemon } from './ask-daemon.ts'
import { type Console, printable } from './console.ts'
import { endLines, screenProgress } from './progress.ts'
import { stopSignal } from './stop-signal.ts'
import { findingLines } from './validate.ts'
import { type Call, type ExitCode, exit, type Verb } from './verb.ts'
import { sentenceAndNext } from './wording.ts'

export const applyVerb: Verb = {
  name: 'apply',
  usage: '[SERVICE...] [--now]',
  summary: 'one pass: roll out what the newest commit says',
  about:
    'Fetches Git, looks at the host and rolls out each change that is not held; only SERVICE when it is named. When the\ndaemon runs it is asked to do that, and what it does is shown here.',
  exits: [
    [exit.fine, 'everything that was to be done is done'],
    [exit.reverted, 'something was reverted, got stuck, or is quarantined'],
    [
      exit.error,
      'Git, the newest commit or the engine is not good, or a roll-out failed before it replaced anything',
    ],
  ],
  options: { now: { type: 'boolean' } },
  optionTexts: { '--now': 'do not wait for windows, nor for the pause after a failure' },
  names: [0, 100],
  json: true,
  run: async ({ names, options, console }: Call) => {
    const settings = readSettings({ repository: true })
    const now = options['now'] === true
    const outcome =
      lockOwner(settings.stateDir)?.what === 'samovar run'
        ? await asked(settings, { names, now, console })
        : await here(settings, { names, now, console })
    console.document(outcome)
    return tellOutcome(console, outcome)
  },
}

type Wanted = { names: string[]; now: boolean; console: Console }

async function asked(settings: Settings, { names, now, console }: Wanted): Promise<Outcome> {
  const journal = openState(settings.stateDir)
  try {
    const kind = now ? 'pass-now' : 'pass'
    const wishes = (names.length === 0 ? [null] : names).map((service) => ({ kind, service }) as const)
    return together(await askDaemon({ journal, stateDir: settings.stateDir, console }, wishes))
  } finally {
    journal.close()
  }
}

/** One pass in this process, under the lock. */
async function here(settings: Settings, { names, now, console }: Wanted): Promise<Outcome> {
  using stop = stopSignal(console)
  using _lock = takeLock(settings.stateDir, 'samovar apply')
  const parts = await buildParts(settings, stop.signal)
  using progress = screenProgress(console)
  let outlook: Outlook | null = null
  try {
    const memory = newMemory()
    const options: PassOptions = {
      services: names,
      now,
      stopping: stop.signal,
      hint: new EventTarget(),
      progress,
      busy: () => undefined,
      looked: (seen) => {
        outlook = seen
      },
      ended: (operation) => {
        for (const line of endLines(console, operation)) console.line(line)
      },
    }
    const report = await pass(parts, memory, announcing(parts, options))
    rememberPass(parts, report, outlook)
    announcePass(parts, report)
    const brief = { memory, stopping: stop.signal, longest: 10_000 }
    const [said, told] = await Promise.all([deliverBriefly(parts, brief), notifyBriefly(parts, brief)])
    if (said !== null && said.waiting > 0) tellWaiting(console, 'gitea', said)
    if (told.waiting > 0) tellWaiting(console, 'notify', told)
    return outcomeOf(report, names)
  } finally {
    await parts.close()
  }
}

/** What could not be said to Gitea or to people is not lost, so this is no failure of the pass. */
export function tellWaiting(
  console: Console,
  whom: 'gitea' | 'notify',
  { waiting, problem }: { waiting: number; problem: string },
): void {
  const { sentence, next } = sentenceAndNext(problem)
  const messages = waiting === 1 ? '1 message waits' : `${waiting} messages wait`
  const why = sentence === '' ? '' : `: ${printable(sentence)}`
  console.problem(`${console.paint('yellow', `${whom}:`)} ${messages} to be delivered${why}`)
  console.problem(`  next: ${next ?? 'the daemon, or the next samovar apply, delivers them'}`)
}

/** The answers to several requests are about the same passes: each operation counts once. */
function together(outcomes: Outcome[]): Outcome {
  const [first] = outcomes
  if (first === undefined) throw new SamovarError('interrupted', 'the daemon did not answer')
  const operations = new Map(outcomes.flatMap((each) => each.operations).map((each) => [each.id, each]))
  const held = new Map(outcomes.flatMap((each) => each.held).map((each) => [each.service, each]))
  return {
    ...first,
    operations: [...operations.values()],
    held: [...held.values()],
    unknown: outcomes.flatMap((each) => each.unknown),
  }
}

/** The end of `apply` and `rollback`: what is held, what is wrong, and the exit code that follows. */
export function tellOutcome(console: Console, outcome: Outcome): ExitCode {
  const justTold = new Set(
    outcome.operations.filter((each) => each.result !== 'applied').map((each) => each.service),
  )
  for (const each of outcome.held) {
    if (justTold.has(each.service)) continue
    const { sentence, next } = sentenceAndNext(each.reason)
    console.line(
      `${console.paint('bold', each.service)}: ${console.paint('yellow', 'held')}: ${printable(sentence)}`,
    )
    if (next !== null) console.line(`  next: ${next}`)
  }
  if (outcome.sourceProblem !== null) {
    console.problem(`${console.paint('red', 'git:')} ${printable(outcome.sourceProblem)}`)
    console.problem(
      `  next: the last good commit stays in force; check the network, the address and the token`,
    )
  }
  if (outcome.findings.length > 0) {
    const commit = outcome.findingsCommit?.slice(0, 8) ?? ''
    console.problem(`${console.paint('red', 'desired state:')} commit ${commit} is not followed:`)
    for (const line of findingLines(outcome.findings)) console.problem(`  ${line}`)
  }
  for (const name of outcome.unknown)
    console.problem(
      `${console.paint('red', 'samovar:')} there is no service ${name}; next: samovar status lists them`,
    )
  const code = exitOf(outcome)
  if (outcome.operations.length === 0 && outcome.held.length === 0 && code === exit.fine)
    console.line(
      `${console.paint('green', 'nothing to do:')} the host is as commit ${outcome.commit?.slice(0, 8) ?? '(none)'} says`,
    )
  return code
}

export function exitOf(outcome: Outcome): ExitCode {
  const bad = outcome.operations.some((each) => each.result === 'reverted' || each.result === 'stuck')
  if (bad || outcome.held.some((each) => /^(quarantined|stuck): /.test(each.reason))) return exit.reverted
  const failed = outcome.operations.some((each) => each.result !== 'applied')
  const wrong = outcome.findings.length + outcome.unknown.length > 0 || outcome.sourceProblem !== null
  return failed || wrong ? exit.error : exit.fine
}
