/** What the pretend Gitea knows. Everything is in memory but the repositories, which are real bare ones. */
export type World = {
  version: string
  /** 1.22, where it answers otherwise than newer ones. */
  old: boolean
  /** Address that answers name: ROOT_URL, which is not the one that it is called by. */
  rootUrl: string
  /** Folder of the bare repositories. */
  folder: string
  accounts: Account[]
  tokens: Token[]
  organisations: Organisation[]
  repositories: Repository[]
  /** Old to new full names of those that were renamed. */
  renamed: Map<string, string>
  deliveries: Delivery[]
  /** Registration tokens by what a runner is for: '' for everything, `owner` or `owner/name`. */
  runnerTokens: Record<string, string>
  runners: Runner[]
  nextId: () => number
}

export type Runner = { id: number; name: string; labels: string[]; scope: string }

export type Account = {
  id: number
  login: string
  email: string
  password: string
  admin: boolean
  mustChangePassword: boolean
}

export type Token = { id: number; login: string; name: string; scopes: string[]; value: string }

export type Organisation = { id: number; name: string; owners: string[] }

export type Right = 'none' | 'read' | 'write' | 'admin' | 'owner'

export type Repository = {
  id: number
  owner: string
  name: string
  description: string
  private: boolean
  archived: boolean
  defaultBranch: string
  /** Path of the bare repository. */
  bare: string
  collaborators: Map<string, Right>
  labels: { id: number; name: string; color: string; description: string }[]
  hooks: Hook[]
  keys: { id: number; title: string; key: string; read_only: boolean }[]
  protections: Protection[]
  pulls: Pull[]
  statuses: Status[]
  comments: { id: number; pull: number; author: string; body: string }[]
}

export type Hook = {
  id: number
  type: string
  active: boolean
  events: string[]
  branch_filter: string
  authorization_header: string
  url: string
  contentType: string
  secret: string
}

export type Protection = {
  rule_name: string
  enable_push: boolean
  enable_status_check: boolean
  status_check_contexts: string[]
  required_approvals: number
  block_on_rejected_reviews: boolean
  dismiss_stale_approvals: boolean
  protected_file_patterns: string
}

export type Pull = {
  id: number
  number: number
  title: string
  body: string
  author: string
  state: 'open' | 'closed'
  head: string
  headSha: string
  base: string
  merged: boolean
  mergeCommit: string | null
  labels: number[]
  reviewers: string[]
  reviews: Review[]
  updatedAt: number
  /** Head and base that it was looked at with whether they conflict; until then it counts as not mergeable. */
  looked: string
}

export type Review = {
  id: number
  author: string
  state: string
  commit: string
  dismissed: boolean
  body: string
}

export type Status = {
  id: number
  sha: string
  context: string
  status: string
  description: string
  target_url: string
}

export type Delivery = { event: string; url: string; status: number | null }

/** Something that Gitea answers with a status of 4xx or 5xx. */
export class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const order: Right[] = ['none', 'read', 'write', 'admin', 'owner']

export function rightOf(world: World, repository: Repository, login: string): Right {
  const organisation = world.organisations.find((each) => each.name === repository.owner)
  if (repository.owner === login || organisation?.owners.includes(login)) return 'owner'
  if (world.accounts.some((each) => each.login === login && each.admin)) return 'admin'
  return repository.collaborators.get(login) ?? (repository.private ? 'none' : 'read')
}

export function atLeast(right: Right, wanted: Right): boolean {
  return order.indexOf(right) >= order.indexOf(wanted)
}

/** The rule of a branch; as Gitea has them, `*` does not match a slash and `**` does. */
export function protectionOf(repository: Repository, branch: string): Protection | undefined {
  return repository.protections.find((each) => matches(each.rule_name, branch))
}

export function matches(glob: string, text: string): boolean {
  const pattern = glob
    .replace(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replace(/\*\*|\*|\?/g, (each) => (each === '**' ? '.*' : each === '*' ? '[^/]*' : '[^/]'))
  return new RegExp(`^${pattern}$`).test(text)
}

/** Gitea before anybody did anything. */
export function newWorld(version: string, folder: string, rootUrl: string): World {
  let id = 0
  return {
    version,
    old: /^1\.(\d|1\d|2[0-2])\./.test(version),
    rootUrl,
    folder,
    accounts: [],
    tokens: [],
    organisations: [],
    repositories: [],
    renamed: new Map(),
    deliveries: [],
    runnerTokens: {},
    runners: [],
    nextId: () => (id += 1),
  }
}
