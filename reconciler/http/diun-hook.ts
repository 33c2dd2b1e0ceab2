import type { Secret } from '../settings.ts'
import { readDiunEvent } from '../version-bumps/diun-event.ts'
import { type Hook, malformed, unauthorized, valueOf } from './hook.ts'
import { bearsToken, isSet } from './signature.ts'

export type DiunHookSource = {
  /** Every event is refused as long as it is null. */
  diunToken: Secret | null
  /** Stores, durable, that a repository of images may have news. */
  hintRepository(repository: string): void
  /** Repositories with news are to be looked into. */
  bumpHint(): void
}

/**
 * `POST /hooks/diun`. Diun sends an event once and forgets it, whatever is answered, so the repository is stored before the
 * answer. There is no GET: with `method` left out Diun sends its event as the body of one, where nobody reads it, and
 * takes any 2xx for delivered.
 *
 * @see https://crazymax.dev/diun/notif/webhook/
 */
export function diunHook(source: DiunHookSource): Hook {
  return {
    name: 'diun',
    bodyLimit: 64 * 1024,
    otherwise: 'nothing, the next sweep finds it (bumps.sweep in host.yaml)',
    refuse(headers) {
      if (!isSet(source.diunToken))
        return unauthorized(
          'an event of Diun came and was refused: SAMOVAR_DIUN_TOKEN is not set; next: set it to the token that Diun sends',
        )
      if (bearsToken(headers.authorization, source.diunToken)) return null
      return unauthorized(
        'an event without the right token was refused; next: compare the header Authorization in the configuration of Diun with SAMOVAR_DIUN_TOKEN',
      )
    },
    take(_headers, bytes) {
      const parsed = valueOf(bytes)
      if (parsed === null) return malformed('the body is not JSON')
      const event = readDiunEvent(parsed.value)
      if (event.kind === 'invalid') return malformed(event.problem)
      if (event.kind === 'test') return { result: 'ignored', why: 'a test of the notification' }
      source.hintRepository(event.repository)
      return {
        result: 'accepted',
        why: 'the repository is looked into',
        afterwards: () => source.bumpHint(),
      }
    },
  }
}
