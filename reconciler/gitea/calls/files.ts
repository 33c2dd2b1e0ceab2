import { at } from '../api.ts'
import type { Forge, NewCommit } from '../forge.ts'
import { ForgeRefusal } from '../refusal.ts'
import { inRepository, type Place } from './place.ts'

/** A folder is an array of these. `content` is null when the file is larger than `[api] DEFAULT_MAX_BLOB_SIZE`. */
type GiteaFile = { type: string; sha: string; content?: string | null; encoding?: string | null }

export function fileCalls(place: Place): Pick<Forge, 'file' | 'commit'> {
  const { api } = place
  return {
    /** A folder, a link or a submodule is no file. */
    async file(path, ref) {
      const address = inRepository(place, at`/contents/${path}`)
      const answer = await api.ask('GET', address, { query: { ref }, understood: [404] })
      const found = answer.body as GiteaFile | GiteaFile[] | null
      if (answer.status === 404 || found === null || Array.isArray(found) || found.type !== 'file')
        return null
      if (typeof found.content !== 'string')
        throw new ForgeRefusal(answer.status, `Gitea does not give the content of ${path}: it is too large`)
      return { sha: found.sha, bytes: Buffer.from(found.content, 'base64') }
    },
    async commit(wanted) {
      const answer = await api.ask('POST', inRepository(place, '/contents'), { body: commitBody(wanted) })
      return { sha: (answer.body as { commit: { sha: string } }).commit.sha }
    },
  }
}

/**
 * Each replaced file names the blob that was read: without it Gitea overwrites whatever is there. Author and committer
 * are the account of the token.
 */
function commitBody(wanted: NewCommit): object {
  return {
    branch: wanted.branch,
    ...(wanted.newBranch === null ? {} : { new_branch: wanted.newBranch }),
    message: wanted.message,
    files: wanted.files.map(({ path, sha, bytes }) => ({
      path,
      operation: bytes === null ? 'delete' : sha === null ? 'create' : 'update',
      ...(sha === null ? {} : { sha }),
      ...(bytes === null ? {} : { content: bytes.toString('base64') }),
    })),
  }
}
