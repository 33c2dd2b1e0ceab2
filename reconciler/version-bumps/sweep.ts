import type { Host } from '../desired-state.ts'
import { reasonOf } from '../errors.ts'
import type { RepositoryHint } from '../journal/forge-records.ts'
import type { Loaded } from '../load.ts'
import type { Teller } from '../notify/tell.ts'
import type { Parts } from '../parts.ts'
import { momentBefore } from '../plan/rounds.ts'
import { type Candidate, findCandidate } from './candidate.ts'
import { fullImageName } from './image-name.ts'
import type { Registries } from './registry.ts'

export type Sweeper = {
  registries: Registries
  parts: Pick<Parts, 'journal' | 'now' | 'settings'>
  told: Teller
}

const lastSweep = 'last-sweep'
/** A registry that failed, or a version that is too young, is come back to after this many milliseconds. */
const pause = 10 * 60_000

/** True when a moment of the schedule has passed since the last sweep; at the first start it is one at once. */
export function isSweepDue({ journal, now }: Sweeper['parts'], host: Host): boolean {
  if (host.bumps.sweep === null) return false
  const last = Number(journal.note(lastSweep) ?? 0)
  // The clock was ahead: nobody waits until it has come there again.
  if (last > now()) return true
  return momentBefore({ expression: host.bumps.sweep, timezone: host.timezone }, now()) > last
}

/** What somebody gave a hint of and is to be looked into now. */
export const dueHints = ({ journal, now }: Sweeper['parts']): RepositoryHint[] =>
  journal.hints().filter((each) => each.at <= now())

/**
 * Asks the registries what newer versions there are that may be proposed now, one for each service at most. Events of Diun only say where
 * to look first: one that was lost is made up for by the next sweep over all.
 *
 * @param which.all false: only the repositories that somebody gave a hint of
 */
export async function sweepVersions(
  { registries, parts, told }: Sweeper,
  loaded: Loaded,
  which: { all: boolean },
): Promise<Candidate[]> {
  const { journal, now } = parts
  const found: Candidate[] = []
  const hints = dueHints(parts)
  const hinted = new Set(hints.map((each) => each.repository))
  // Without a schedule nobody would come back to what failed, or is too young yet.
  const again = new Set<string>()
  const began = now()
  for (const policy of Object.values(loaded.state.services)) {
    const repository = fullImageName(policy.image) ?? policy.image
    if (!which.all && !hinted.has(repository)) continue
    try {
      const candidate = await findCandidate(policy, {
        registries,
        refused: journal.refusedVersions(policy.service),
        firstSeen: (image, tag, digest) => journal.firstSeen(image, tag, digest, now()),
        now: now(),
        isDatabaseServer: isDatabaseServer(loaded, policy.service),
      })
      told.well(`registry of ${policy.service}`, 'it answers again')
      if (candidate !== null && candidate.waits === null) found.push(candidate)
      if (candidate !== null && candidate.waits !== null) again.add(repository)
    } catch (error) {
      again.add(repository)
      told.problem(`registry of ${policy.service}`, policy.image, reasonOf(error))
    }
  }
  for (const hint of hints) journal.hintDone(hint)
  // One that came meanwhile is sooner.
  for (const repository of again)
    if (hinted.has(repository) && journal.hints().every((each) => each.repository !== repository))
      journal.hintRepository(repository, now() + pause)
  if (which.all) journal.writeNote(lastSweep, String(began))
  return found
}

const isDatabaseServer = (loaded: Loaded, service: string): boolean =>
  Object.values(loaded.state.services).some((each) =>
    each.data.some((part) => 'postgres' in part && part.postgres === service),
  )
