import type { ContainerBody, EndpointBody } from '../engine/container-body.ts'
import { type ComposeModel, type ComposeService, type ServiceNetwork, serviceOf } from './model.ts'
import { isAtLeast } from './quantities.ts'
import { containerName } from './service-facts.ts'

/** Keys of a service's networks, the one the container is created with first: by priority, then by name. */
function networksByPriority(model: ComposeModel, body: ComposeService): string[] {
  const named = Object.entries(body.networks ?? {})
  if (named.length === 0) return 'default' in model.networks ? ['default'] : []
  const priority = (network: ServiceNetwork | null): number => network?.priority ?? 0
  return named
    .sort(([a, one], [b, two]) => priority(two) - priority(one) || (a < b ? -1 : 1))
    .map(([key]) => key)
}

function realName(model: ComposeModel, key: string): string {
  return model.networks[key]?.name ?? `${model.project}_${key}`
}

/** The network that `NetworkMode` names, or `none` when the project has no network at all. */
export function primaryNetwork(model: ComposeModel, body: ComposeService): string {
  const [first] = networksByPriority(model, body)
  return first === undefined ? 'none' : realName(model, first)
}

function endpoint(
  names: string[],
  network: ServiceNetwork | null | undefined,
  macAddress?: string,
): EndpointBody {
  const body: EndpointBody = { Aliases: [...names, ...(network?.aliases ?? [])] }
  if (macAddress !== undefined) body.MacAddress = macAddress
  if (!network) return body
  const { ipv4_address, ipv6_address, link_local_ips, driver_opts, gw_priority } = network
  // Compose sends this part, though empty, as soon as the service says anything about the network.
  body.IPAMConfig = {
    ...(ipv4_address && { IPv4Address: ipv4_address }),
    ...(ipv6_address && { IPv6Address: ipv6_address }),
    ...(link_local_ips && { LinkLocalIPs: link_local_ips }),
  }
  if (driver_opts) body.DriverOpts = driver_opts
  if (gw_priority) body.GwPriority = gw_priority
  return body
}

/**
 * Every endpoint of a service by the network's real name, the primary one first; undefined when the network is
 * somebody else's. Engines before API 1.44 take one at creation: the engine layer connects the others.
 */
export function endpoints(
  model: ComposeModel,
  service: string,
  apiVersion: string,
): Record<string, EndpointBody> | undefined {
  const body = serviceOf(model, service)
  const keys = networksByPriority(model, body)
  if (body.network_mode || keys.length === 0) return undefined
  const names = [containerName(model, service), service]
  const made = keys.map((key, index): [string, EndpointBody] => {
    const network = body.networks?.[key]
    const ofContainer = index === 0 ? body.mac_address : undefined
    const macAddress = isAtLeast(apiVersion, '1.44') ? (network?.mac_address ?? ofContainer) : undefined
    return [realName(model, key), endpoint(names, network, macAddress)]
  })
  return Object.fromEntries(made)
}

/** `7000`, `7000/udp` and `7000-7003/tcp` as the Engine writes each port. */
export function portsOf(expose: string): string[] {
  const [range = '', protocol = 'tcp'] = expose.split('/')
  const [first = 0, last = first] = range.split('-').map(Number)
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`)
}

/** Published and exposed ports. */
export function exposedPorts(body: ComposeService): ContainerBody['ExposedPorts'] {
  const published = (body.ports ?? []).map((port) => `${port.target}/${port.protocol ?? 'tcp'}`)
  const exposed = (body.expose ?? []).flatMap((entry) => portsOf(String(entry)))
  const all = [...published, ...exposed]
  return all.length === 0 ? undefined : Object.fromEntries(all.map((port) => [port, {}]))
}

/** Published ports; an empty `HostPort` lets the Engine choose. */
export function portBindings(body: ComposeService): ContainerBody['HostConfig']['PortBindings'] {
  if (!body.ports || body.ports.length === 0) return undefined
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {}
  for (const { target, protocol, host_ip, published } of body.ports) {
    const port = `${target}/${protocol ?? 'tcp'}`
    bindings[port] = [
      ...(bindings[port] ?? []),
      { HostIp: host_ip ?? '', HostPort: published === undefined ? '' : String(published) },
    ]
  }
  return bindings
}
