/** How many of the newest roll-outs of a service say how long the next one takes. */
export const lastRollOuts = 5

/**
 * How long a roll-out is expected to take: as long as the longest of the last ones. One that was never done is given
 * all that it may take when it fails: the new version, then the old one, until they are judged, and the copy of the
 * data there and back.
 *
 * @param about.times the newest roll-outs, in milliseconds
 * @param about.within how long a version may take to be healthy, in milliseconds
 * @param about.lastBackup what the last backup of its data took, in milliseconds; 0 when there is none
 */
export function expectedTime(about: { times: number[]; within: number; lastBackup: number }): number {
  return about.times.length > 0 ? Math.max(...about.times) : 2 * (about.within + about.lastBackup)
}
