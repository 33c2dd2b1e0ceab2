import { parseArgs } from 'node:util'
import { codeOf, SamovarError, sentenceOf } from '../errors.ts'
import { version } from '../version.ts'
import { applyVerb } from './apply.ts'
import { backupVerb } from './backup.ts'
import { backupsVerb } from './backups.ts'
import { bootstrapVerb } from './bootstrap.ts'
import { type Console, openConsole } from './console.ts'
import { doctorVerb } from './doctor.ts'
import { historyVerb, showVerb } from './history.ts'
import { pauseVerb, resumeVerb, retryVerb } from './hold.ts'
import { jobsVerb, jobVerb } from './job.ts'
import { notifyVerb } from './notify.ts'
import { planVerb } from './plan.ts'
import { pruneVerb } from './prune.ts'
import { renderVerb } from './render.ts'
import { restoreVerb } from './restore.ts'
import { rollbackVerb } from './rollback.ts'
import { runVerb } from './run.ts'
import { selfUpdateVerb } from './self-update.ts'
import { statusVerb } from './status.ts'
import { upVerb } from './up.ts'
import { validateVerb } from './validate.ts'
import { type ExitCode, exit, helpOf, type Verb } from './verb.ts'
import { verifyVerb } from './verify.ts'

const verbs: Verb[] = [
  validateVerb,
  planVerb,
  applyVerb,
  runVerb,
  statusVerb,
  historyVerb,
  showVerb,
  backupsVerb,
  pruneVerb,
  backupVerb,
  verifyVerb,
  restoreVerb,
  jobsVerb,
  jobVerb,
  rollbackVerb,
  retryVerb,
  pauseVerb,
  resumeVerb,
  upVerb,
  bootstrapVerb,
  notifyVerb,
  renderVerb,
  doctorVerb,
  selfUpdateVerb,
]

const help = (): string => {
  const usages = verbs.map((verb) => `${verb.name} ${verb.usage}`.trim())
  const width = Math.max(...usages.map((usage) => usage.length))
  return [
    'Samovar rolls out what the host repository says, and puts it back when it is not good.',
    '',
    'samovar VERB [...]',
    '',
    ...verbs.map((verb, at) => `  ${(usages[at] ?? '').padEnd(width)}  ${verb.summary}`),
    '',
    'samovar VERB --help tells more, with the exit status. Settings come from the environment; `samovar doctor` checks them.',
  ].join('\n')
}

/** Answers the exit code; every failure is told as what happened and what to do next. */
export async function commandLine(words: string[]): Promise<ExitCode> {
  const [name = '--help', ...rest] = words
  if (name === '--version' || name === 'version') return print(version)
  if (name === '--help' || name === '-h' || name === 'help')
    return print(rest.length > 0 ? helpFor(rest[0]) : help())
  const verb = verbs.find((each) => each.name === name)
  if (verb === undefined) return wrongUsage(`there is no verb "${name}"`, 'samovar --help')
  if (rest.includes('--help') || rest.includes('-h')) return print(helpOf(verb))
  const console = openConsole({ json: verb.json && rest.includes('--json') })
  let call: ReturnType<typeof parsed>
  try {
    call = parsed(verb, rest)
  } catch (error) {
    return wrongUsage(sentenceOf(error).split('. ')[0] ?? '', `samovar ${verb.name} --help`)
  }
  try {
    return await verb.run({ ...call, console })
  } catch (error) {
    tellError(console, error)
    const code = codeOf(error)
    return (code === undefined ? undefined : verb.exitOn?.[code]) ?? exit.error
  }
}

function parsed(verb: Verb, rest: string[]) {
  const options = { ...verb.options, ...(verb.json ? { json: { type: 'boolean' as const } } : {}) }
  const { values, positionals } = parseArgs({ args: rest, options, allowPositionals: true, strict: true })
  const [least, most] = verb.names
  if (positionals.length < least || positionals.length > most)
    throw new Error(`samovar ${verb.name} ${verb.usage}: ${positionals.length} names were given`)
  return { names: positionals, options: values as Record<string, string | boolean | undefined> }
}

function helpFor(name: string | undefined): string {
  const verb = verbs.find((each) => each.name === name)
  return verb === undefined ? help() : helpOf(verb)
}

function print(text: string): ExitCode {
  process.stdout.write(`${text}\n`)
  return exit.fine
}

function wrongUsage(what: string, next: string): ExitCode {
  process.stderr.write(`samovar: ${what}\nnext: ${next}\n`)
  return exit.error
}

function tellError(console: Console, error: unknown): void {
  console.document({
    error: {
      code: codeOf(error) ?? null,
      message: sentenceOf(error),
      next: error instanceof SamovarError ? error.next : null,
    },
  })
  console.problem(`${console.paint('red', 'samovar:')} ${sentenceOf(error)}`)
  if (error instanceof SamovarError) console.problem(`next: ${error.next}`)
  // Not one of ours: the place in the code is all there is to go on.
  else if (error instanceof Error && error.stack !== undefined) console.problem(error.stack)
}
