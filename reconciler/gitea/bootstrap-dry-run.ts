import type { BootstrapParts } from './bootstrap.ts'
import type { SecretFiles } from './secret-files.ts'
import type { Address, Setup } from './setup-calls.ts'

const pretended = 'a token that would be made'

/** The same parts, with which nothing is changed, in Gitea or here. */
export const dryRunOf = (parts: BootstrapParts, bot: string): BootstrapParts => ({
  setup: withoutWriting(parts.setup),
  files: withoutWritingFiles(parts.files),
  withToken: (token) =>
    token === pretended
      ? {
          currentUser: () => Promise.resolve({ id: 0, login: bot, email: '', admin: false }),
          repository: (owner, name) =>
            Promise.resolve({
              fullName: `${owner}/${name}`,
              private: true,
              empty: true,
              archived: false,
              defaultBranch: '',
            }),
        }
      : parts.withToken(token),
})

/**
 * The same Gitea, from which is read and to which nothing is written. What would have been made is empty when it is looked at
 * later, as it would be.
 */
function withoutWriting(setup: Setup): Setup {
  const made = new Set<string>()
  const key = ({ owner, name }: Address) => `${owner}/${name}`
  const unlessMade =
    <Result>(read: (address: Address) => Promise<Result>, empty: Result) =>
    (address: Address): Promise<Result> =>
      made.has(key(address)) ? Promise.resolve(empty) : read(address)
  const nothing = () => Promise.resolve()
  const make = (id: string): Promise<'created'> => {
    made.add(id)
    return Promise.resolve('created')
  }
  return {
    ...setup,
    createUser: ({ login }) => make(login),
    tokens: (login) => (made.has(login) ? Promise.resolve([]) : setup.tokens(login)),
    createToken: () => Promise.resolve(pretended),
    deleteToken: () => Promise.resolve(true),
    createOrganisation: () => Promise.resolve('created'),
    createRepository: (wanted) => make(key(wanted)),
    permission: (address, login) =>
      made.has(login) || made.has(key(address)) ? Promise.resolve('none') : setup.permission(address, login),
    putCollaborator: nothing,
    hooks: unlessMade((address) => setup.hooks(address), []),
    createHook: (_, { url, events, branchFilter, active }) =>
      Promise.resolve({ id: 0, type: 'gitea', contentType: 'json', url, events, branchFilter, active }),
    editHook: (_, id, { url, events, branchFilter, active }) =>
      Promise.resolve({ id, type: 'gitea', contentType: 'json', url, events, branchFilter, active }),
    deleteHook: () => Promise.resolve(true),
    labels: unlessMade((address) => setup.labels(address), []),
    createLabel: (_, label) => Promise.resolve({ id: 0, ...label }),
    protection: (address, rule) => unlessMade((each) => setup.protection(each, rule), null)(address),
    createProtection: () => Promise.resolve('created'),
    editProtection: nothing,
    deployKeys: unlessMade((address) => setup.deployKeys(address), []),
    addDeployKey: () => Promise.resolve('created'),
  }
}

/** Reads, and forgets what it is told to write. */
const withoutWritingFiles = (files: SecretFiles): SecretFiles => ({
  read: (path) => files.read(path),
  write: () => {},
})
