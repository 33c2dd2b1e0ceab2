/**
 * Milliseconds until the next look at Git: the interval, up to a tenth shorter or longer, so that many hosts that were
 * started together do not ask one Gitea in the same second.
 *
 * @param random From 0 up to 1, as Math.random gives it.
 */
export function nextPoll(interval: number, random: number): number {
  return Math.round(interval * (0.9 + 0.2 * random))
}
