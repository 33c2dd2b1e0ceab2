import { statusMessage } from './gitea/commit-status.ts'
import type { Operation } from './journal/operation.ts'
import type { Parts } from './parts.ts'
import { rememberFirstPlan } from './pull-requests/first-plans.ts'
import { wantRevert } from './pull-requests/want-revert.ts'
import type { PassReport } from './reconcile.ts'
import { tellingPeople, tellPeopleOfPass } from './tell-people.ts'
import {
  linksFrom,
  type Said,
  saidOfBegin,
  saidOfEnd,
  saidOfFailure,
  saidOfLook,
  saidOfPass,
} from './what-to-say.ts'
import type { PassOptions } from './work.ts'

/** The parts that saying something needs; nothing is sent here, only written down to be sent. */
type Known = Pick<Parts, 'journal' | 'now' | 'settings'>

/**
 * Adds to the options of a pass that what it does is told to the people whom host.yaml names, and said to Gitea: each
 * roll-out at its begin and at its end.
 */
export const announcing = (parts: Known, options: PassOptions): PassOptions =>
  sayingToGitea(parts, tellingPeople(parts, options))

/** Without a Gitea nothing is written down, or it would be said all at once on the day there is one. */
function sayingToGitea(parts: Known, options: PassOptions): PassOptions {
  if (!isWanted(parts)) return options
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
      say(parts, saidOfLook(outlook.plan))
      options.looked?.(outlook)
    },
    ended(operation) {
      say(parts, saidOfEnd(operation, links))
      wantRevert(parts, operation)
      options.ended?.(operation)
    },
  }
}

/** A roll-out that ended longer ago than this was said, or nobody waits for it any more. */
const lately = 24 * 60 * 60_000

/**
 * After a pass: what is held, and the host as a whole. What ended lately is said once more, since a process may have
 * been killed between the end of a roll-out and its saying; what was said already stays said once.
 */
export function announcePass(parts: Known, report: PassReport): void {
  tellPeopleOfPass(parts, report)
  if (!isWanted(parts)) return
  const { journal, now } = parts
  const links = linksFrom(parts.settings.publicUrl)
  const last = (report.plan?.changes ?? [])
    .map((change) => journal.lastRollOut(change.service))
    .filter((each): each is Operation => each !== null)
  for (const each of last) {
    if (now() - (each.finishedAt ?? 0) > lately) continue
    say(parts, saidOfEnd(each, links))
    wantRevert(parts, each)
  }
  const broken = new Set(
    last.filter((each) => speaksAgainst(each, report.commit)).map((each) => each.service),
  )
  for (const each of saidOfPass(report, broken)) say(parts, each)
}

/** A pass that could not look at the host, or at Git for the first time. */
export function announceFailure(parts: Known): void {
  const commit = parts.journal.note('last-good-commit')
  if (isWanted(parts) && commit !== null) say(parts, saidOfFailure(commit))
}

const isWanted = ({ settings }: Known): boolean => settings.giteaUrl !== null && settings.giteaToken !== null

const speaksAgainst = (last: Operation, commit: string | null): boolean =>
  last.commit === commit && ['reverted', 'untouched', 'stuck'].includes(last.result) && !last.intent.drift

function say(parts: Known, said: Said | null): void {
  if (said !== null) parts.journal.post(statusMessage(said.sha, said.status), parts.now())
}
