import { join } from 'node:path'
import { codeOf, SamovarError, sentenceOf } from '../errors.ts'
import type { Clock } from '../health/clock.ts'
import { takeLock } from '../journal/lock.ts'
import { openJournal } from '../journal.ts'
import { copyJournal, examineRelease } from './examine.ts'
import { isCut, readRecord, type UpdatePhase, type UpdateRecord, writeRecord } from './record.ts'
import { linked, pruneReleases, removeLink, setLink } from './releases.ts'
import { type Expected, lookAtService, restartService, waitForService } from './service.ts'
import { takeIn } from './take-in.ts'

/** What an update of Samovar itself works with. */
export type UpdatePlace = {
  /** Where Samovar is installed. */
  root: string
  stateDir: string
  /** Of the HTTP server of the daemon. */
  url: string
  /** What restarts the service, for /bin/sh. */
  restart: string
  /** Milliseconds until the new release must be ready, and the one before when it comes back. */
  withinMs: number
  backWithinMs: number
  /** How long it must then stay so. */
  steadyMs: number
  /** Milliseconds to wait for an operation that runs; 0 refuses at once. */
  waitMs: number
  environment: Record<string, string | undefined>
  clock: Clock
  now: () => number
  /** Told before and after each act, for the one who watches. */
  tell(what: string, phase: 'begun' | 'done'): void
}

export type Wanted = { release: string; sha256: string | null }

/**
 * Updates Samovar itself, as a runbook; never called by the daemon. What is to be done next is durable before it is
 * done, each act may be repeated, and a call that finds an update which was cut short ends that one first: so after
 * any kill, one more call ends with exactly one release that runs, the new one or the old one.
 *
 * @returns how it ended: `kept`, `reverted` or `stuck`
 * @throws SamovarError `update-refused` with nothing touched that runs, `state-locked` while another update runs
 */
export async function selfUpdate(place: UpdatePlace, wanted: Wanted): Promise<UpdateRecord> {
  using _lock = takeUpdateLock(place)
  const settled = await settle(place)
  const from = currentRelease(place)
  await nothingRuns(place)
  const to = await act(place, 'take in', () => takeIn(place.root, wanted))
  if (settled !== null && settled.to === to) return settled
  if (to === from) return await alreadyCurrent(place, to)
  const record: UpdateRecord = {
    phase: 'checking',
    from,
    to,
    previous: linked(place.root, 'previous'),
    before: (await lookAtService(place.url)).state,
    startedAt: place.now(),
    endedAt: null,
    reason: '',
  }
  await note(place, record, 'checking')
  try {
    await act(place, 'copy journal', () => copyJournal(place.stateDir, to))
    await act(place, 'check release', () => examineRelease(place, record))
    await nothingRuns(place)
  } catch (error) {
    record.reason = sentenceOf(error)
    await end(place, record, 'refused')
    throw error
  }
  await note(place, record, 'swapping')
  return await swapAndJudge(place, record)
}

/**
 * Back to the release before, once: for the unit that runs when the service has crashed again and again. An update
 * that runs goes back by itself and is left alone.
 *
 * @returns how it ended, or null when an update runs
 * @throws SamovarError `update-refused` when there is nothing to go back to
 */
export async function goBackOnce(place: UpdatePlace, reason: string): Promise<UpdateRecord | null> {
  let lock: ReturnType<typeof takeUpdateLock>
  try {
    lock = takeUpdateLock(place)
  } catch (error) {
    if (codeOf(error) !== 'state-locked') throw error
    return null
  }
  using _lock = lock
  const cut = readRecord(place.root)
  if (isCut(cut)) return await goBack(place, cut, cut.reason || reason)
  const to = currentRelease(place)
  const from = linked(place.root, 'previous')
  if (from === null || from === to)
    throw new SamovarError('update-refused', `there is no release before ${to} to go back to`, {
      next: 'The log of the service (journalctl -u samovar) says why it ends; `samovar doctor` checks what it needs.',
    })
  const [startedAt, before] = [place.now(), 'ready' as const]
  const record: UpdateRecord = {
    phase: 'going-back',
    from,
    to,
    previous: null,
    before,
    startedAt,
    endedAt: null,
    reason: '',
  }
  return await goBack(place, record, reason)
}

/** Ends what a kill cut short; null when there is nothing of that kind. */
async function settle(place: UpdatePlace): Promise<UpdateRecord | null> {
  const record = readRecord(place.root)
  if (!isCut(record)) return null
  if (record.phase === 'going-back') return goBack(place, record, record.reason)
  return swapAndJudge(place, record)
}

