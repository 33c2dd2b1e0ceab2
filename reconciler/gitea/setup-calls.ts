import { connectApi, type Patience } from './api.ts'
import { accountCalls } from './calls/setup-accounts.ts'
import { deployKeyCalls, hookCalls, repositoryCalls, setupLabelCalls } from './calls/setup-repository.ts'
import { collaboratorCalls, protectionCalls } from './calls/setup-rights.ts'

/**
 * What bootstrap says to Gitea and asks of it, with an administrator's credentials. As with the forge, each call is one
 * request, or one a page. "Is already so" is an answer, never an error; anything else that is refused throws
 * SamovarError `forge-refused` (`ForgeRefusal`), no answer or refused credentials `forge-unreachable`.
 *
 * Names (`owner`, `name`, `login`, `rule`) are plain, not percent-encoded.
 */
export type Setup = {
  /** Address for people, without a slash at its end. */
  readonly webUrl: string
  version(): Promise<string>
  /** The account of the credentials. */
  currentUser(): Promise<User>

  user(login: string): Promise<User | null>
  /** The account can be used at once: it need not change its password. Its password is never read back. */
  createUser(wanted: NewUser): Promise<'created' | 'exists'>

  /** Gitea wants a password here, not a token; an administrator's does for everybody. */
  tokens(login: string): Promise<AccessToken[]>
  /**
   * @returns the token, which Gitea shows this once; null when the account has one of this name already
   * @throws `forge-refused` also when there is no such scope
   */
  createToken(login: string, wanted: { name: string; scopes: string[] }): Promise<string | null>
  /** False when it was not there. */
  deleteToken(login: string, id: number): Promise<boolean>

  organisation(name: string): Promise<{ name: string } | null>
  createOrganisation(wanted: { name: string; private: boolean }): Promise<'created' | 'exists'>

  repository(owner: string, name: string): Promise<SetupRepository | null>
  /** For an organisation or a user, whichever `owner` is. Actions are on as the instance has it. */
  createRepository(wanted: NewRepository): Promise<'created' | 'exists'>

  /** `none` also when there is no such user. The owner and administrators of Gitea have `owner` and `admin`. */
  permission(repository: Address, login: string): Promise<'none' | 'read' | 'write' | 'admin' | 'owner'>
  putCollaborator(repository: Address, login: string, permission: 'read' | 'write' | 'admin'): Promise<void>

  /** All pages. Gitea never gives the secret back. */
  hooks(repository: Address): Promise<Hook[]>
  /** Gitea accepts the same address twice: look first. */
  createHook(repository: Address, wanted: NewHook): Promise<Hook>
  /** Every field is sent, since Gitea resets those left out. The secret cannot be changed: delete and create. */
  editHook(repository: Address, id: number, wanted: Omit<NewHook, 'secret'>): Promise<Hook>
  /** False when it was not there. */
  deleteHook(repository: Address, id: number): Promise<boolean>

  labels(repository: Address): Promise<SetupLabel[]>
  /** Gitea accepts the same name twice: look first. */
  createLabel(repository: Address, wanted: Omit<SetupLabel, 'id'>): Promise<SetupLabel>

  protection(repository: Address, rule: string): Promise<BranchProtection | null>
  createProtection(repository: Address, wanted: BranchProtection): Promise<'created' | 'exists'>
  /** What is left out stays as it is; an empty list clears a list. */
  editProtection(
    repository: Address,
    rule: string,
    change: Partial<Omit<BranchProtection, 'rule'>>,
  ): Promise<void>

  deployKeys(repository: Address): Promise<DeployKey[]>
  /** `exists` when the key or the title is there already (422). */
  addDeployKey(
    repository: Address,
    wanted: { title: string; key: string; readOnly: boolean },
  ): Promise<'created' | 'exists'>
}

export type Address = { owner: string; name: string }

export type User = { id: number; login: string; email: string; admin: boolean }

export type NewUser = { login: string; email: string; password: string }

/** `lastEight` characters of the token, to tell whether one that is at hand is this one. */
export type AccessToken = { id: number; name: string; scopes: string[]; lastEight: string }

export type SetupRepository = {
  fullName: string
  private: boolean
  empty: boolean
  archived: boolean
  defaultBranch: string
}

/** `autoInit` makes a first commit, so that there is a branch to protect. */
export type NewRepository = Address & {
  description: string
  private: boolean
  autoInit: boolean
  defaultBranch: string
}

/** Gitea may give more `events` back than were asked for: `pull_request` switches on all of its kind. */
export type Hook = {
  id: number
  type: string
  url: string
  contentType: string
  events: string[]
  branchFilter: string
  active: boolean
}

/** `branchFilter` is a glob, `*` for all. */
export type NewHook = {
  url: string
  secret: string
  events: string[]
  branchFilter: string
  active: boolean
}

/** `color` with `#`. */
export type SetupLabel = { id: number; name: string; color: string; description: string }

/** `rule` is a branch or a glob, `requiredStatuses` are globs of contexts (empty: none required). */
export type BranchProtection = {
  rule: string
  /** False: nobody pushes, merging goes on. */
  directPush: boolean
  requiredStatuses: string[]
  requiredApprovals: number
  blockOnRejectedReviews: boolean
  dismissStaleApprovals: boolean
  /** Globs of paths that nobody changes, merges included; Gitea keeps them in one text, separated by `;`. */
  protectedPaths: string[]
}

export type DeployKey = { id: number; title: string; key: string; readOnly: boolean }

export type SetupOptions = {
  /** Where Gitea is, without a slash at its end. */
  url: string
  /** For the tokens of a user a password is needed. */
  authorization: { user: string; password: string } | { token: string }
  signal?: AbortSignal
  patience?: Partial<Patience>
}

/** An administrator's view of one Gitea, 1.22 and newer. Nothing is asked before the first call. */
export function connectSetup(options: SetupOptions): Setup {
  const { authorization } = options
  const header =
    'token' in authorization
      ? `token ${authorization.token}`
      : `Basic ${Buffer.from(`${authorization.user}:${authorization.password}`).toString('base64')}`
  const api = connectApi({
    url: options.url,
    authorization: () => header,
    credentials: 'token' in authorization ? "the administrator's token" : "the administrator's password",
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.patience === undefined ? {} : { patience: options.patience }),
  })
  return {
    webUrl: api.webUrl,
    ...accountCalls(api),
    ...repositoryCalls(api),
    ...collaboratorCalls(api),
    ...hookCalls(api),
    ...setupLabelCalls(api),
    ...protectionCalls(api),
    ...deployKeyCalls(api),
  }
}
