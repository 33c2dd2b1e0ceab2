import { codeOf, SamovarError, sentenceOf } from './errors.ts'
import type { LogLevel } from './settings.ts'

/** What the daemon tells, one line an event: `2026-11-22T03:15:02Z info gitea: step "set aside" done in 1.2 s`. */
export type Log = Record<LogLevel, (about: string, sentence: string) => void>

const order: LogLevel[] = ['debug', 'info', 'warn', 'error']

/**
 * @param options.write takes one line without its end
 * @param options.now milliseconds since 1970
 */
export function makeLog(options: { level: LogLevel; write: (line: string) => void; now: () => number }): Log {
  const at = (level: LogLevel) => (about: string, sentence: string) => {
    if (order.indexOf(level) < order.indexOf(options.level)) return
    const time = new Date(options.now()).toISOString().replace(/\.\d+Z$/, 'Z')
    options.write(`${time} ${level} ${oneLine(about)}: ${oneLine(sentence)}`)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Text from outside (a container's last words, a commit) must not forge a line or steer a terminal. */
export function oneLine(text: string): string {
  return text
    .trim()
    .replaceAll(/\s*\n\s*/g, ' | ')
    .replaceAll(/\p{Cc}/gu, ' ')
}

/** What happened and what to do next, of any thrown value. */
export function whatAndNext(error: unknown): string {
  const what = sentenceOf(error)
  return error instanceof SamovarError ? `${what}; next: ${error.next}` : what
}

/** Two failures with the same fingerprint are the same failure, also when their sentences count seconds. */
export const fingerprintOfError = (error: unknown): string => codeOf(error) ?? sentenceOf(error)
