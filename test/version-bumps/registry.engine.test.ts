import { describe, expect, test } from 'vitest'
import { serviceOf } from '../../reconciler/desired-state/policies.ts'
import { findCandidate } from '../../reconciler/version-bumps/candidate.ts'
import { connectRegistries } from '../../reconciler/version-bumps/registry.ts'
import { pushWeb, webVersions } from '../rig/images.ts'
import { useRig } from '../rig/use-rig.ts'
import { digestFor } from './answering.ts'

const rig = useRig()
const registries = connectRegistries({ now: Date.now })
const here = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch }
const indexType = 'application/vnd.oci.image.index.v1+json'
const manifestType = 'application/vnd.docker.distribution.manifest.v2+json'

async function put(name: string, reference: string, bytes: string, type: string): Promise<void> {
  const url = `http://${rig.registry}/v2/${name}/manifests/${reference}`
  const answer = await fetch(url, { method: 'PUT', headers: { 'content-type': type }, body: bytes })
  expect(answer.status).toBe(201)
}

async function manifestOf(name: string, reference: string): Promise<string> {
  const url = `http://${rig.registry}/v2/${name}/manifests/${reference}`
  return await (await fetch(url, { headers: { accept: manifestType } })).text()
}

describe("Docker's own registry", () => {
  test('lists its tags, and none of an image that it does not have', async () => {
    const tags = await registries.tags(`${rig.registry}/web`)
    expect(tags).toEqual(expect.arrayContaining(Object.keys(webVersions)))
    await expect(registries.tags(`${rig.registry}/nobody`)).rejects.toThrow(
      'does not know nobody (status 404)',
    )
  })

  test('lists more tags than fit on a page', async () => {
    const name = 'bumps-many'
    await pushWeb(rig.registry, '1.0.0', 'good', { name, tag: '1.0.0' })
    const manifest = await manifestOf(name, '1.0.0')
    const tags = Array.from({ length: 1_100 }, (_, at) => `2.${at}.0`)
    while (tags.length > 0)
      await Promise.all(tags.splice(0, 20).map((tag) => put(name, tag, manifest, manifestType)))
    const listed = await registries.tags(`${rig.registry}/${name}`)
    expect(new Set(listed).size).toBe(1_101)
    expect(listed).toContain('2.1099.0')
  })

  test('tells the digest that the push had, and null for a tag that is not there', async () => {
    const digest = await pushWeb(rig.registry, '1.0.0', 'good', { name: 'bumps-digest' })
    expect(await registries.digest(`${rig.registry}/bumps-digest`, '1.0.0')).toBe(digest)
    expect(await registries.digest(`${rig.registry}/bumps-digest`, '1.0.1')).toBe(null)
    expect(await registries.facts(`${rig.registry}/bumps-digest`, '1.0.0')).toEqual({
      digest,
      platformDigest: digest,
      created: Date.parse('2024-01-01T00:00:00Z'),
      labels: { 'org.opencontainers.image.version': '1.0.0' },
    })
  })

  test('a rebuilt image is proposed, one that was rebuilt for another platform only is not', async () => {
    const name = 'bumps-index'
    const image = `${rig.registry}/${name}`
    const mine = await pushWeb(rig.registry, '1.0.0', 'good', { name, tag: 'here' })
    const other = await pushWeb(rig.registry, '1.0.0', 'good', {
      name,
      tag: 'there',
      extra: { StopSignal: 'A' },
    })
    const rebuilt = await pushWeb(rig.registry, '1.0.0', 'good', {
      name,
      tag: 'new',
      extra: { StopSignal: 'B' },
    })
    const push = async (digest: string, elsewhere: string): Promise<string> => {
      const entries = await Promise.all(
        [
          { of: digest, platform: here },
          { of: elsewhere, platform: { os: 'linux', architecture: 's390x' } },
        ].map(async ({ of, platform }) => {
          const size = Buffer.byteLength(await manifestOf(name, of))
          return { mediaType: manifestType, digest: of, size, platform }
        }),
      )
      const index = JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: entries })
      await put(name, '1.0.0', index, indexType)
      return digestFor(index)
    }
    const find = (digest: string) =>
      findCandidate(
        { ...serviceOf('app', 'app.yaml', { image, tag: '1.0.0' }, new Set()), digest },
        { registries, refused: [], firstSeen: Date.now, now: Date.now(), isDatabaseServer: false },
      )
    const first = await push(mine, other)
    expect(await find(first)).toBe(null)
    const forOthers = await push(mine, rebuilt)
    expect(await registries.digest(image, '1.0.0')).toBe(forOthers)
    expect(await find(first)).toBe(null)
    const forUs = await push(rebuilt, other)
    expect(await find(first)).toMatchObject({
      step: 'digest',
      to: { tag: '1.0.0', digest: forUs },
      waits: null,
    })
  })
})
