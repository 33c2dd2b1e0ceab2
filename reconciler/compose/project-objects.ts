import type { NetworkBody, VolumeBody } from '../engine/container-body.ts'
import type { ComposeModel, ComposeNetwork } from './model.ts'

function labelsOf(model: ComposeModel, kind: 'network' | 'volume', key: string): Record<string, string> {
  return {
    [`com.docker.compose.${kind}`]: key,
    'com.docker.compose.project': model.project,
    'com.docker.compose.version': model.composeVersion,
  }
}

function ipamOf({ ipam }: ComposeNetwork): NetworkBody['ipam'] {
  if (!ipam?.driver && !ipam?.config?.length && !ipam?.options) return undefined
  const config = (ipam.config ?? []).map(({ subnet, ip_range, gateway, aux_addresses }) => ({
    ...(subnet && { Subnet: subnet }),
    ...(ip_range && { IPRange: ip_range }),
    ...(gateway && { Gateway: gateway }),
    ...(aux_addresses && { AuxiliaryAddresses: aux_addresses }),
  }))
  return { Driver: ipam.driver ?? '', Config: config, ...(ipam.options && { Options: ipam.options }) }
}

/** The networks of the project with Compose's names and labels; an external one only has to be there. */
export function projectNetworks(model: ComposeModel): NetworkBody[] {
  return Object.entries(model.networks).map(([key, network]) => {
    if (network.external) return { name: network.name, external: true, labels: {} }
    const ipam = ipamOf(network)
    return {
      name: network.name,
      external: false,
      ...(network.driver && { driver: network.driver }),
      ...(network.driver_opts && { driverOptions: network.driver_opts }),
      ...(network.internal && { internal: true }),
      ...(network.attachable && { attachable: true }),
      ...(network.enable_ipv6 && { enableIPv6: true }),
      ...(ipam && { ipam }),
      labels: { ...network.labels, ...labelsOf(model, 'network', key) },
    }
  })
}

/** The named volumes of the project with Compose's names and labels; an external one only has to be there. */
export function projectVolumes(model: ComposeModel): VolumeBody[] {
  return Object.entries(model.volumes).map(([key, volume]) => {
    if (volume.external) return { name: volume.name, external: true, labels: {} }
    return {
      name: volume.name,
      external: false,
      ...(volume.driver && { driver: volume.driver }),
      ...(volume.driver_opts && { driverOptions: volume.driver_opts }),
      labels: { ...volume.labels, ...labelsOf(model, 'volume', key) },
    }
  })
}
