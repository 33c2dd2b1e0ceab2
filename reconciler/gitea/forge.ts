/**
 * What Samovar says to Gitea and asks of it: just the calls that are made, for one repository. Each call is one
 * request, or one a page, with a timeout; what fails for a moment (no connection, 5xx) is tried again inside, what is
 * refused (4xx) never. Errors are told by status, never by text.
 *
 * Every method throws SamovarError `forge-unreachable` (no answer, 5xx to the end, a token that is refused) or
 * `forge-refused` (any other 4xx; the status is in `ForgeRefusal.status`).
 */
export type Forge = {
  /** Address of the repository for people, without a slash at its end. */
  readonly webUrl: string
  /** Such as `1.22.6` or `1.28.0+dev-12-gabc`. */
  version(): Promise<string>
  /** Login of the account whose token is used. */
  login(): Promise<string>
  repository(): Promise<ForgeRepository>

  /** The latest status of each context, all pages. A commit that Gitea does not know has none. */
  statuses(sha: string): Promise<CommitStatus[]>
  /** Adds a row each time: compare with `statuses` first. */
  postStatus(sha: string, status: CommitStatus): Promise<void>

  /** Open pull requests against a branch, all pages, oldest first. */
  openPullRequests(base: string): Promise<PullRequest[]>
  /** Closed and merged ones that changed last, newest first. */
  closedPullRequests(base: string, atMost: number): Promise<PullRequest[]>
  pullRequest(number: number): Promise<PullRequest>
  /** The pull request whose merge made this commit, or null. */
  pullRequestOfMerge(sha: string): Promise<PullRequest | null>
  /** Paths that a pull request changes, old and new names; `more` when there are more than asked for. */
  changedPaths(number: number, atMost: number): Promise<{ paths: string[]; more: boolean }>
  /** When one is already open for this head and base, that one is returned. */
  createPullRequest(wanted: NewPullRequest): Promise<PullRequest>
  editPullRequest(
    number: number,
    change: { title?: string; body?: string; state?: 'closed' | 'open' },
  ): Promise<void>
  /** @returns `later` when Gitea is not ready (405), `moved` when the head is another one (409) */
  merge(number: number, wanted: MergeWanted): Promise<'merged' | 'later' | 'moved'>
  /** Those who cannot review (the author, no access, unknown) are left out; returns the ones who were asked. */
  requestReviewers(number: number, logins: string[]): Promise<string[]>

  /** All comments of a pull request, oldest first. */
  comments(number: number): Promise<Comment[]>
  comment(number: number, body: string): Promise<Comment>
  editComment(id: number, body: string): Promise<void>

  labels(): Promise<Label[]>
  createLabel(label: Omit<Label, 'id'>): Promise<Label>
  addLabels(number: number, ids: number[]): Promise<void>

  /** Null when there is no such branch. */
  branch(name: string): Promise<{ sha: string; requiredStatuses: string[] | null } | null>
  /** False when it was not there. */
  deleteBranch(name: string): Promise<boolean>
  /** A file at a branch or commit, or null when it is not there. `sha` is that of the blob. */
  file(path: string, ref: string): Promise<{ sha: string; bytes: Buffer } | null>
  /** One commit with several files, on `newBranch` made from `branch`, or on `branch` itself. */
  commit(wanted: NewCommit): Promise<{ sha: string }>
}

export type ForgeRepository = {
  /** `owner/name`. */
  fullName: string
  defaultBranch: string
  private: boolean
  archived: boolean
  permissions: { admin: boolean; push: boolean; pull: boolean }
  /** Ways of merging that are allowed here, the preferred one first. */
  mergeStyles: MergeStyle[]
}

export type MergeStyle = 'merge' | 'rebase' | 'rebase-merge' | 'squash' | 'fast-forward-only'

/** `skipped` comes from Gitea only; it counts as a success. */
export type StatusState = 'pending' | 'success' | 'error' | 'failure' | 'warning' | 'skipped'

export type CommitStatus = {
  context: string
  state: StatusState
  description: string
  /** Empty when there is none. */
  targetUrl: string
}

export type PullRequest = {
  number: number
  state: 'open' | 'closed'
  merged: boolean
  /** Commit on the base branch that the merge made; null as long as it is not merged. */
  mergeCommit: string | null
  title: string
  body: string
  author: string
  draft: boolean
  /** False also for a moment after each push, as long as Gitea is looking. */
  mergeable: boolean
  base: { branch: string; sha: string }
  /** `fork` is true when the branch is in another repository. */
  head: { branch: string; sha: string; fork: boolean }
  labels: string[]
  url: string
  /** Milliseconds since 1970. */
  updatedAt: number
}

/** `labels` are ids; unknown ones are dropped by Gitea without a word. */
export type NewPullRequest = { head: string; base: string; title: string; body: string; labels: number[] }

/** Nothing is merged but the commit that was looked at. */
export type MergeWanted = { sha: string; style: MergeStyle; title: string; deleteBranch: boolean }

export type Comment = { id: number; author: string; body: string }

/** `color` with `#`. */
export type Label = { id: number; name: string; color: string; description: string }

export type NewCommit = {
  branch: string
  newBranch: string | null
  message: string
  /** `sha` is the blob that is replaced; null makes a file anew. `bytes` null deletes it. */
  files: { path: string; sha: string | null; bytes: Buffer | null }[]
}
