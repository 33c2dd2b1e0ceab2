import type { NewMessage } from '../journal/outbox.ts'
import type { Forge } from './forge.ts'
import type { Deliver } from './outbox.ts'

type Content = { number: number; marker: string; body: string }

/** The hidden first line that a comment or a pull request of ours is found again by. */
export const markerLine = (marker: string): string => `<!-- samovar:${marker} -->`

/**
 * A comment on a pull request that is kept up to date: one for each marker.
 *
 * @param body Markdown, without the marker
 */
export const commentMessage = (about: { number: number; marker: string; body: string }): NewMessage => ({
  kind: 'comment',
  subject: `comment ${about.number}`,
  slot: about.marker,
  content: about satisfies Content,
})

/** Found by marker and author: anybody may write a comment that looks like ours. */
export const deliverComment =
  (forge: Forge): Deliver =>
  async (content) => {
    const { number, marker, body } = content as Content
    const text = `${markerLine(marker)}\n${body}`
    const login = await forge.login()
    const own = (await forge.comments(number)).find(
      (each) => each.author === login && each.body.startsWith(markerLine(marker)),
    )
    if (own === undefined) await forge.comment(number, text)
    else if (own.body.trimEnd() !== text.trimEnd()) await forge.editComment(own.id, text)
  }
