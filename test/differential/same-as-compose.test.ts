import type { ContainerInspectInfo, ImageInspectInfo } from 'dockerode'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { configurationDifferences } from '../../reconciler/compose/configuration-differences.ts'
import { projectNetworks, projectVolumes } from '../../reconciler/compose/project-objects.ts'
import { containerName } from '../../reconciler/compose/service-facts.ts'
import type { ImageDefaults } from '../../reconciler/engine/container-body.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { useRig } from '../rig/use-rig.ts'
import { comparable } from './comparable.ts'
import { bodyOfInspect } from './inspected.ts'
import {
  type Created,
  composeDoes,
  createAll,
  createNetworksAndVolumes,
  type Project,
  prepareProject,
} from './project.ts'

const rig = useRig()
/** This machine's kernel may have no weights for block devices: the Engine then drops the wish with a warning. */
const notKept = new Set(['blkio_config.weight'])
const nothingSecret = { secrets: new Set<string>(), secretFields: [] }
let folder: TempFolder
let project: Project
const theirs = new Map<string, ContainerInspectInfo>()
const ours = new Map<string, ContainerInspectInfo>()
const objects: { theirs: unknown[]; ours: unknown[] } = { theirs: [], ours: [] }
let created: Record<string, Created> = {}

async function inspectAll(into: Map<string, ContainerInspectInfo>): Promise<void> {
  for (const service of Object.keys(project.model.services)) {
    into.set(service, await rig.docker.getContainer(containerName(project.model, service)).inspect())
  }
}

async function networksAndVolumes(): Promise<unknown[]> {
  const networks = projectNetworks(project.model).map(({ name }) => rig.docker.getNetwork(name).inspect())
  const volumes = projectVolumes(project.model).map(({ name }) => rig.docker.getVolume(name).inspect())
  return (await Promise.all([...networks, ...volumes])).map((inspect) => {
    // The address pool gives each network without a wish the next free range.
    const wish = projectNetworks(project.model).find(({ name }) => name === inspect.Name)
    const isPool = wish !== undefined && wish.ipam === undefined
    return { ...inspect, Id: '', Created: '', CreatedAt: '', ...(isPool && { IPAM: null }) }
  })
}

beforeAll(async () => {
  folder = await tempFolder('differential')
  project = await prepareProject(rig, 'every-key', folder.path)
  await composeDoes(rig, project, 'create')
  await inspectAll(theirs)
  objects.theirs = await networksAndVolumes()
  await composeDoes(rig, project, 'down', '-v')
  await createNetworksAndVolumes(rig, project)
  created = await createAll(rig, project)
  await inspectAll(ours)
  objects.ours = await networksAndVolumes()
})

afterAll(async () => {
  await composeDoes(rig, project, 'down', '-v', '-t', '0')
  await folder[Symbol.asyncDispose]()
})

function names(all: Map<string, ContainerInspectInfo>): Map<string, string> {
  return new Map([...all].map(([service, { Id }]) => [Id, `<${service}>`]))
}

async function imageDefaults(image: string): Promise<ImageDefaults> {
  const { Config }: ImageInspectInfo = await rig.docker.getImage(image).inspect()
  return Config as unknown as ImageDefaults
}

describe('a container of ours', () => {
  test('has the same inspect as the one that Compose creates, for each of at least 30 services', () => {
    expect(theirs.size).toBeGreaterThanOrEqual(30)
    for (const [service, inspect] of theirs) {
      const own = ours.get(service) ?? {}
      expect(comparable(own, names(ours)), service).toEqual(comparable(inspect, names(theirs)))
    }
  })

  test('has no difference to the body it was created from', async () => {
    for (const [service, inspect] of ours) {
      const body = created[service]?.body
      if (!body) throw new Error(`${service} was not created`)
      const actual = {
        configuration: bodyOfInspect(inspect),
        imageDefaults: await imageDefaults(inspect.Image),
      }
      expect(configurationDifferences(body, actual, { ...nothingSecret, notKept }), service).toEqual([])
    }
  })

  test('is taken by Compose for its own: nothing is created anew', async () => {
    await composeDoes(rig, project, 'up', '--no-start')
    for (const [service, { Id }] of ours) {
      const found = await rig.docker.getContainer(containerName(project.model, service)).inspect()
      expect(found.Id, service).toBe(Id)
    }
  })
})

test('networks and volumes of ours are the ones that Compose creates', () => {
  expect(objects.ours).toEqual(objects.theirs)
})
