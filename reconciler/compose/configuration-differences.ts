import type { ContainerBody, FieldDifference, ImageDefaults } from '../engine/container-body.ts'
import { type Fields, fieldsOf } from './field-table.ts'
import { shortId } from './network-fields.ts'
import { type EngineDefaults, settledBody, usualDefaults } from './settled-body.ts'

export type Secrecy = {
  /** Secret values: any text that contains one is shown as `***`. */
  secrets: ReadonlySet<string>
  /** Fields that were recorded as secret when the container was made, such as `environment.SALT`. */
  secretFields: readonly string[]
}

export type DifferenceOptions = Secrecy & {
  /** What this engine adds by itself, when it is not the usual. */
  defaults?: EngineDefaults
  /**
   * Fields that this very container was created with and that the Engine did not keep. A kernel without a limit
   * makes the Engine drop the wish for it with a warning (block weights, swap), and nothing can correct that.
   */
  notKept?: ReadonlySet<string>
}

const tellingName = /PASS|SECRET|TOKEN|KEY|CREDENTIAL/i
const passwordInAddress = /(:\/\/[^/@\s:]*:)[^/@\s]+@/g
const longest = 300

/** Both sides of such a field are hidden, whatever they say. */
export function isSecretField(field: string, secrecy: Secrecy): boolean {
  return (
    secrecy.secretFields.includes(field) ||
    (field.startsWith('environment.') && tellingName.test(field.slice(12)))
  )
}

/** A text that is safe to show: hidden as a whole when it contains a secret, shortened when it is long. */
export function shown(text: string, secrecy: Secrecy): string {
  for (const value of secrecy.secrets) if (value !== '' && text.includes(value)) return '***'
  const masked = text.replace(passwordInAddress, '$1***@')
  return masked.length > longest ? `${masked.slice(0, longest)}…` : masked
}

/** The Engine fills these in where nothing is wished, in ways that depend on the host. */
function withoutOwnChoices(body: ContainerBody, desired: ContainerBody): ContainerBody {
  const settled: ContainerBody = { ...body, HostConfig: { ...body.HostConfig } }
  const host = settled.HostConfig
  const wished = desired.HostConfig
  const mode = host.NetworkMode ?? ''
  const isBorrowed = mode === 'host' || mode.startsWith('container:')
  if (!desired.Hostname && (isBorrowed || shortId.test(settled.Hostname ?? ''))) delete settled.Hostname
  if (!desired.Domainname && isBorrowed) delete settled.Domainname
  // A kernel without a limit on swap turns the one that was made up off again.
  if (!wished['MemorySwap'] && Number(host['MemorySwap']) < 0) delete host['MemorySwap']
  if (wished['MemorySwappiness'] === undefined && host['MemorySwappiness'] === null)
    delete host['MemorySwappiness']
  if (!desired.MacAddress) delete settled.MacAddress
  return settled
}

/** An address of the network card that nobody asked for was made up by the Engine. */
function withoutMadeUpAddresses(actual: Fields, desired: Fields): Fields {
  return new Map(
    [...actual].filter(([field]) => !/^networks\..*\.mac_address$/.test(field) || desired.has(field)),
  )
}

function cgroupDefault(
  actual: ContainerBody,
  desired: ContainerBody,
  defaults: EngineDefaults,
): EngineDefaults {
  if (defaults.cgroup !== null || desired.HostConfig['CgroupnsMode']) return defaults
  return { ...defaults, cgroup: String(actual.HostConfig['CgroupnsMode'] ?? '') || 'default' }
}

/**
 * What differs between the body that would be created now and a container, in Compose's words, safe to show.
 * `before` is what the container has, `after` what is desired; an absent side is empty. The image, Samovar's labels
 * and Compose's are no differences here.
 * @param actual the container's configuration as the Engine reports it, and the defaults of the image it runs
 */
export function configurationDifferences(
  desired: ContainerBody,
  actual: { configuration: ContainerBody; imageDefaults: ImageDefaults | null },
  options: DifferenceOptions,
): FieldDifference[] {
  const defaults = cgroupDefault(actual.configuration, desired, options.defaults ?? usualDefaults)
  const wanted = fieldsOf(settledBody(desired, actual.imageDefaults), defaults)
  const settled = settledBody(withoutOwnChoices(actual.configuration, desired), actual.imageDefaults)
  const found = withoutMadeUpAddresses(fieldsOf(settled, defaults), wanted)
  const differences: FieldDifference[] = []
  for (const field of [...new Set([...wanted.keys(), ...found.keys()])].sort()) {
    const before = found.get(field) ?? ''
    const after = wanted.get(field) ?? ''
    if (before === after || options.notKept?.has(field)) continue
    const isSecret = isSecretField(field, options)
    const show = (text: string): string => (isSecret && text !== '' ? '***' : shown(text, options))
    differences.push({ field, before: show(before), after: show(after) })
  }
  return withoutConsequences(differences)
}

/** A network that comes or goes takes its details with it, and more memory the swap that the Engine adds to it. */
function withoutConsequences(differences: FieldDifference[]): FieldDifference[] {
  const fields = new Set(differences.map(({ field }) => field))
  return differences.filter(({ field }) => {
    const network = /^(networks\..+)\.[a-z0-9_]+$/.exec(field)?.[1]
    if (network !== undefined && fields.has(network)) return false
    return !(field === 'memswap_limit' && fields.has('mem_limit'))
  })
}

/**
 * The fields of a body that hold a secret, to be recorded on the container: after the secret has changed, its old
 * value is known to nobody, and must still not be shown.
 */
export function secretFieldsOf(body: ContainerBody, secrets: ReadonlySet<string>): string[] {
  const values = [...secrets].filter((value) => value !== '')
  const fields = [...fieldsOf(body, usualDefaults)]
  return fields.filter(([, text]) => values.some((value) => text.includes(value))).map(([field]) => field)
}
