/** A delivery is not known again after this; Gitea itself forgets its own after seven days. */
const remembered = 8 * 24 * 60 * 60_000
const atMost = 10_000
/** Forgetting reads the whole table, so it is not done at each delivery. */
const forgetEvery = 500

type Deliveries = {
  firstDelivery(id: string, now: number): boolean
  forgetDeliveries(before: number, keep: number): void
}

/**
 * Remembers the ids of deliveries in the journal, so that a replay is known after a restart, too. What is remembered is
 * bounded: 8 days, and 10,000 deliveries (and up to 500 more for a while).
 *
 * @param now milliseconds since 1970
 * @returns false when that delivery came before
 */
export function rememberDeliveries(journal: Deliveries, now: () => number): (id: string) => boolean {
  let since = forgetEvery
  return (id) => {
    const isFirst = journal.firstDelivery(id, now())
    since += 1
    if (since > forgetEvery) {
      journal.forgetDeliveries(now() - remembered, atMost)
      since = 0
    }
    return isFirst
  }
}
