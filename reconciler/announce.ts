import { statusMessage } from './gitea/commit-status.ts'
import type { Operation } from './journal/operation.ts'
import type { Parts } from './parts.ts'
import { rememberFirstPlan } from './pull-requests/first-plans.ts'
import { wantRevert } from './pull-requests/want-revert.ts'
import type { PassReport } from './reconcile.ts'
import { linksFrom, type Said, saidOfBegin, saidOfEnd, saidOfPass } from './what-to-say.ts'
import type { PassOptions } from './work.ts'

/** The parts that saying something needs; nothing is sent here, only written down to be sent. */
type Known = Pick<Parts, 'journal' | 'now' | 'settings'>

/**
 * Adds to the options of a pass that what it does is said to Gitea: each roll-out at its begin and at its end. Without
 * a Gitea nothing is written down, or it would be said all at once on the day there is one.
 */
export function announcing(parts: Known, options: PassOptions): PassOptions {
  if (parts.settings.giteaUrl === null || parts.settings.giteaToken === null) return options
  const links = linksFrom(parts.settings.publicUrl)
  const begun = new Set<string>()
  return {
    ...options,
    progress: {
      ...options.progress,
      step(operation, name, phase, ...more) {
        if (!begun.has(operation.id)) say(parts, saidOfBegin(operation, links))
        begun.add(operation.id)
        options.progress.step(operation, name, phase, ...more)
      },
    },
    looked(outlook) {
      rememberFirstPlan(parts.journal, outlook)
      options.looked?.(outlook)
    },
    ended(operation) {
      say(parts, saidOfEnd(operation, links))
      wantRevert(parts, operation)
      options.ended?.(operation)
    },
  }
}

/** After a pass: what is held, and the host as a whole. */
export function announcePass(parts: Known, report: PassReport): void {
  if (parts.settings.giteaUrl === null || parts.settings.giteaToken === null) return
  const broken = new Set(
    (report.plan?.changes ?? [])
      .map((change) => parts.journal.lastRollOut(change.service))
      .filter((last): last is Operation => last !== null && speaksAgainst(last, report.commit))
      .map((last) => last.service),
  )
  for (const each of saidOfPass(report, broken)) say(parts, each)
}

const speaksAgainst = (last: Operation, commit: string | null): boolean =>
  last.commit === commit && ['reverted', 'untouched', 'stuck'].includes(last.result) && !last.intent.drift

function say(parts: Known, said: Said | null): void {
  if (said !== null) parts.journal.post(statusMessage(said.sha, said.status), parts.now())
}
