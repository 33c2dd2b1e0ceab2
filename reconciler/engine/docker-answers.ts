import { type ErrorCode, SamovarError } from '../errors.ts'

/** The HTTP status of a refused Engine request, or undefined when no answer came. */
export function statusOf(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null && 'statusCode' in error
    ? Number(error.statusCode)
    : undefined
}

/**
 * A failed Engine request as a Samovar error. Decided by status, never by text.
 *
 * @param doing what was tried, as it reads after "while": `creating gitea-web-1`
 * @param code of the error when the engine answered; without an answer it is `engine-unreachable`
 */
export function refused(error: unknown, doing: string, code: ErrorCode = 'engine-refused'): SamovarError {
  if (error instanceof SamovarError) return error
  const status = statusOf(error)
  if (status === undefined) {
    const reason = error instanceof Error ? error.message : String(error)
    return new SamovarError(
      'engine-unreachable',
      `the Docker Engine did not answer while ${doing}: ${reason}`,
      {
        cause: error,
      },
    )
  }
  return new SamovarError(code, `the Docker Engine refused ${doing}: ${said(error)} (HTTP ${status})`, {
    cause: error,
  })
}

function said(error: unknown): string {
  const json = (error as { json?: { message?: string } | Buffer | null }).json
  if (json && !Buffer.isBuffer(json) && typeof json.message === 'string') return json.message
  return error instanceof Error ? error.message : String(error)
}

/** Runs a request; the given statuses count as done already (304 not modified, 404 gone, ...). */
export async function doneAlready(
  statuses: number[],
  doing: string,
  request: () => Promise<unknown>,
): Promise<void> {
  try {
    await request()
  } catch (error) {
    if (!statuses.includes(statusOf(error) ?? 0)) throw refused(error, doing)
  }
}
