import type { ContainerBody, EndpointBody } from '../engine/container-body.ts'
import { portsOf } from './container-networks.ts'

/** The first characters of its own id, which the Engine adds to the aliases and takes as the host name. */
export const shortId = /^[0-9a-f]{12}$/

/** Published ports as one list, and exposed ones beside them. */
export function portFields(body: ContainerBody): [string, unknown][] {
  const bindings = Object.entries(body.HostConfig.PortBindings ?? {})
  const published = bindings.flatMap(([port, hosts]) =>
    (hosts ?? []).map(({ HostIp, HostPort }) => {
      const address =
        HostIp && HostIp !== '0.0.0.0' ? `${HostIp.includes(':') ? `[${HostIp}]` : HostIp}:` : ''
      return `${address}${HostPort || 'any'}->${port}`
    }),
  )
  const taken = new Set(bindings.map(([port]) => port))
  const exposed = new Set(Object.keys(body.ExposedPorts ?? {}).flatMap(portsOf))
  return [
    ['ports', published.sort()],
    ['expose', [...exposed].filter((port) => !taken.has(port)).sort()],
  ]
}

/** A network's key in the Compose file, as far as the body tells. */
function keyOf(body: ContainerBody, network: string): string {
  const project = body.Labels['com.docker.compose.project']
  return project && network.startsWith(`${project}_`) ? network.slice(project.length + 1) : network
}

function endpoint(key: string, { Aliases, IPAMConfig, DriverOpts, MacAddress, GwPriority }: EndpointBody) {
  const aliases = [...new Set(Aliases ?? [])].filter((alias) => !shortId.test(alias)).sort()
  const fields: [string, unknown][] = [
    [`networks.${key}`, 'connected'],
    [`networks.${key}.aliases`, aliases],
    [`networks.${key}.ipv4_address`, IPAMConfig?.IPv4Address],
    [`networks.${key}.ipv6_address`, IPAMConfig?.IPv6Address],
    [`networks.${key}.link_local_ips`, IPAMConfig?.LinkLocalIPs],
    [`networks.${key}.driver_opts`, DriverOpts],
    [`networks.${key}.mac_address`, MacAddress],
    [`networks.${key}.gw_priority`, GwPriority],
  ]
  return fields
}

/** The networks a container is connected to, or the mode that stands for them. */
export function endpointFields(body: ContainerBody): [string, unknown][] {
  const mode = body.HostConfig.NetworkMode ?? ''
  const endpoints = Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {})
  const isShared = /^(host|none|container:.*)$/.test(mode)
  const isOwn = endpoints.some(([network]) => network === mode)
  const fields = isShared ? [] : endpoints.flatMap(([network, one]) => endpoint(keyOf(body, network), one))
  const usual = mode === '' || mode === 'default' ? 'bridge' : keyOf(body, mode)
  return [['network_mode', isShared ? mode : isOwn ? undefined : usual], ...fields]
}
