import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { containerBody } from '../../reconciler/compose/container-body.ts'
import { type ComposeModel, documentOf } from '../../reconciler/compose/model.ts'
import { allMountedSources } from '../../reconciler/compose/mounted-sources.ts'
import { projectNetworks, projectVolumes } from '../../reconciler/compose/project-objects.ts'
import { isAtLeast } from '../../reconciler/compose/quantities.ts'
import { renderedModel } from '../../reconciler/compose/rendered-model.ts'
import { containerName, sharedServices } from '../../reconciler/compose/service-facts.ts'
import {
  type ComposeCommand,
  configHashes,
  findCompose,
  readComposeModel,
} from '../../reconciler/compose-config.ts'
import type { ContainerBody } from '../../reconciler/engine/container-body.ts'
import { materialise } from '../../reconciler/mounted-files.ts'
import { mustRun } from '../rig/process.ts'
import type { RigInUse } from '../rig/use-rig.ts'

export type Project = {
  name: string
  compose: ComposeCommand
  model: ComposeModel
  renderedFile: string
  imageIds: Record<string, string>
  apiVersion: string
}

/** A fixture read, pinned, materialised and rendered as Samovar does it, with its images local. */
export async function prepareProject(rig: RigInUse, fixture: string, folder: string): Promise<Project> {
  const name = rig.project(fixture)
  const directory = join(folder, 'checkout')
  const stateDir = join(folder, 'state')
  const hostData = join(folder, 'host-data')
  await mkdir(hostData)
  await cp(join(import.meta.dirname, '../fixtures/compose', fixture), directory, { recursive: true })
  const compose = await findCompose()
  const variables = { REGISTRY: rig.registry, PREFIX: name, HOST_DATA: hostData, PASSWORD: 'pa$$word-$1' }
  const read = await readComposeModel(compose, {
    directory,
    files: ['compose.yaml'],
    project: name,
    variables,
  })
  const mounted = await materialise(allMountedSources(read), {
    directory,
    stateDir,
    secretsDir: join(stateDir, 'secrets'),
    key: 'key',
  })
  const pins: Record<string, { image: string }> = {}
  const imageIds: Record<string, string> = {}
  for (const [service, { image = '' }] of Object.entries(read.services)) {
    await mustRun('docker', ['pull', '-q', image], { env: { ...process.env, ...rig.environment } })
    const { RepoDigests, Id } = await rig.docker.getImage(image).inspect()
    const repository = image.slice(0, image.lastIndexOf(':'))
    const digest = RepoDigests.find((one) => one.startsWith(`${repository}@`))?.split('@')[1]
    pins[service] = { image: `${image}@${digest}` }
    imageIds[service] = Id
  }
  const model = renderedModel(read, pins, mounted)
  const renderedFile = join(stateDir, 'compose.json')
  await writeFile(renderedFile, JSON.stringify(documentOf(model)), { mode: 0o600 })
  const { ApiVersion } = await rig.docker.version()
  return { name, compose, model, renderedFile, imageIds, apiVersion: ApiVersion }
}

/** What Compose prints, on both streams, about the rendered model. */
export async function composeDoes(rig: RigInUse, project: Project, ...words: string[]): Promise<string> {
  const [program, ...rest] = project.compose.command
  const script = `exec "$@" 2>&1`
  const command = [program, ...rest, '-f', project.renderedFile, '--profile', '*', ...words]
  return await mustRun('sh', ['-c', script, 'sh', ...command], {
    env: { ...process.env, ...rig.environment },
  })
}

export async function createNetworksAndVolumes(rig: RigInUse, project: Project): Promise<void> {
  for (const { name, external, driver, driverOptions, internal, attachable, ipam, labels } of projectNetworks(
    project.model,
  )) {
    if (external) continue
    await rig.docker.createNetwork({
      Name: name,
      Labels: labels,
      ...(driver && { Driver: driver }),
      ...(driverOptions && { Options: driverOptions }),
      ...(internal && { Internal: true }),
      ...(attachable && { Attachable: true }),
      ...(ipam && { IPAM: ipam }),
    })
  }
  for (const { name, external, driver, driverOptions, labels } of projectVolumes(project.model)) {
    if (external) continue
    const options = { ...(driver && { Driver: driver }), ...(driverOptions && { DriverOpts: driverOptions }) }
    await rig.docker.createVolume({ Name: name, Labels: labels, ...options })
  }
}

export async function createContainer(
  rig: RigInUse,
  name: string,
  body: ContainerBody,
  apiVersion: string,
): Promise<string> {
  const endpoints = Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {})
  const first = isAtLeast(apiVersion, '1.44') ? endpoints : endpoints.slice(0, 1)
  const later = endpoints.slice(first.length)
  const networking = body.NetworkingConfig && { EndpointsConfig: Object.fromEntries(first) }
  const options = { ...body, NetworkingConfig: networking, name } as never
  const container = await rig.docker.createContainer(options)
  for (const [network, endpoint] of later) {
    await rig.docker.getNetwork(network).connect({ Container: container.id, EndpointConfig: endpoint })
  }
  return container.id
}

export type Created = { id: string; body: ContainerBody }

/** Creates every service by our own bodies, the ones whose namespaces are shared first. */
export async function createAll(rig: RigInUse, project: Project): Promise<Record<string, Created>> {
  const { model, compose, renderedFile, apiVersion, imageIds } = project
  const created: Record<string, Created> = {}
  const services = Object.keys(model.services)
  const inOrder = services.toSorted(
    (a, b) => sharedServices(model, a).length - sharedServices(model, b).length,
  )
  for (const service of inOrder) {
    const containers = Object.fromEntries(Object.entries(created).map(([name, { id }]) => [name, id]))
    const hashes = await configHashes(compose, renderedFile, { model, containers })
    const body = containerBody(model, service, {
      image: model.services[service]?.image ?? '',
      imageId: imageIds[service] ?? '',
      configHash: hashes[service] ?? '',
      renderedFile,
      containers,
      apiVersion,
    })
    created[service] = {
      id: await createContainer(rig, containerName(model, service), body, apiVersion),
      body,
    }
  }
  return created
}
