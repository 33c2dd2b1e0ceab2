import type { Teller } from '../notify/tell.ts'
import { readRecord } from './record.ts'

/**
 * Says once that the last update of Samovar itself went back, when the daemon starts; the release that runs then is the
 * one that knows whom to tell. Later, that another release runs.
 *
 * @param root where Samovar is installed
 */
export function tellLastUpdate(teller: Teller, root: string): void {
  const record = readRecord(root)
  if (record === null) return
  const { phase, from, to, reason, startedAt } = record
  if (phase === 'going-back' || phase === 'reverted' || phase === 'stuck') {
    const next = `next: read what ${to} said (journalctl -u samovar), then update to a release that has it right`
    teller.problem(
      'samovar',
      `update ${startedAt}`,
      `the update to ${to} went back to ${from}: ${reason}; ${next}`,
    )
  } else if (phase === 'judging' || phase === 'kept') {
    teller.well('samovar', `release ${to} runs`)
  }
}
