import type { Operation } from './journal/operation.ts'
import type { Outlook } from './look.ts'
import type { Parts } from './parts.ts'
import type { Progress, Work } from './rollout/step.ts'
import { formsOf } from './secrets/forms.ts'

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
  /** The stack is brought up for the first time: what never ran before is not judged through its neighbours yet. */
  isFirstStart?: boolean
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
    holdDir: parts.settings.holdDir,
    isFirstStart: options.isFirstStart === true,
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
  const forms = [...secrets].flatMap(formsOf).toSorted((a, b) => b.length - a.length)
  for (const form of forms) result = result.replaceAll(form, '***')
  return result
}
