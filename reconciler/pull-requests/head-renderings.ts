import { configurationDifferences } from '../compose/configuration-differences.ts'
import type { ComposeModel } from '../compose/model.ts'
import { mountedSources } from '../compose/mounted-sources.ts'
import { readComposeModel } from '../compose-config.ts'
import { sharedSecrets, standInVariables } from '../desired-state/variables.ts'
import type { Host, SecretReference } from '../desired-state.ts'
import type { FieldDifference, ImageDefaults } from '../engine/container-body.ts'
import { codeOf } from '../errors.ts'
import type { Loaded } from '../load.ts'
import type { Parts } from '../parts.ts'
import type { Pinned } from '../pinned-images.ts'
import { noSecrets } from '../secrets/secrets.ts'
import { type Targets, targetsOf } from '../targets.ts'

/** How the head and the commit in force render, and in what they differ. */
export type Renderings = {
  /** The head, with a stand-in for every secret. */
  head: Targets
  /** Whether the container of a service would be configured as it is at the commit in force. */
  isSame(service: string): boolean
  /** In what it would differ, for a container of an image with these defaults. Values are stand-ins where secret. */
  differences(service: string, defaults: ImageDefaults | null): Promise<FieldDifference[]>
  /** Keyed hash of the configuration with the real values; null when it cannot be known before the merge. */
  configuration(service: string): string | null
  /** Secrets in it whose values nobody reads before the merge. */
  newSecrets(service: string): string[]
  /** Whether any secret is in it, at the head or at the commit in force. */
  hasSecrets(service: string): boolean
}

/** What stands for a secret, and how it is taken out of texts for people. */
export type StandIn = { of: (name: string) => string; tidy: (text: string) => string }

type About = {
  head: Loaded
  inForce: Loaded
  images: { head: Map<string, Pinned>; inForce: Map<string, Pinned> }
  standIn: StandIn
}

/**
 * Renders the head and the commit in force with the same stand-in for each secret that both name alike. What they
 * differ in is told; so nothing that is told depends on the value of a secret, and a pull request cannot be used to
 * guess one by writing it down.
 *
 * The real values of secrets that both name alike go into one more rendering, of which only the keyed hash is used: it is
 * what production will compute after the merge. Other secrets of the head are not read.
 *
 * @param about.head loaded with the stand-ins
 */
export async function renderBoth(parts: Parts, about: About): Promise<Renderings> {
  const { head, inForce, images, standIn } = about
  const [wanted, former] = [head.state.host, inForce.state.host]
  const shared = sharedSecrets(wanted, former)
  const isShared = (name: string): boolean => Object.hasOwn(shared, name)
  const variables = standInVariables(former, (name) =>
    isShared(name) ? standIn.of(name) : `former-${standIn.of(name)}`,
  )
  const { directory: root } = await parts.source.checkout(inForce.commit)
  const base = await renderedWith(parts, { ...inForce, root }, variables)
  const ours = await onPaper(parts, head, images.head)
  const theirs = await onPaper(parts, base, images.inForce)
  const real = await realTargets(parts, about, shared)
  const secrets = [...new Set([...secretNames(wanted), ...secretNames(former)])]
  const newOnes = secretNames(wanted).filter((name) => !isShared(name))
  const secretsIn = (model: ComposeModel, service: string, names: string[]): string[] => {
    const text = textOf(model, service)
    return names.filter((name) => text.includes(standIn.of(name)))
  }
  const newSecrets = (service: string) => secretsIn(head.model, service, newOnes)
  const configurationIn = (targets: Targets | null, service: string): string | null =>
    targets?.list.find((each) => each.service === service)?.configuration || null
  return {
    head: ours,
    newSecrets,
    isSame: (service) => {
      const configuration = configurationIn(ours, service)
      return configuration !== null && configuration === configurationIn(theirs, service)
    },
    hasSecrets: (service) =>
      [head.model, base.model].some((model) => secretsIn(model, service, secrets).length > 0),
    configuration: (service) => (newSecrets(service).length > 0 ? null : configurationIn(real, service)),
    differences: (service, defaults) => differencesOf(service, { ours, theirs, defaults }),
  }
}

const secretNames = ({ variables }: Host): string[] =>
  Object.keys(variables).filter((name) => typeof variables[name] !== 'string')

const onPaper = (parts: Parts, loaded: Loaded, images: Map<string, Pinned>): Promise<Targets> =>
  targetsOf({ ...parts, ...parts.settings }, loaded, { images })

async function renderedWith(
  parts: Parts,
  loaded: Loaded,
  variables: Record<string, string>,
): Promise<Loaded> {
  const { compose: files, project } = loaded.state.host
  const model = await readComposeModel(parts.compose, { directory: loaded.root, files, project, variables })
  return { ...loaded, model, secrets: new Set(), resolved: noSecrets }
}

/** Null when Compose does not take the real values; what it says about them must not be told. */
async function realTargets(
  parts: Parts,
  { head, images }: About,
  shared: Record<string, SecretReference>,
): Promise<Targets | null> {
  try {
    const { variables, missing } = await parts.secrets.resolve({ variables: shared }, parts.settings.lookup)
    // What production will compute is known when it has them.
    if (missing.length > 0) return null
    const all = { ...standInVariables(head.state.host), ...variables }
    const rendered = await renderedWith(parts, head, all)
    return await onPaper(parts, rendered, images.head)
  } catch (error) {
    if (codeOf(error) === 'compose-refused') return null
    throw error
  }
}

/** All of the model that a container of the service is made of. */
const textOf = (model: ComposeModel, service: string): string =>
  JSON.stringify([
    model.services[service] ?? {},
    mountedSources(model, service),
    model.networks,
    model.volumes,
  ])

async function differencesOf(
  service: string,
  about: { ours: Targets; theirs: Targets; defaults: ImageDefaults | null },
): Promise<FieldDifference[]> {
  const bodyOf = async (targets: Targets) => {
    const target = targets.list.find((each) => each.service === service)
    if (target === undefined || target.configuration === '') return null
    const placeholders = Object.fromEntries(target.shares.map((name) => [name, `service:${name}`]))
    return targets.body(service, '', placeholders)
  }
  const [wanted, former] = [await bodyOf(about.ours), await bodyOf(about.theirs)]
  if (wanted === null || former === null) return []
  const actual = { configuration: former, imageDefaults: about.defaults }
  return configurationDifferences(wanted, actual, { secrets: new Set(), secretFields: [] })
}
