import { resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { SamovarError } from '../errors.ts'
import { environmentOver } from '../settings.ts'
import { environmentText, readEnvironment } from '../up/environment-file.ts'
import { programs } from '../up/programs.ts'
import type { UpStep } from '../up/step.ts'
import { type UpEnd, up } from '../up.ts'
import { type Console, printable } from './console.ts'
import { endLines, screenProgress } from './progress.ts'
import { stopSignal } from './stop-signal.ts'
import { table } from './table.ts'
import { type Call, type ExitCode, exit, type Verb } from './verb.ts'

const usualEnvironment = '/etc/samovar/environment'

export const upVerb: Verb = {
  name: 'up',
  usage: '[FOLDER] [--yes]',
  summary:
    'from nothing to a host that follows its own Gitea: secrets, stack, bootstrap, first push, runners, daemon',
  about:
    'Starts the stack of the checkout of the host repository in FOLDER (here, when it is not named), sets up the Gitea in it,\npushes the checkout there and hands the host over to it. Each step looks first: run again it changes nothing, and after a\nrun that was cut anywhere it goes on. Settings come from the environment and, below that, from the file of the daemon.\ndocs/gitea.md says what is made in Gitea.',
  exits: [
    [exit.fine, 'the host runs and follows its Gitea'],
    [exit.reverted, 'a service is stuck'],
    [exit.error, 'something stands in the way; what was done so far stays, and the next run goes on'],
  ],
  options: {
    yes: { type: 'boolean' },
    environment: { type: 'string' },
    admin: { type: 'string' },
  },
  optionTexts: {
    '--yes': 'do not ask',
    '--environment FILE': `settings of the daemon, where those are added that it needs; ${usualEnvironment} when not named`,
    '--admin NAME': "login of Gitea's first administrator; operator when not named",
  },
  names: [0, 1],
  json: true,
  run: runUp,
}

async function runUp({ names, options, console }: Call): Promise<ExitCode> {
  const text = (name: string) => (typeof options[name] === 'string' ? options[name] : null)
  const environmentFile = resolve(text('environment') ?? usualEnvironment)
  using stop = stopSignal(console)
  using progress = screenProgress(console)
  const steps: UpStep[] = []
  const states: string[] = []
  const running = up({
    folder: resolve(names[0] ?? '.'),
    environmentFile,
    login: text('admin') ?? 'operator',
    environment: environmentOver(readEnvironment(environmentText(environmentFile))),
    stopping: stop.signal,
    progress,
    ended: (operation) => {
      states.push(operation.result)
      for (const line of endLines(console, operation)) console.line(line)
    },
    confirm: (lines) => confirmed(console, lines, options['yes'] === true),
    waiting: (service, checks) => {
      if (checks.length > 0) console.live(`  ${service}: waiting for ${checks.join(', ')}`)
    },
    programs,
  })
  try {
    for (;;) {
      const next = await running.next()
      if (next.done === true) return finish(console, steps, next.value)
      steps.push(next.value)
      tell(console, next.value)
    }
  } catch (error) {
    if (!(error instanceof SamovarError)) throw error
    console.document({ steps, error: { code: error.code, message: error.message, next: error.next } })
    console.problem(`${console.paint('red', 'samovar:')} ${printable(error.message)}`)
    console.problem(`next: ${error.next}`)
    return states.includes('stuck') ? exit.reverted : exit.error
  }
}

async function confirmed(console: Console, lines: string[], yes: boolean): Promise<boolean> {
  if (yes) return true
  if (!console.terminal || !process.stdin.isTTY)
    throw new SamovarError('settings-invalid', 'nobody can be asked here whether the host may be set up', {
      next: `samovar up --yes does it: ${lines.join('; ')}.`,
    })
  console.line('\nThis will')
  for (const line of lines) console.line(`  - ${printable(line)}`)
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test((await terminal.question('Go on? [y/N] ')).trim())
  } finally {
    terminal.close()
  }
}

/** `desired state` is the longest. */
const nameWidth = 13

function tell(console: Console, { name, result, said, next }: UpStep): void {
  const colour = { ok: 'dim', done: 'green', warning: 'yellow', problem: 'red' } as const
  const line = `${console.paint(colour[result], result.padEnd(7))}  ${name.padEnd(nameWidth)}  ${printable(said)}`
  console.line(line)
  if (next !== null) console.line(`${' '.repeat(9 + nameWidth)}  next: ${printable(next)}`)
}

function finish(console: Console, steps: UpStep[], { webUrl, rows, operations }: UpEnd): ExitCode {
  const isChanged = steps.some((step) => step.result === 'done')
  const bad = operations.filter((each) => each.result !== 'applied')
  const next =
    bad.length > 0
      ? 'samovar status'
      : `open ${webUrl}; from now on the host changes by pull requests in its repository there`
  console.document({ url: webUrl, changed: isChanged, steps, services: rows, next })
  console.line()
  const cells = rows.map((row) =>
    [row.service, row.version, row.state, row.addresses.join(', ')].map((text) => ({
      text: printable(text),
    })),
  )
  for (const line of table(['SERVICE', 'VERSION', 'STATE', 'ADDRESS'], cells)) console.line(line)
  console.line()
  if (!isChanged) console.line(`${console.paint('green', 'nothing to do:')} the host is set up`)
  console.line(`next: ${next}`)
  if (bad.length === 0) return exit.fine
  return bad.some((each) => each.result === 'stuck' || each.result === 'reverted')
    ? exit.reverted
    : exit.error
}
