import { type BackupList, backupDocument } from '../backup/list-backups.ts'
import { reasonOf } from '../errors.ts'

/** What GET /api/backups answers. */
export type KnownBackups = {
  /** As `backups --json`; null when no store has answered yet. */
  backups: Record<string, unknown>[] | null
  /** Milliseconds since 1970: when the stores were asked. */
  at: number | null
  /** Stores that did not answer, backups that cannot be read. */
  problems: string[]
}

export type AskKnownBackups = {
  /** What is known after a short wait at most. */
  ask(): Promise<KnownBackups>
  /** A backup came or went: what is known is asked for again at the next question. */
  changed(): void
}

/** A listing this young is not asked for again. */
const freshFor = 30_000
/** How long a question waits for the stores; then it is answered with what is known, and they are waited for behind it. */
const patience = 3_000

/**
 * The backups in the stores, for whoever asks often: at most one listing goes on, and nobody waits long for a store
 * that is slow or hangs.
 *
 * @param list asks the stores; null when no host.yaml is known yet
 */
export function knownBackups(
  list: () => Promise<BackupList | null>,
  { now, waitsFor = patience }: { now: () => number; waitsFor?: number },
): AskKnownBackups {
  let known: KnownBackups = { backups: null, at: null, problems: [] }
  let listing: Promise<void> | null = null
  let isStale = true

  const refresh = async (): Promise<void> => {
    const began = now()
    isStale = false
    try {
      const listed = await list()
      if (listed === null) {
        isStale = true
        return
      }
      const problems = listed.problems.map(({ error }) => reasonOf(error))
      known = { backups: listed.backups.map(backupDocument), at: began, problems }
    } catch (error) {
      isStale = true
      known = { ...known, problems: [reasonOf(error)] }
    }
  }

  return {
    async ask() {
      const isOld = isStale || known.at === null || now() - known.at > freshFor
      if (isOld)
        listing ??= refresh().finally(() => {
          listing = null
        })
      if (listing !== null) await Promise.race([listing, afterA(waitsFor)])
      return known
    },
    changed() {
      isStale = true
    },
  }
}

/** Does not keep the process alive. */
const afterA = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
