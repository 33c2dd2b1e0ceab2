import type { Operation } from '../journal/operations.ts'
import type { Work } from './step.ts'

/**
 * The place of the backup in the runbook. A service with `data:` never comes here yet: preflight refuses it, so that
 * nobody believes in a backup that was not taken.
 */
export async function backUp(_work: Work, _operation: Operation): Promise<string> {
  return 'nothing to back up: the service has no data'
}
