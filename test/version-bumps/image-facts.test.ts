import { describe, expect, test } from 'vitest'
import { codeOf } from '../../reconciler/errors.ts'
import { connectRegistries } from '../../reconciler/version-bumps/registry.ts'
import {
  type Answering,
  answering,
  emptyShelf,
  putImage,
  putIndex,
  sendJson,
  serveShelf,
} from './answering.ts'

const amd64 = { os: 'linux', architecture: 'amd64' }
const arm64 = { os: 'linux', architecture: 'arm64', variant: 'v8' }
const created = '2026-11-20T10:00:00.123456789+02:00'
const label = (name: string): string => `org.opencontainers.image.${name}`

const connected = () => connectRegistries({ now: Date.now, login: async () => undefined, timeoutMs: 5_000 })
const factsOf = (registry: Answering, reference: string, platform = 'linux/amd64') =>
  connected().facts(`${registry.address}/app`, reference, platform)

describe('what a registry tells of an image', () => {
  test('of several platforms: the one that runs here, by digest', async () => {
    const shelf = emptyShelf()
    const labels = { [label('version')]: '1.2.3', 'com.example.secret': 'x' }
    const here = putImage(shelf, { ...amd64, created, config: { Labels: labels } })
    const there = putImage(shelf, { ...arm64, created: '2026-11-01T00:00:00Z' })
    const index = putIndex(shelf, [
      { digest: there, platform: arm64 },
      { digest: here, platform: amd64 },
      { digest: `sha256:${'0'.repeat(64)}`, platform: { os: 'unknown', architecture: 'unknown' } },
    ])
    shelf.manifests.set('1.2.3', index)
    await using registry = await answering(serveShelf(shelf))
    expect(await factsOf(registry, '1.2.3')).toEqual({
      digest: index,
      platformDigest: here,
      created: Date.parse('2026-11-20T08:00:00.123Z'),
      labels: { [label('version')]: '1.2.3' },
    })
    expect((await factsOf(registry, '1.2.3', 'linux/arm64'))?.platformDigest).toBe(there)
    expect((await factsOf(registry, '1.2.3', 'linux/arm64/v8'))?.platformDigest).toBe(there)
    expect(await factsOf(registry, '1.2.3', 'linux/s390x')).toEqual({
      digest: index,
      platformDigest: null,
      created: null,
      labels: {},
    })
  })

  test('of one platform: the manifest itself, unless it is for another machine', async () => {
    const shelf = emptyShelf()
    const image = putImage(shelf, { ...amd64, created }, { [label('source')]: 'https://example.com/a' })
    await using registry = await answering(serveShelf(shelf))
    const facts = await factsOf(registry, image)
    expect(facts?.platformDigest).toBe(image)
    expect(facts?.labels).toEqual({ [label('source')]: 'https://example.com/a' })
    expect((await factsOf(registry, image, 'linux/arm64'))?.platformDigest).toBe(null)
  })

  test.each([
    ['1970', '1970-01-01T00:00:00Z', null],
    ['the year 1', '0001-01-01T00:00:00Z', null],
    ['nothing', undefined, null],
    ['null', null, null],
    ['a number', 1_700_000_000, null],
    ['no time', 'yesterday', null],
    ['nanoseconds', '2026-01-05T09:00:00.02662776Z', Date.parse('2026-01-05T09:00:00.026Z')],
  ])('a build that says %s has the date it has, or none', async (_, said, expected) => {
    const shelf = emptyShelf()
    const image = putImage(shelf, { ...amd64, created: said })
    await using registry = await answering(serveShelf(shelf))
    expect((await factsOf(registry, image))?.created).toBe(expected)
  })

  test('endless labels are cut', async () => {
    const shelf = emptyShelf()
    const letters = 'abcdefghijklmnopqrstuvwxyz'
    const many = [...letters].flatMap((a) => [...letters].map((b) => [label(`${a}${b}`), 'x']))
    const Labels = { ...Object.fromEntries(many), [label('title')]: 'x'.repeat(2_000), [label('a')]: 7 }
    const image = putImage(shelf, { ...amd64, config: { Labels } })
    await using registry = await answering(serveShelf(shelf))
    const labels = (await factsOf(registry, image))?.labels ?? {}
    expect(Object.keys(labels).length).toBe(40)
    expect(labels[label('title')]).toBe(undefined)
  })

  test.each(['manifest', 'configuration'])(
    'a %s that is not what its digest says is an error',
    async (what) => {
      const shelf = emptyShelf()
      const image = putImage(shelf, { ...amd64, created })
      const index = putIndex(shelf, [{ digest: image, platform: amd64 }])
      if (what === 'manifest') shelf.manifests.set(image, '{"config":{}}')
      else
        for (const digest of shelf.blobs.keys()) shelf.blobs.set(digest, '{"created":"2026-01-01T00:00:00Z"}')
      await using registry = await answering(serveShelf(shelf))
      const failed = await factsOf(registry, index).catch((error: unknown) => error)
      expect(codeOf(failed)).toBe('registry-unreachable')
      expect(String(failed)).toContain('sent something else than app@sha256:')
    },
  )

  test.each([
    ['no JSON', 'x'],
    ['a list', '[]'],
    ['no configuration', '{"schemaVersion":1,"history":[]}'],
    ['a configuration elsewhere', '{"config":{"digest":"sha256:../../x"}}'],
    ['an index of nonsense', '{"manifests":[null,7,{"digest":"x"},{"platform":[]}]}'],
  ])('%s is an image for nobody', async (_, manifest) => {
    await using registry = await answering((_asked, response) => response.end(manifest))
    const digest = await connected().digest(`${registry.address}/app`, '1.0')
    expect(await factsOf(registry, '1.0')).toEqual({
      digest,
      platformDigest: null,
      created: null,
      labels: {},
    })
  })

  test('is nothing when it is gone, and asked once for each digest', async () => {
    const shelf = emptyShelf()
    const image = putImage(shelf, { ...amd64, created })
    await using registry = await answering(serveShelf(shelf))
    expect(await factsOf(registry, '1.0')).toBe(null)
    expect(await factsOf(registry, `sha256:${'b'.repeat(64)}`)).toBe(null)
    const registries = connected()
    const before = registry.asked.length
    for (let time = 0; time < 3; time += 1)
      await registries.facts(`${registry.address}/app`, image, 'linux/amd64')
    expect(registry.asked.length - before).toBe(2)
  })

  test('content that lies elsewhere is fetched there, without the login', async () => {
    const shelf = emptyShelf()
    const image = putImage(shelf, { ...amd64, created })
    await using storage = await answering(serveShelf(shelf))
    await using registry = await answering((asked, response) => {
      if (asked.headers.authorization === undefined)
        sendJson(response, {}, { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } })
      else if (!asked.path.includes('/blobs/')) serveShelf(shelf)(asked, response)
      else response.writeHead(307, { location: `http://${storage.address}${asked.path}` }).end()
    })
    const login = async () => ({ username: 'alice', password: 'secret', serveraddress: '' })
    const registries = connectRegistries({ now: Date.now, login })
    const facts = await registries.facts(`${registry.address}/app`, image, 'linux/amd64')
    expect(facts?.created).toBe(Date.parse(created))
    expect(storage.asked.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })

  test.each(['http://example.com/blob', 'file:///etc/passwd', 'ftp://127.0.0.1/', 'http://a:b@127.0.0.1:1/'])(
    'a redirect to %s is not followed',
    async (location) => {
      await using registry = await answering((_, response) => response.writeHead(302, { location }).end())
      const failed = await factsOf(registry, `sha256:${'b'.repeat(64)}`).catch((error: unknown) => error)
      expect(String(failed)).toContain('a redirect that is not followed')
    },
  )

  test('a circle of redirects ends', async () => {
    await using registry = await answering(({ path }, response) =>
      response.writeHead(302, { location: path }).end(),
    )
    const failed = await factsOf(registry, `sha256:${'b'.repeat(64)}`).catch((error: unknown) => error)
    expect(String(failed)).toContain('redirects in a circle')
    expect(registry.asked.length).toBeLessThan(10)
  })
})
