import type { ContainerBody, EndpointBody } from '../engine/container-body.ts'

/**
 * The container of a service as `docker compose run` would make it: with its networks, volumes, files and environment,
 * but without published ports, without the names that other containers reach the service by, with nobody at its input,
 * and never restarted. Samovar's own labels are the caller's.
 *
 * @param body of the service, as it would run for long
 * @param about `image`: `name:tag@sha256:...`; `command`: null for that of the Compose file; `slug`: tells the runs of
 *   one service apart
 */
export function oneOffBody(
  body: ContainerBody,
  about: { image: string; command: string[] | null; slug: string },
): ContainerBody {
  const { PortBindings: _published, ...hostConfig } = body.HostConfig
  const endpoints = Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {}).map(
    ([network, endpoint]): [string, EndpointBody] => [network, { ...endpoint, Aliases: [] }],
  )
  return {
    ...body,
    Image: about.image,
    OpenStdin: false,
    ...(about.command === null ? {} : { Cmd: about.command }),
    Labels: {
      ...body.Labels,
      'com.docker.compose.oneoff': 'True',
      'com.docker.compose.slug': about.slug,
    },
    HostConfig: { ...hostConfig, RestartPolicy: { Name: 'no' } },
    ...(endpoints.length === 0
      ? {}
      : { NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints) } }),
  }
}
