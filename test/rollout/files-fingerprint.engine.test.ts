import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { connectDocker } from '../../reconciler/engine/docker.ts'
import type { Engine } from '../../reconciler/engine/engine.ts'
import { lookAtFiles } from '../../reconciler/rollout/files-fingerprint.ts'
import { archiveOf, type Entry } from '../contracts/engine-data.ts'
import { useRig } from '../rig/use-rig.ts'

const rig = useRig()
const operation = `20260101-000002-${(process.pid % 65536).toString(16).padStart(4, '0')}`
let engine: Engine
let imageId: string
let volumeName: string

beforeEach(async () => {
  engine = await connectDocker(rig.dockerHost)
  const digest = await engine.resolve(rig.image('tools', '1.0.0'))
  imageId = (await engine.holdImage({ name: `${rig.registry}/tools`, tag: '1.0.0', digest })).id
  volumeName = `${rig.project('files')}_certificates`
  await rig.docker.createVolume({ Name: volumeName, Labels: { 'samovar.test': rig.run } })
})
afterEach(async () => {
  await engine.removeScratch(operation)
  await rig.docker.getVolume(volumeName).remove()
})

const write = async (entries: Entry[]): Promise<void> => {
  const about = { image: imageId, volumes: { [volumeName]: '/v' }, command: ['true'], environment: {} }
  const instance = await engine.scratch(operation, about)
  await engine.writeFiles(instance, '/v', Readable.from([await archiveOf(entries)]))
}
const all = async (paths: string[]) => {
  const seen = []
  for (const path of paths) seen.push(await look(path))
  return seen
}
const look = (path: string) => lookAtFiles(engine, operation, { watched: { volumeName, path }, imageId })

test('a folder, a file, a link and what is not there can be looked at, and a renewal is seen in each', async () => {
  await write([
    { name: './live/', type: 'directory' },
    { name: './live/cert.pem', type: 'symlink', linkname: '../archive/cert1.pem' },
    { name: './archive/', type: 'directory' },
    { name: './archive/cert1.pem', content: 'one' },
    { name: './beside', content: 'x' },
  ])
  const paths = ['', 'live', 'live/cert.pem', 'archive', 'archive/cert1.pem', 'missing', 'missing/cert.pem']
  const before = await all(paths)
  expect(before.map((each) => each.files)).toEqual([3, 1, 1, 1, 1, 0, 0])
  await write([
    { name: './live/cert.pem', type: 'symlink', linkname: '../archive/cert2.pem' },
    { name: './archive/cert1.pem', content: 'two' },
    { name: './archive/cert2.pem', content: 'two' },
    { name: './beside', content: 'x' },
  ])
  const after = await all(paths)
  const moved = paths.filter((_, at) => before[at]?.fingerprint !== after[at]?.fingerprint)
  expect(moved).toEqual(['', 'live', 'live/cert.pem', 'archive', 'archive/cert1.pem'])
  expect((await look('beside')).fingerprint).toBe((await look('beside')).fingerprint)
  const filters = { label: [`samovar.scratch=${operation}`] }
  expect(await rig.docker.listContainers({ all: true, filters })).toEqual([])
})
