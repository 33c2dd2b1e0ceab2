import type { NewMessage } from '../journal/outbox.ts'
import type { CommitStatus, Forge } from './forge.ts'
import type { Deliver } from './outbox.ts'

type Content = { sha: string; status: CommitStatus }

/** Gitea shows a line of them beside each commit; what is longer is cut by some versions in the middle of a word. */
const longest = 140

/** A status of a commit, as it is to be. One context of one commit is one slot: only the newest matters. */
export function statusMessage(sha: string, status: CommitStatus): NewMessage {
  const content: Content = { sha, status: { ...status, description: shortened(status.description) } }
  return { kind: 'status', subject: `status ${sha}`, slot: status.context, content }
}

/** On one line, at most 140 characters, cut at a word. */
export function shortened(text: string): string {
  const line = text.toWellFormed().replaceAll(/\s+/g, ' ').trim()
  if (line.length <= longest) return line
  // Half of a surrogate pair would come back as another character, and be posted again and again.
  const cut = line.slice(0, longest - 1).replace(/\p{Cs}$/u, '')
  const space = cut.lastIndexOf(' ')
  return `${space > longest / 2 ? cut.slice(0, space) : cut}…`
}

/** Each post adds a row in Gitea and sends a webhook, so one that is already so is not posted again. */
export const deliverStatus =
  (forge: Forge): Deliver =>
  async (content) => {
    const { sha, status } = content as Content
    const there = (await forge.statuses(sha)).find((each) => each.context === status.context)
    const isSo =
      there?.state === status.state &&
      there.description === status.description &&
      there.targetUrl === status.targetUrl
    if (!isSo) await forge.postStatus(sha, status)
  }
