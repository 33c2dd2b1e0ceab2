import type { ContainerInspectInfo } from 'dockerode'
import type { ContainerBody, EndpointBody } from '../../reconciler/engine/container-body.ts'

/** An inspect in the shape of a create body, as the engines report it. */
export function bodyOfInspect({ Config, HostConfig, NetworkSettings }: ContainerInspectInfo): ContainerBody {
  const endpoints = Object.entries(NetworkSettings.Networks) as [string, EndpointBody][]
  return {
    ...(Config as unknown as ContainerBody),
    HostConfig: HostConfig as unknown as ContainerBody['HostConfig'],
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints) },
  }
}
