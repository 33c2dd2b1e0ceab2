import { pipeline, type Readable, Transform } from 'node:stream'
import { SamovarError, sentenceOf } from '../errors.ts'

/**
 * The output of a program, which ends well only when the program did. A program that dies closes its output as if it
 * were complete, and half a dump still has a readable table of contents, so the exit code is the only thing that
 * tells half a dump from a whole one.
 *
 * @param output what the program writes; it is destroyed when the reader goes away early
 * @param ended settles when the program has ended; the end of the output waits for it, without a limit of its own
 * @param what for people: `pg_dump of gitea`
 * @returns the same bytes; errors with `backup-failed` after an exit code other than 0, when the output broke off or
 *   when the exit code could not be learned: read it with `pipeline`, `finished` or `for await`. A SamovarError of `output` or `ended` is passed on as it is.
 */
export function wholeOutput(
  output: Readable,
  ended: Promise<{ exitCode: number; errors: string }>,
  what: string,
): Readable {
  // Nobody may listen yet, or any more, when it fails.
  ended.catch(() => {})
  const gate = new Transform({
    readableHighWaterMark: 1 << 20,
    transform: (chunk: Buffer, _encoding, done) => done(null, chunk),
    flush: (done) => {
      ended.then(
        ({ exitCode, errors }) => done(exitCode === 0 ? null : failure(what, exitCode, errors)),
        (error: unknown) => done(asBackupFailed(error, what)),
      )
    },
    destroy: (error, done) => done(error === null ? null : asBackupFailed(error, what)),
  })
  return pipeline(output, gate, () => {})
}

function failure(what: string, exitCode: number, errors: string): SamovarError {
  const lines = errors.split('\n').map((line) => line.trim())
  const last = lines.findLast((line) => line !== '')
  return new SamovarError(
    'backup-failed',
    `${what} ended with exit code ${exitCode}: ${last ?? 'it said nothing'}`,
  )
}

function asBackupFailed(error: unknown, what: string): SamovarError {
  if (error instanceof SamovarError) return error
  return new SamovarError('backup-failed', `${what} was cut short: ${sentenceOf(error)}`, { cause: error })
}
