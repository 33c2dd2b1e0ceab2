import type { Journal } from '../journal.ts'

const reminder = 60 * 60_000

export type Teller = {
  /**
   * Something is wrong: told the first time, when it becomes another thing (the fingerprint), and as a reminder.
   * @param subject what it is about, as in `git` or `service web`
   */
  problem(subject: string, fingerprint: string, sentence: string): void
  /** It is well: told when the subject had a problem before, with how long that lasted. */
  well(subject: string, sentence: string): void
}

/**
 * The same failure is told once and then hourly at most, its recovery too, also across restarts: what was told is in
 * the journal.
 *
 * @param say `again` is true for a reminder
 * @param now milliseconds since 1970
 */
export function makeTeller(options: {
  journal: Pick<Journal, 'notice' | 'rememberNotice' | 'forgetNotice'>
  now: () => number
  say: { problem(subject: string, sentence: string): void; well(subject: string, sentence: string): void }
}): Teller {
  const { journal, now, say } = options
  return {
    problem(subject, fingerprint, sentence) {
      const before = journal.notice(subject)
      if (before === null || before.fingerprint !== fingerprint) {
        journal.rememberNotice(subject, fingerprint, now(), now())
        say.problem(subject, sentence)
      } else if (now() - before.toldAt >= reminder) {
        journal.rememberNotice(subject, fingerprint, before.firstAt, now())
        say.problem(subject, `still: ${sentence} (since ${new Date(before.firstAt).toISOString()})`)
      }
    },
    well(subject, sentence) {
      if (journal.notice(subject) === null) return
      journal.forgetNotice(subject)
      say.well(subject, sentence)
    },
  }
}
