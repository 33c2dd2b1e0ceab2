import type Docker from 'dockerode'
import { SamovarError } from '../errors.ts'
import type { ContainerBody, EndpointBody, NetworkBody, VolumeBody } from './container-body.ts'
import { doneAlready, refused, statusOf } from './docker-answers.ts'
import { type Candidate, type Engine, samovarLabels } from './engine.ts'

type Prepare = Pick<Engine, 'prepare' | 'create' | 'find' | 'removeCandidate'>

/** What can be made while the old container still serves. */
export function dockerPrepare(docker: Docker, apiVersion: string): Prepare {
  const find = async (operation: string): Promise<Candidate[]> => {
    const list = await docker
      .listContainers({ all: true, filters: { label: [`${samovarLabels.operation}=${operation}`] } })
      .catch((error: unknown) => {
        throw refused(error, 'listing the containers')
      })
    return list.map((seen) => ({
      instance: seen.Id,
      service: seen.Labels['com.docker.compose.service'] ?? '',
      name: (seen.Names[0] ?? '').replace(/^\//, ''),
    }))
  }

  return {
    find,

    async prepare(networks, volumes) {
      const have = networks.length === 0 ? [] : await docker.listNetworks()
      for (const network of networks) {
        const existing = have.find((one) => one.Name === network.name)
        if (existing === undefined) await makeNetwork(docker, network)
        else ownNetwork(existing, network)
      }
      for (const volume of volumes) await makeVolume(docker, volume)
    },

    async create(operation, body, { name, platform }) {
      const service = body.Labels['com.docker.compose.service'] ?? ''
      const there = (await find(operation)).find((candidate) => candidate.service === service)
      if (there !== undefined) return there
      const temporary = `${name}.new-${operation}`
      const { first, others } = networksAtCreate(body, apiVersion)
      const created = await docker
        .createContainer({
          ...withoutRestart(body, operation),
          ...first,
          name: temporary,
          ...(platform === undefined ? {} : { platform }),
        } as unknown as Docker.ContainerCreateOptions)
        .catch((error: unknown) => {
          throw refused(error, `creating the new container of ${service}`)
        })
      for (const [network, endpoint] of others) {
        await docker
          .getNetwork(network)
          .connect({ Container: created.id, EndpointConfig: endpoint as Docker.EndpointSettings })
          .catch((error: unknown) => {
            throw refused(error, `connecting the new container of ${service} to network ${network}`)
          })
      }
      return { instance: created.id, service, name: temporary }
    },

    async removeCandidate(candidate) {
      const container = docker.getContainer(candidate.instance)
      const doing = `removing the new container of ${candidate.service}`
      // A container that keeps crashing refuses the update between two starts (HTTP 500, 409); stop ends that.
      await doneAlready([404, 409, 500], doing, () => container.update({ RestartPolicy: { Name: 'no' } }))
      await doneAlready([304, 404], doing, () => container.stop())
      const neverStarted = await confirmExit(docker, candidate)
      await doneAlready([404, 409], doing, () =>
        // Anonymous volumes of a container that never ran are empty, and nobody else's.
        container.remove({ v: neverStarted, force: false }),
      )
    },
  }
}

/** The candidate's own policy waits in a label until `start`: a daemon restart must not start it beside the old one. */
function withoutRestart(body: ContainerBody, operation: string): ContainerBody {
  const policy = body.HostConfig.RestartPolicy ?? { Name: 'no' }
  return {
    ...body,
    Labels: {
      ...body.Labels,
      [samovarLabels.operation]: operation,
      [samovarLabels.restart]: JSON.stringify(policy),
    },
    HostConfig: { ...body.HostConfig, RestartPolicy: { Name: 'no' } },
  }
}

/** Before API 1.44 the create call takes one network; the others are connected one by one, before the start. */
function networksAtCreate(body: ContainerBody, apiVersion: string) {
  const endpoints = Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {})
  const severalAtOnce = Number(apiVersion.split('.')[1] ?? 0) >= 44
  if (severalAtOnce || endpoints.length <= 1) return { first: {}, others: [] as [string, EndpointBody][] }
  const main = endpoints.find(([name]) => name === body.HostConfig.NetworkMode) ?? endpoints[0]
  const others = endpoints.filter((entry) => entry !== main)
  return {
    first: { NetworkingConfig: { EndpointsConfig: main === undefined ? {} : { [main[0]]: main[1] } } },
    others,
  }
}

