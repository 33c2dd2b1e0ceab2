import { createHash } from 'node:crypto'
import { SamovarError } from '../errors.ts'
import type { BootstrapParts, BootstrapStep, BootstrapWanted } from './bootstrap.ts'
import { hostLabels } from './host-labels.ts'
import { newProtection, protectionChange } from './protection.ts'

/** An organisation is made when nobody has that name; a user's own repository needs none. */
export async function* owner(
  { setup }: BootstrapParts,
  wanted: BootstrapWanted,
): AsyncGenerator<BootstrapStep> {
  const step = { what: 'organisation', name: wanted.owner, details: [] as string[] } as const
  if ((await setup.organisation(wanted.owner)) !== null) {
    yield { ...step, result: 'already so' }
    return
  }
  if ((await setup.user(wanted.owner)) !== null) return
  const made = await setup.createOrganisation({ name: wanted.owner, private: true })
  yield { ...step, result: made === 'created' ? 'made' : 'already so' }
}

/** Empty: what is pushed first is the desired state that somebody has already. */
export async function repository({ setup }: BootstrapParts, wanted: BootstrapWanted): Promise<BootstrapStep> {
  const { owner: ownerName, name, branch } = wanted
  const step = { what: 'repository', name: `${ownerName}/${name}` } as const
  const known = await setup.repository(ownerName, name)
  if (known === null) {
    const description = 'Desired state of a host'
    const made = await setup.createRepository({
      owner: ownerName,
      name,
      description,
      private: true,
      autoInit: false,
      defaultBranch: branch,
    })
    return {
      ...step,
      result: made === 'created' ? 'made' : 'already so',
      details: [`private, branch ${branch}`],
    }
  }
  if (known.archived)
    throw new SamovarError('forge-refused', `${known.fullName} is archived: nothing in it can be changed`, {
      next: 'Un-archive it in its settings, or name another one in SAMOVAR_GITEA_REPOSITORY.',
    })
  const details = [
    ...(known.private ? [] : ['everybody can read it: make it private if that is not meant']),
    ...(known.defaultBranch === branch
      ? []
      : [`its default branch is ${known.defaultBranch}, Samovar follows ${branch} (SAMOVAR_BRANCH)`]),
  ]
  return { ...step, result: 'already so', details }
}

/**
 * May fetch, never push.
 *
 * @param line in which `publicKeyIn` finds a key
 */
export async function deployKey(
  { setup }: BootstrapParts,
  { owner: ownerName, name }: BootstrapWanted,
  line: string,
): Promise<BootstrapStep> {
  const address = { owner: ownerName, name }
  const key = publicKeyIn(line) ?? line.trim()
  const title = `samovar ${createHash('sha256').update(key).digest('hex').slice(0, 8)}`
  const step = { what: 'deploy key', name: title } as const
  const known = (await setup.deployKeys(address)).find((each) => publicKeyIn(each.key) === key)
  if (known !== undefined) {
    const details = known.readOnly
      ? []
      : ['it may push, which Samovar does not need: remove it and run this again']
    return { ...step, name: known.title, result: 'already so', details }
  }
  const made = await setup.addDeployKey(address, { title, key: line.trim(), readOnly: true })
  return { ...step, result: made === 'created' ? 'made' : 'already so', details: ['may fetch, not push'] }
}

/** Kind and key, without the comment; null when there is none, as in the file of a private key. */
export function publicKeyIn(line: string): string | null {
  const match = /^((?:ssh|ecdsa|sk)-[\w@.-]+) +([A-Za-z0-9+/=]+)/.exec(line.trim())
  return match === null ? null : `${match[1]} ${match[2]}`
}

/** By name: Gitea takes the same name twice, and colours are a matter of taste. */
export async function* labels(
  { setup }: BootstrapParts,
  { owner: ownerName, name }: BootstrapWanted,
): AsyncGenerator<BootstrapStep> {
  const address = { owner: ownerName, name }
  const known = new Set((await setup.labels(address)).map((label) => label.name))
  for (const label of Object.values(hostLabels)) {
    const isKnown = known.has(label.name)
    if (!isKnown) await setup.createLabel(address, label)
    yield { what: 'label', name: label.name, result: isKnown ? 'already so' : 'made', details: [] }
  }
}

/** Protection binds the first push, too, and there is nothing to protect before it. */
export async function protection({ setup }: BootstrapParts, wanted: BootstrapWanted): Promise<BootstrapStep> {
  const address = { owner: wanted.owner, name: wanted.name }
  const step = { what: 'branch protection', name: wanted.branch } as const
  const complete = newProtection(wanted)
  let now = await setup.protection(address, wanted.branch)
  if (now === null) {
    if ((await setup.repository(wanted.owner, wanted.name))?.empty !== false)
      return {
        ...step,
        result: 'left out',
        details: [
          'Gitea knows of no push yet, and a protected branch refuses the first one: push, wait a moment, then run bootstrap again',
        ],
      }
    if ((await setup.createProtection(address, complete)) === 'created')
      return { ...step, result: 'made', details: [`requires ${complete.requiredStatuses.join(', ')}`] }
    now = await setup.protection(address, wanted.branch)
  }
  const { change, details } =
    now === null ? { change: complete, details: [] } : protectionChange(now, complete)
  if (now !== null && details.length === 0) return { ...step, result: 'already so', details }
  await setup.editProtection(address, wanted.branch, change)
  return { ...step, result: 'changed', details }
}
