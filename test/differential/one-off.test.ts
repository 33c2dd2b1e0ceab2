import type { ContainerInspectInfo } from 'dockerode'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { containerBody } from '../../reconciler/compose/container-body.ts'
import { oneOffBody } from '../../reconciler/compose/one-off-body.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { useRig } from '../rig/use-rig.ts'
import { comparable } from './comparable.ts'
import { composeDoes, createContainer, type Project, prepareProject } from './project.ts'

/** Those that a one-off container could get wrong, and that a container without privileges can start. */
const services = [
  'environment',
  'image-volume',
  'networks',
  'ports',
  'repository-files',
  'restart-always',
  'secrets',
  'configs',
  'stopping',
]
const command = ['sleep', '1']
const rig = useRig()
let folder: TempFolder
let project: Project

beforeAll(async () => {
  folder = await tempFolder('one-off')
  project = await prepareProject(rig, 'every-key', folder.path)
})
afterAll(async () => {
  await composeDoes(rig, project, 'down', '-v', '-t', '0', '--remove-orphans')
  await folder[Symbol.asyncDispose]()
})

/** Compose's own container, made, looked at and taken away: both must not have the same address. */
async function madeByCompose(service: string): Promise<ContainerInspectInfo> {
  const name = `${project.name}-${service}-run`
  await composeDoes(rig, project, 'run', '-d', '-T', '--no-deps', '--name', name, service, ...command)
  const container = rig.docker.getContainer(name)
  const seen = await container.inspect()
  await container.remove({ force: true, v: true })
  return seen
}

async function madeByUs(service: string, theirs: ContainerInspectInfo): Promise<ContainerInspectInfo> {
  const body = containerBody(project.model, service, {
    image: project.model.services[service]?.image ?? '',
    imageId: project.imageIds[service] ?? '',
    configHash: theirs.Config.Labels['com.docker.compose.config-hash'] ?? '',
    renderedFile: project.renderedFile,
    containers: {},
    apiVersion: project.apiVersion,
  })
  const slug = theirs.Config.Labels['com.docker.compose.slug'] ?? ''
  const image = project.model.services[service]?.image ?? ''
  const ours = oneOffBody(body, { image, command, slug })
  const id = await createContainer(rig, `${project.name}-${service}-run`, ours, project.apiVersion)
  const container = rig.docker.getContainer(id)
  await container.start()
  const seen = await container.inspect()
  await container.remove({ force: true, v: true })
  return seen
}

/**
 * Without what is meant to differ: nobody sits at the input of a job, and an alias that is the container's own name is
 * left out. And without what the engine makes up.
 */
function asWished(seen: ContainerInspectInfo) {
  const copy = structuredClone(seen)
  const { Config, NetworkSettings } = copy
  if (seen.Id.startsWith(Config.Hostname)) Config.Hostname = ''
  Object.assign(Config, { AttachStdin: false, OpenStdin: false, StdinOnce: false })
  for (const network of Object.values(NetworkSettings.Networks))
    network.Aliases = (network.Aliases ?? []).filter(
      (alias: string) => alias !== seen.Name.slice(1) && !seen.Id.startsWith(alias),
    )
  NetworkSettings.SandboxKey = ''
  return comparable(copy, new Map())
}

test.each(services)(
  'a one-off container of `%s` is the one that `docker compose run` makes',
  async (service) => {
    const theirs = await madeByCompose(service)
    const ours = await madeByUs(service, theirs)
    expect(asWished(ours)).toEqual(asWished(theirs))
  },
)
