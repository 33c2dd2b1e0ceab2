import type { Finding } from './desired-state.ts'
import type { Operation, OperationResult } from './journal/operation.ts'
import type { PassReport } from './reconcile.ts'

/** How a pass, or a request to the daemon, ended: what the one who asked is told. */
export type Outcome = {
  commit: string | null
  operations: { id: string; service: string; result: OperationResult; reason: string }[]
  /** Changes that were not made, with the reason. */
  held: { service: string; reason: string }[]
  findings: Finding[]
  findingsCommit: string | null
  sourceProblem: string | null
  /** Services that were asked for and do not exist. */
  unknown: string[]
}

/** @param services those that were asked for; all when empty */
export function outcomeOf(report: PassReport, services: string[]): Outcome {
  const changes = report.plan?.changes ?? []
  const asked = (service: string): boolean => services.length === 0 || services.includes(service)
  const { commit, findings, findingsCommit, sourceProblem } = report
  return {
    commit,
    operations: report.operations
      .filter((each) => asked(each.service))
      .map(({ id, service, result, reason }) => ({ id, service, result, reason })),
    held: changes.flatMap((change) =>
      change.action !== 'none' && change.held !== null && asked(change.service)
        ? [{ service: change.service, reason: change.held }]
        : [],
    ),
    findings,
    findingsCommit,
    sourceProblem,
    unknown:
      report.plan === null
        ? []
        : services.filter((name) => !changes.some((change) => change.service === name)),
  }
}

/** One operation that a person asked for by itself. */
export const outcomeOfOperation = (operation: Operation): Outcome => outcomeOfOperations([operation])

/** Operations that a person asked for: backups, verifications, a restore. */
export function outcomeOfOperations(operations: Operation[]): Outcome {
  const nothing = { held: [], findings: [], findingsCommit: null, sourceProblem: null, unknown: [] }
  return {
    commit: operations[0]?.commit ?? null,
    operations: operations.map(({ id, service, result, reason }) => ({ id, service, result, reason })),
    ...nothing,
  }
}

/** What the daemon answers to a request: an outcome, or why there is none. */
export type Answer = { outcome: Outcome } | { problem: { code: string; message: string; next: string } }
