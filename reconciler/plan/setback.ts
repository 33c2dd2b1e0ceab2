const first = 15_000
const longest = 60 * 60_000
/** A service that ran this long without trouble starts anew. */
const forgotten = 60 * 60_000

export type SetbackCount = { target: string; count: number; lastAt: number }

/**
 * When a service that had to be corrected, or could not be, is tried again: at once the first time, then after 15 s,
 * 30 s, 1 min, ... up to an hour. Another target, or an hour of quiet, starts the count anew.
 *
 * @returns the new count and the moment (milliseconds since 1970) of the next try
 */
export function nextTry(
  before: SetbackCount | undefined,
  target: string,
  now: number,
): { count: number; nextAt: number } {
  const again =
    before !== undefined &&
    before.target === target &&
    now - before.lastAt < forgotten + pauseAfter(before.count)
  const count = again ? before.count + 1 : 1
  return { count, nextAt: now + pauseAfter(count) }
}

const pauseAfter = (count: number): number => Math.min(first * 2 ** (count - 1), longest)
