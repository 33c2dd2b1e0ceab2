import { setTimeout as pause } from 'node:timers/promises'

/**
 * Waits for a condition, never for a fixed time. Answers what the condition answers as soon as that is not
 * false, null or undefined; an error that it throws counts as "not yet". After `withinMs` it throws a sentence
 * with the last thing that was seen.
 *
 * @param what what is waited for, as in "the new version answers"
 */
export async function until<T>(
  what: string,
  condition: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  options: { withinMs: number; everyMs?: number },
): Promise<T> {
  const deadline = Date.now() + options.withinMs
  let seen: unknown
  for (;;) {
    try {
      const answer = await condition()
      if (answer !== false && answer !== null && answer !== undefined) return answer
      seen = answer
    } catch (error) {
      seen = error
    }
    if (Date.now() >= deadline) {
      const last = seen instanceof Error ? seen.message : String(seen)
      throw new Error(`${what}: not within ${options.withinMs} ms; seen last: ${last}`, { cause: seen })
    }
    await pause(options.everyMs ?? 50)
  }
}
