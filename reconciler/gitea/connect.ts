import { connectApi, type Patience } from './api.ts'
import { branchCalls } from './calls/branches.ts'
import { commentCalls } from './calls/comments.ts'
import { fileCalls } from './calls/files.ts'
import { labelCalls } from './calls/labels.ts'
import { mergeCalls } from './calls/merging.ts'
import { pullRequestCalls } from './calls/pull-requests.ts'
import { repositoryCalls } from './calls/repository.ts'
import { statusCalls } from './calls/statuses.ts'
import type { Forge } from './forge.ts'

export type ForgeOptions = {
  /** Where Gitea is, such as `https://git.example.com` or `http://gitea:3000`. */
  url: string
  /** `owner/name`. */
  repository: string
  /** Asked at each request. */
  token: () => string | undefined
  /** Cuts what is under way short, with `interrupted`. */
  signal?: AbortSignal
  patience?: Partial<Patience>
}

/**
 * Gitea 1.22 and newer, seen through one repository. Nothing is asked before the first call.
 * @throws TypeError when the address is none
 */
export function connectForge(options: ForgeOptions): Forge {
  const [owner = '', name = ''] = options.repository.split('/')
  const api = connectApi({
    url: options.url,
    authorization: () => {
      const token = options.token()
      return token === undefined ? undefined : `token ${token}`
    },
    credentials: 'SAMOVAR_GITEA_TOKEN',
    newCredentials: '`samovar bootstrap` makes a new one.',
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.patience === undefined ? {} : { patience: options.patience }),
  })
  const place = { api, owner, name, webUrl: `${api.webUrl}/${owner}/${name}` }
  return {
    webUrl: place.webUrl,
    ...repositoryCalls(place),
    ...statusCalls(place),
    ...pullRequestCalls(place),
    ...mergeCalls(place),
    ...commentCalls(place),
    ...labelCalls(place),
    ...branchCalls(place),
    ...fileCalls(place),
  }
}
