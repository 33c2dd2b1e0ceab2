import type { ImageReference } from './engine/engine.ts'
import type { Operation, OperationKind, OperationResult, Step } from './journal/operation.ts'
import type { Action } from './plan/change.ts'
import type { Plan } from './plan/plan.ts'

/** What `plan --json` and GET /api/plan answer. Fields are added, never renamed. */
export type PlanDocument = {
  commit: string | null
  changes: {
    service: string
    action: Action
    reasons: { field: string; before: string; after: string }[]
    held: string | null
    /** When what is held starts by itself, ISO 8601 in UTC; null when it is not held, or when nobody knows. */
    startsAt: string | null
    drift: boolean
    /** The service it is replaced together with, or null. */
    together: string | null
  }[]
  /** Containers of the project that Samovar did not create and that no service file names; never touched. */
  foreign: string[]
}

export function planDocument(plan: Plan | null): PlanDocument {
  if (plan === null) return { commit: null, changes: [], foreign: [] }
  return {
    commit: plan.commit,
    changes: plan.changes.map(({ service, action, reasons, held, startsAt, drift, together }) => ({
      service,
      action,
      reasons,
      held,
      startsAt: startsAt === null ? null : new Date(startsAt).toISOString(),
      drift: drift && action !== 'none',
      together,
    })),
    foreign: plan.foreign.map((each) => each.name),
  }
}

type Version = { tag: string; digest: string; image: string }

/** One entry of `history --json` and GET /api/history; times are ISO 8601 in UTC. */
export type OperationDocument = {
  id: string
  service: string
  kind: OperationKind
  result: OperationResult
  commit: string
  from: Version | null
  to: Version | null
  startedAt: string
  finishedAt: string | null
  downtimeMs: number | null
  /** The backup that was taken, verified or restored; the one that was put back, when it was reverted. */
  backup: string | null
  /** Milliseconds of writes that were lost when data was put back; null when none was. */
  lostMs: number | null
  /** How deep a verification looked; else null. */
  level: number | null
  /** The backup of what a restore replaced. */
  safetyBackup: string | null
  /** The job that was run; else null. */
  job: string | null
  reason: string
  /** Why it was done: what differed. */
  reasons: { field: string; before: string; after: string }[]
  steps: { name: string; startedAt: string; ms: number | null; result: Step['result']; detail: string }[]
}

export function operationDocument(operation: Operation, steps: Step[]): OperationDocument {
  const { id, service, kind, result, commit, downtimeMs, reason, intent } = operation
  return {
    id,
    service,
    kind,
    result,
    commit,
    from: versionOf(operation.from),
    to: versionOf(operation.to),
    startedAt: new Date(operation.startedAt).toISOString(),
    finishedAt: operation.finishedAt === null ? null : new Date(operation.finishedAt).toISOString(),
    downtimeMs,
    backup: backupOf(operation),
    lostMs: intent.data?.lostMs ?? null,
    level: kind === 'verify' ? (intent.level ?? null) : null,
    safetyBackup: intent.safetyBackup ?? null,
    job: intent.job?.name ?? null,
    reason,
    reasons: intent.reasons,
    steps: steps.map((step) => ({ ...step, startedAt: new Date(step.startedAt).toISOString() })),
  }
}

/** What is verified or restored is known from the begin, what is taken only when its manifest is written. */
export const backupOf = ({ backup, intent }: Pick<Operation, 'backup' | 'intent'>): string | null =>
  backup ?? intent.data?.backup?.id ?? null

const versionOf = (image: ImageReference | null): Version | null =>
  image === null ? null : { tag: image.tag, digest: image.digest, image: image.name }
