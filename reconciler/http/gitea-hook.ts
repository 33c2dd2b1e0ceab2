import type { Secret } from '../settings.ts'
import { type GiteaNews, newsOf, type Watched } from './gitea-event.ts'
import { type Answer, type Hook, malformed, unauthorized, valueOf } from './hook.ts'
import { isSet, isSigned, looksLikeSignature } from './signature.ts'

export type GiteaHookSource = Watched & {
  /** Every delivery is refused as long as it is null. */
  secret: Secret | null
  /** Remembers a delivery, durable; false when it was there before. */
  firstDelivery(id: string): boolean
  /** The watched branch has moved. Many hints make one look. */
  hint(why: string): void
  /** Something about a pull request has changed; null: about any. */
  pullRequestHint(number: number | null): void
}

const mebibyte = 1024 * 1024

/**
 * `POST /hooks/gitea`. Nothing is parsed or remembered before the signature over the raw bytes is right. The id of a
 * delivery is not signed: who has recorded a delivery can send it again under another id, and makes one look too many.
 *
 * @see https://docs.gitea.com/usage/webhooks
 */
export function giteaHook(source: GiteaHookSource): Hook {
  return {
    name: 'gitea',
    bodyLimit: 2 * mebibyte,
    otherwise: 'nothing, polling finds what it told of',
    refuse(headers) {
      if (!isSet(source.secret))
        return unauthorized(
          'a webhook came and was refused: SAMOVAR_WEBHOOK_SECRET is not set; next: set it to the secret of the webhook in Gitea',
        )
      if (!looksLikeSignature(headers['x-gitea-signature']))
        return unauthorized(
          'a webhook without a signature was refused; next: give the webhook in Gitea the secret that SAMOVAR_WEBHOOK_SECRET holds',
        )
      return null
    },
    take(headers, bytes) {
      const signature = String(headers['x-gitea-signature'])
      if (!isSet(source.secret) || !isSigned(bytes, { secret: source.secret, signature }))
        return unauthorized(
          'a webhook with a wrong signature was refused; next: run samovar bootstrap --renew and restart the daemon, or enter the secret anew in Gitea',
        )
      const parsed = valueOf(bytes)
      if (parsed === null) return malformed('the body is not JSON')
      const id = headers['x-gitea-delivery']
      if (typeof id !== 'string' || !/^[\w.-]{1,100}$/.test(id))
        return malformed('X-Gitea-Delivery is not the id of a delivery')
      return answerTo(newsOf(String(headers['x-gitea-event']), parsed.value, source), id, source)
    },
  }
}

/** Only what leads to a look is remembered: sending the rest again does nothing anyway. */
function answerTo(news: GiteaNews, id: string, source: GiteaHookSource): Answer {
  if (news.kind === 'nothing') return { result: 'ignored', why: news.why }
  if (!source.firstDelivery(id)) return { result: 'replay', why: 'replay: this delivery came before' }
  const afterwards = () =>
    news.kind === 'push' ? source.hint('a push') : source.pullRequestHint(news.number)
  return { result: 'accepted', why: news.why, afterwards }
}