async function swapAndJudge(place: UpdatePlace, record: UpdateRecord): Promise<UpdateRecord> {
  const { root } = place
  await act(place, 'set previous', () => setLink(root, 'previous', record.from))
  await act(place, 'set current', () => setLink(root, 'current', record.to))
  await note(place, record, 'judging')
  const problem = await restartAndWait(place, {
    version: record.to,
    least: 'ready',
    withinMs: place.withinMs,
  })
  if (problem !== null) return goBack(place, record, problem)
  await end(place, record, 'kept')
  await act(place, 'prune', () => pruneReleases(root)).catch(() => null)
  return record
}

async function goBack(place: UpdatePlace, record: UpdateRecord, reason: string): Promise<UpdateRecord> {
  record.reason = reason
  await note(place, record, 'going-back')
  await act(place, 'set current back', () => setLink(place.root, 'current', record.from))
  const problem = await restartAndWait(place, {
    version: record.from,
    least: record.before === 'ready' ? 'ready' : 'answers',
    withinMs: place.backWithinMs,
  })
  // As before the update, and never to the release that was just left: going back happens once.
  await act(place, 'set previous back', () =>
    record.previous === null || record.previous === record.to
      ? removeLink(place.root, 'previous')
      : setLink(place.root, 'previous', record.previous),
  )
  // It did not answer before either: then nothing can be asked of it now.
  if (problem === null || record.before === 'away') return end(place, record, 'reverted')
  record.reason = `${reason}; and then release ${record.from}: ${problem}`
  return end(place, record, 'stuck')
}

/** `systemctl restart` waits for READY=1, or for its own time limit. */
const restartTakes = 3 * 60_000

async function restartAndWait(
  place: UpdatePlace,
  expected: Omit<Expected, 'steadyMs'>,
): Promise<string | null> {
  const { steadyMs, environment } = place
  const now = await lookAtService(place.url)
  // After a kill it may be long since that very release was started.
  if (now.version !== expected.version) {
    const failed = await act(place, 'restart', () =>
      restartService(place.restart, { timeoutMs: restartTakes, environment }),
    )
    if (failed !== null) return failed
  }
  return act(place, 'wait', () => waitForService(place.url, { ...expected, steadyMs }, place.clock))
}

/** A release that was named is the one that runs: nothing is restarted for it. */
async function alreadyCurrent(place: UpdatePlace, version: string): Promise<UpdateRecord> {
  const at = place.now()
  const reason = `release ${version} is the current one`
  const before = (await lookAtService(place.url)).state
  const [from, previous] = [version, linked(place.root, 'previous')]
  return { phase: 'kept', from, to: version, previous, before, startedAt: at, endedAt: at, reason }
}

function currentRelease({ root }: UpdatePlace): string {
  const version = linked(root, 'current')
  if (version !== null) return version
  throw new SamovarError('update-refused', `${root}/current names no release`, {
    next: `Install the first release by hand: its folder to ${root}/releases/VERSION, then ln -sfn releases/VERSION ${root}/current.`,
  })
}

const look = 1_000

/**
 * A roll-out is not cut for an update. Between this look and the restart one may begin; the daemon then cuts it at a
 * safe place, and the next release goes on with it.
 */
async function nothingRuns(place: UpdatePlace): Promise<void> {
  const deadline = place.clock.now() + place.waitMs
  const journal = openJournal(place.stateDir)
  try {
    for (;;) {
      const [open] = journal.unfinished()
      if (open === undefined) return
      if (place.clock.now() >= deadline)
        throw new SamovarError(
          'update-refused',
          `${open.kind} of ${open.service} (${open.id}) is not finished`,
          { next: 'Wait until `samovar status` shows nothing under way, or add --wait.' },
        )
      place.tell(`wait for ${open.kind} of ${open.service}`, 'begun')
      await place.clock.sleep(look, new AbortController().signal)
    }
  } finally {
    journal.close()
  }
}

const takeUpdateLock = ({ root }: UpdatePlace) => takeLock(join(root, '.update-lock'), 'samovar self-update')

async function note(place: UpdatePlace, record: UpdateRecord, phase: UpdatePhase): Promise<void> {
  record.phase = phase
  await act(place, `note ${phase}`, () => writeRecord(place.root, record))
}

async function end(place: UpdatePlace, record: UpdateRecord, phase: UpdatePhase): Promise<UpdateRecord> {
  record.endedAt = place.now()
  await note(place, record, phase)
  return record
}

async function act<T>(place: UpdatePlace, what: string, work: () => Promise<T>): Promise<T> {
  place.tell(what, 'begun')
  const answer = await work()
  place.tell(what, 'done')
  return answer
}
