import { inForce } from '../in-force.ts'
import { lockOwner, takeLock } from '../journal/lock.ts'
import type { Operation } from '../journal/operation.ts'
import { type Memory, newMemory } from '../look.ts'
import { rememberAudience } from '../notify/recipients.ts'
import { notifyBriefly } from '../notify-work.ts'
import { type Outcome, outcomeOfOperations } from '../outcome.ts'
import { buildParts, openState, type Parts } from '../parts.ts'
import type { Settings } from '../settings.ts'
import { tellingPeople } from '../tell-people.ts'
import type { PassOptions } from '../work.ts'
import { tellWaiting } from './apply.ts'
import { askDaemon, type Wish } from './ask-daemon.ts'
import type { Console } from './console.ts'
import { endLines, screenProgress } from './progress.ts'
import { stopSignal } from './stop-signal.ts'

/** What a verb works with when it does the work itself. */
export type Asked = { parts: Parts; memory: Memory; options: PassOptions }

/**
 * Has the daemon do it when there is one, since it holds the lock; else does it here. Either way each step is shown
 * as it ends.
 *
 * @param verb for people who find the lock taken: `samovar backup`
 */
export async function doOperations(
  about: { settings: Settings; console: Console; verb: string },
  wish: Wish,
  here: (asked: Asked) => Promise<Operation[]>,
): Promise<Outcome> {
  const { settings, console, verb } = about
  if (lockOwner(settings.stateDir)?.what === 'samovar run') {
    const journal = openState(settings.stateDir)
    try {
      const [outcome] = await askDaemon({ journal, stateDir: settings.stateDir, console }, [wish])
      return outcome as Outcome
    } finally {
      journal.close()
    }
  }
  using stop = stopSignal(console)
  using _lock = takeLock(settings.stateDir, verb)
  const parts = await buildParts(settings, stop.signal)
  using progress = screenProgress(console)
  const options = passOptions(console, stop.signal, progress)
  try {
    const memory = newMemory()
    // Who is told stands in host.yaml, which none of these looks at by itself; without a good one nobody is.
    const loaded = await inForce(parts, memory).catch(() => null)
    if (loaded !== null) rememberAudience(parts.journal, loaded.state.host, parts.now())
    const operations = await here({ parts, memory, options: tellingPeople(parts, options) })
    const told = await notifyBriefly(parts, { memory, stopping: stop.signal, longest: 10_000 })
    if (told.waiting > 0) tellWaiting(console, 'notify', told)
    return outcomeOfOperations(operations)
  } finally {
    await parts.close()
  }
}

/** Work that shows itself on the screen. */
export function passOptions(
  console: Console,
  stopping: AbortSignal,
  progress: PassOptions['progress'],
): PassOptions {
  return {
    services: [],
    now: false,
    stopping,
    hint: new EventTarget(),
    progress,
    busy: () => undefined,
    ended: (operation) => {
      for (const line of endLines(console, operation)) console.line(line)
    },
  }
}
