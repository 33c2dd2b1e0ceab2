import type { ParseArgsOptionsConfig } from 'node:util'
import type { ErrorCode } from '../errors.ts'
import type { Console } from './console.ts'

/** Every exit code there is. A wrong command line is an error like any other: 1. */
export const exit = {
  fine: 0,
  error: 1,
  changes: 2,
  reverted: 3,
  /** EX_TEMPFAIL of sysexits(3): not now, and not the fault of this release. samovar-again.service starts `run` anew. */
  notNow: 75,
} as const
export type ExitCode = (typeof exit)[keyof typeof exit]

export type Call = {
  names: string[]
  options: Record<string, string | boolean | undefined>
  console: Console
}

export type Verb = {
  name: string
  /** Its arguments, as in `[SERVICE...] [--now]`. */
  usage: string
  summary: string
  /** Paragraphs for `--help`. */
  about: string
  exits: [ExitCode, string][]
  /** Errors that end it with another exit code than 1. */
  exitOn?: Partial<Record<ErrorCode, ExitCode>>
  options: ParseArgsOptionsConfig
  optionTexts: Record<string, string>
  /** How many names it takes at least and at most. */
  names: [number, number]
  /** True when it knows `--json`. */
  json: boolean
  run(call: Call): Promise<ExitCode>
}

export function helpOf(verb: Verb): string {
  const options = {
    ...verb.optionTexts,
    ...(verb.json ? { '--json': 'print one JSON document on stdout' } : {}),
  }
  const width = Math.max(0, ...Object.keys(options).map((name) => name.length))
  const digits = Math.max(...verb.exits.map(([code]) => String(code).length))
  return [
    `samovar ${verb.name} ${verb.usage}`.trim(),
    '',
    verb.about,
    ...(Object.keys(options).length === 0 ? [] : ['', 'OPTIONS']),
    ...Object.entries(options).map(([name, text]) => `  ${name.padEnd(width)}  ${text}`),
    '',
    'EXIT STATUS',
    ...verb.exits.map(([code, text]) => `  ${String(code).padEnd(digits)}  ${text}`),
  ].join('\n')
}
