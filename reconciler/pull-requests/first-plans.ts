import type { Journal } from '../journal.ts'
import type { Outlook } from '../look.ts'
import { type FingerprintChange, fingerprintOf, plannedChanges } from './plan-fingerprint.ts'

/** What a commit asked for when it was first looked at, before anything of it was done. */
export type FirstPlan = { commit: string; plan: string; changes: FingerprintChange[] }

const note = 'first-plans'
/** A pull request is told of its end within minutes, so only the newest commits are asked for. */
const most = 20
const mostChanges = 100

/** Writes down what a commit asks for, the first time it is looked at. */
export function rememberFirstPlan(journal: Pick<Journal, 'note' | 'writeNote'>, outlook: Outlook): void {
  const { considered, commit } = outlook
  const known = firstPlans(journal)
  if (considered === undefined || known.some((each) => each.commit === commit)) return
  const changes = plannedChanges(considered).map(({ covered }) => covered)
  const first: FirstPlan = { commit, plan: fingerprintOf(changes), changes: changes.slice(0, mostChanges) }
  journal.writeNote(note, JSON.stringify([first, ...known].slice(0, most)))
}

export const firstPlans = (journal: Pick<Journal, 'note'>): FirstPlan[] =>
  JSON.parse(journal.note(note) ?? '[]') as FirstPlan[]

/** The commit that was in force before this one; null when that was too long ago. */
export function commitBefore(journal: Pick<Journal, 'note'>, commit: string): string | null {
  const known = firstPlans(journal)
  const at = known.findIndex((each) => each.commit === commit)
  return at === -1 ? null : (known[at + 1]?.commit ?? null)
}