async function makeNetwork(docker: Docker, network: NetworkBody): Promise<void> {
  if (network.external) {
    throw new SamovarError('engine-refused', `the external network ${network.name} does not exist`, {
      next: `Create it (docker network create ${network.name}), or take "external" out of the Compose file.`,
    })
  }
  await docker
    .createNetwork({
      Name: network.name,
      CheckDuplicate: true,
      Labels: network.labels,
      ...(network.driver === undefined ? {} : { Driver: network.driver }),
      ...(network.driverOptions === undefined ? {} : { Options: network.driverOptions }),
      ...(network.internal === undefined ? {} : { Internal: network.internal }),
      ...(network.attachable === undefined ? {} : { Attachable: network.attachable }),
      ...(network.enableIPv6 === undefined ? {} : { EnableIPv6: network.enableIPv6 }),
      ...(network.ipam === undefined ? {} : { IPAM: network.ipam as Docker.NetworkCreateOptions['IPAM'] }),
    } as Docker.NetworkCreateOptions)
    .catch((error: unknown) => {
      throw refused(error, `creating network ${network.name}`)
    })
}

function ownNetwork(existing: Docker.NetworkInspectInfo, network: NetworkBody): void {
  const project = existing.Labels?.['com.docker.compose.project']
  if (network.external || project === network.labels['com.docker.compose.project']) return
  throw new SamovarError(
    'name-taken',
    `network ${network.name} exists, but does not belong to this Compose project`,
    {
      next: 'Remove it, or say `external: true` in the Compose file when it is meant to be shared.',
    },
  )
}

/** `POST /volumes/create` answers the volume that is there already, whatever its labels: so look first. */
async function makeVolume(docker: Docker, volume: VolumeBody): Promise<void> {
  const existing = await docker
    .getVolume(volume.name)
    .inspect()
    .catch((error: unknown) => {
      if (statusOf(error) === 404) return null
      throw refused(error, `inspecting volume ${volume.name}`)
    })
  if (existing !== null) return
  if (volume.external) {
    throw new SamovarError('engine-refused', `the external volume ${volume.name} does not exist`, {
      next: `Create it (docker volume create ${volume.name}), or take "external" out of the Compose file.`,
    })
  }
  await docker
    .createVolume({
      Name: volume.name,
      Labels: volume.labels,
      ...(volume.driver === undefined ? {} : { Driver: volume.driver }),
      ...(volume.driverOptions === undefined ? {} : { DriverOpts: volume.driverOptions }),
    })
    .catch((error: unknown) => {
      throw refused(error, `creating volume ${volume.name}`)
    })
}

/** Answers whether it never ran. The old one must not be started beside a new one whose process would not end. */
async function confirmExit(docker: Docker, candidate: Candidate): Promise<boolean> {
  const seen = await docker
    .getContainer(candidate.instance)
    .inspect()
    .catch((error: unknown) => {
      if (statusOf(error) === 404) return null
      throw refused(error, `inspecting the new container of ${candidate.service}`)
    })
  if (seen === null) return false
  if (!seen.State.Running && seen.State.Pid === 0) return !(Date.parse(seen.State.StartedAt) > 0)
  throw new SamovarError(
    'engine-refused',
    `the new container of ${candidate.service} was stopped, but its process still runs`,
    {
      next: 'Nothing else was started on its volumes. Look at the process on the host, then `samovar apply`.',
    },
  )
}
