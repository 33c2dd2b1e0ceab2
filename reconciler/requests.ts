import { codeOf, SamovarError, sentenceOf } from './errors.ts'
import type { Operation } from './journal/operation.ts'
import type { Request } from './journal/requests.ts'
import { type Answer, outcomeOf, outcomeOfOperations } from './outcome.ts'
import type { Parts } from './parts.ts'
import type { PassReport } from './reconcile.ts'

/** What the command line asked for and what it is told: each request is answered once, whatever happens. */
export type TakenRequests = {
  /** Those that were not answered yet, oldest first. */
  open(): Request[]
  answerPass(report: PassReport, which: (request: Request) => boolean): void
  answerOperations(request: Request, operations: Operation[]): void
  failOne(request: Request, error: unknown): void
  /** Answers all that are open. */
  fail(error: unknown): void
}

export function takeRequests(parts: Pick<Parts, 'journal' | 'now'>): TakenRequests {
  const open = new Set(parts.journal.takeRequests(parts.now()))
  const answer = (request: Request, what: Answer): void => {
    open.delete(request)
    parts.journal.answerRequest(request.id, JSON.stringify(what), parts.now())
  }
  const problemOf = (error: unknown) => ({
    code: codeOf(error) ?? '',
    message: sentenceOf(error),
    next: error instanceof SamovarError ? error.next : '',
  })
  return {
    open: () => [...open],
    answerPass(report, which) {
      for (const request of [...open].filter(which))
        answer(request, { outcome: outcomeOf(report, request.service === null ? [] : [request.service]) })
    },
    answerOperations: (request, operations) => answer(request, { outcome: outcomeOfOperations(operations) }),
    failOne: (request, error) => answer(request, { problem: problemOf(error) }),
    fail(error) {
      for (const request of [...open]) answer(request, { problem: problemOf(error) })
    },
  }
}

/** At the start of a daemon: what its predecessor left unanswered is answered, and done by nobody. */
export function dropRequests(parts: Pick<Parts, 'journal' | 'now'>, why: SamovarError): void {
  const problem: Answer = { problem: { code: why.code, message: why.message, next: why.next } }
  parts.journal.dropRequests(JSON.stringify(problem), parts.now())
}

/** What `apply --now` asked for: the named services, or all (an empty list) as soon as one asked for all. */
export function askedAtOnce(requests: TakenRequests): { services: string[]; now: true } | null {
  const atOnce = requests.open().filter((request) => request.kind === 'pass-now')
  if (atOnce.length === 0) return null
  const services = atOnce.map((request) => request.service)
  if (services.some((each) => each === null)) return { services: [], now: true }
  return { services: services.filter((each) => each !== null), now: true }
}
