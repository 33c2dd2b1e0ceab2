import type { Operation } from './journal/operation.ts'
import type { Outlook } from './look.ts'
import type { Parts } from './parts.ts'
import type { Progress, Work } from './rollout/step.ts'

export type PassOptions = {
  /** Only these services; all when empty. */
  services: string[]
  /** Ignore windows and growing pauses. */
  now: boolean
  /** Fires when the process is told to end. */
  stopping: AbortSignal
  /** Fires when somebody says that Git may have moved: a webhook during the pass. */
  hint: EventTarget
  progress: Progress
  /** The services that are worked on from now on, so that our own doings are not taken for drift. */
  busy: (services: string[]) => void
  /** Called after each look, so that others know what was seen without looking themselves. */
  looked?: (outlook: Outlook) => void
  /** Called as soon as an operation has ended, or was cut. */
  ended?: (operation: Operation) => void
}

/** `secrets` is null when they are not known: then nothing a container wrote is recorded. */
type About = Pick<Work, 'project' | 'root' | 'endsByItself'> & { secrets: ReadonlySet<string> | null }

/** The parts a roll-out works with, for the secrets and the checkout of one commit. */
export function workOf(parts: Parts, options: PassOptions, about: About): Work {
  const { secrets, ...rest } = about
  return {
    engine: parts.engine,
    journal: parts.journal,
    backups: parts.backups,
    now: parts.now,
    clock: parts.clock,
    newer: new AbortController().signal,
    stopping: options.stopping,
    progress: maskedProgress(options.progress, secrets ?? new Set()),
    secretsKnown: secrets !== null,
    mask: (text) => masked(text, secrets ?? new Set()),
    ...rest,
  }
}

/** What a failing check said is shown while it is waited for; a program may say its password there. */
function maskedProgress(progress: Progress, secrets: ReadonlySet<string>): Progress {
  return {
    ...progress,
    health: (operation, seen) => progress.health(operation, { ...seen, said: masked(seen.said, secrets) }),
  }
}

/** Short secrets are masked too: a false `***` in a log is better than a password. */
export function masked(text: string, secrets: ReadonlySet<string>): string {
  let result = text
  // The longest first: one secret may be the beginning of another.
  for (const secret of [...secrets].toSorted((a, b) => b.length - a.length))
    if (secret !== '') result = result.replaceAll(secret, '***')
  return result
}
