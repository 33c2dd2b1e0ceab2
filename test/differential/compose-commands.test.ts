import { afterAll, beforeAll, expect, test } from 'vitest'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { useRig } from '../rig/use-rig.ts'
import {
  type Created,
  composeDoes,
  createAll,
  createNetworksAndVolumes,
  type Project,
  prepareProject,
} from './project.ts'

const rig = useRig()
let folder: TempFolder
let project: Project
let created: Record<string, Created> = {}

beforeAll(async () => {
  folder = await tempFolder('commands')
  project = await prepareProject(rig, 'running', folder.path)
  await createNetworksAndVolumes(rig, project)
  created = await createAll(rig, project)
  for (const service of ['web', 'side']) await rig.docker.getContainer(created[service]?.id ?? '').start()
})

afterAll(async () => {
  await composeDoes(rig, project, 'down', '-v', '-t', '0')
  await folder[Symbol.asyncDispose]()
})

async function running(): Promise<string[]> {
  const label = [`com.docker.compose.project=${project.name}`]
  const containers = await rig.docker.listContainers({ filters: { label } })
  return containers.map(({ Id }) => Id).sort()
}

test('`docker compose up` finds nothing to do, also for a service in the network of another', async () => {
  const before = Object.values(created).map(({ id }) => id)
  const said = await composeDoes(rig, project, 'up', '-d')
  expect(said).not.toMatch(/Recreat|Creat|Start(ing|ed)/)
  expect(await running()).toEqual(before.sort())
})

test('`docker compose ps` and `logs` show our containers', async () => {
  const listed = await composeDoes(rig, project, 'ps', '--format', '{{.Service}}')
  expect(listed.trim().split('\n').sort()).toEqual(['side', 'web'])
  const logs = await until('web has written', () => composeDoes(rig, project, 'logs', 'web'), {
    withinMs: 10_000,
  })
  expect(logs).toContain('listening on 8080')
})

test('`docker compose down` removes our containers and networks', async () => {
  await composeDoes(rig, project, 'down', '-t', '1')
  expect(await running()).toEqual([])
  const label = [`com.docker.compose.project=${project.name}`]
  expect(await rig.docker.listNetworks({ filters: { label } })).toEqual([])
})
