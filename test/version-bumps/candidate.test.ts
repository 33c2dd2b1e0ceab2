import { describe, expect, test } from 'vitest'
import { serviceOf } from '../../reconciler/desired-state/policies.ts'
import type { ServicePolicy } from '../../reconciler/desired-state.ts'
import type { RefusedVersion } from '../../reconciler/journal/forge-records.ts'
import { type Candidate, findCandidate, type Search } from '../../reconciler/version-bumps/candidate.ts'
import { connectRegistries } from '../../reconciler/version-bumps/registry.ts'
import {
  type Answering,
  answering,
  emptyShelf,
  putImage,
  putIndex,
  type Shelf,
  serveShelf,
} from './answering.ts'

const day = 86_400_000
const now = Date.parse('2026-11-23T12:00:00Z')
const amd64 = { os: 'linux', architecture: 'amd64' }
const arm64 = { os: 'linux', architecture: 'arm64' }
const daysAgo = (days: number): string => new Date(now - days * day).toISOString()

type Stage = AsyncDisposable & {
  registry: Answering
  shelf: Shelf
  image: string
  /** Pushes a tag; answers its digest. */
  push(tag: string, configuration?: Record<string, unknown>): string
  find(policy?: Partial<ServicePolicy>, search?: Partial<Search>): Promise<Candidate | null>
}

async function stage(): Promise<Stage> {
  const shelf = emptyShelf()
  const registry = await answering(serveShelf(shelf))
  const image = `${registry.address}/team/app`
  const file = 'desired-state/services/app.yaml'
  const usual = serviceOf('app', file, { image, tag: '1.0.0' }, new Set())
  const registries = connectRegistries({ now: () => now, login: async () => undefined })
  return {
    registry,
    shelf,
    image,
    push(tag, configuration = {}) {
      const digest = putImage(shelf, { ...amd64, created: daysAgo(10), tag, ...configuration })
      shelf.manifests.set(tag, digest)
      return digest
    },
    find: (policy = {}, search = {}) =>
      findCandidate(
        { ...usual, ...policy },
        {
          registries,
          refused: [],
          firstSeen: () => now,
          now,
          isDatabaseServer: false,
          platform: 'linux/amd64',
          ...search,
        },
      ),
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  }
}

const update = (change: Partial<ServicePolicy['update']>): Pick<ServicePolicy, 'update'> => ({
  update: { ...serviceOf('app', '', {}, new Set()).update, ...change },
})
const refusal = (image: string, tag: string, digest: string): RefusedVersion => ({
  service: 'app',
  image,
  tag,
  digest,
  why: '',
  at: 0,
})

describe('the version that a service can be brought to', () => {
  test('is the newest, with its digest, its age and where it is described', async () => {
    await using host = await stage()
    host.push('1.0.0')
    host.push('1.0.1')
    const Labels = { 'org.opencontainers.image.source': 'https://github.com/team/app' }
    const digest = host.push('1.1.0', { config: { Labels } })
    expect(await host.find()).toEqual({
      service: 'app',
      file: 'desired-state/services/app.yaml',
      image: host.image,
      from: { tag: '1.0.0', digest: null },
      to: { tag: '1.1.0', digest },
      step: 'minor',
      created: now - 10 * day,
      notes: 'https://github.com/team/app/releases?q=1.1.0&expanded=true',
      waits: null,
    })
  })

  test('is none when there is nothing newer', async () => {
    await using host = await stage()
    host.push('1.0.0')
    host.push('0.9.0')
    expect(await host.find()).toBe(null)
  })

  test('is the next one when the best is too young', async () => {
    await using host = await stage()
    host.push('1.0.1', { created: daysAgo(4) })
    host.push('1.0.2', { created: daysAgo(1) })
    expect((await host.find(update({ minimumAge: 3 * day })))?.to.tag).toBe('1.0.1')
  })

  test('waits when all are too young, and says until when', async () => {
    await using host = await stage()
    host.push('1.0.1', { created: daysAgo(2) })
    host.push('1.0.2', { created: daysAgo(1) })
    const candidate = await host.find(update({ minimumAge: 3 * day }))
    expect(candidate?.to.tag).toBe('1.0.2')
    expect(candidate?.waits).toBe('younger than minimumAge: until 2026-11-25T12:00Z')
  })

  test.each([
    ['nobody says when it was built', '1970-01-01T00:00:00Z'],
    ['it says it is from the future', new Date(now + day).toISOString()],
  ])('counts from when it was first seen here when %s', async (_, created) => {
    await using host = await stage()
    const digest = host.push('1.0.1', { created })
    const asked: string[] = []
    const firstSeen = (image: string, tag: string, of: string): number => {
      asked.push(`${image} ${tag} ${of}`)
      return now - 4 * day
    }
    expect((await host.find(update({ minimumAge: 3 * day }), { firstSeen }))?.waits).toBe(null)
    expect((await host.find(update({ minimumAge: 5 * day }), { firstSeen }))?.waits).toContain(
      '2026-11-24T12:00Z',
    )
    expect(asked[0]).toBe(`${host.image} 1.0.1 ${digest}`)
  })

  test('is never one that is refused: by its tag, or by its digest under any tag', async () => {
    await using host = await stage()
    host.push('1.0.1')
    const bad = host.push('1.0.2')
    host.shelf.manifests.set('1.0.3', bad)
    host.push('1.0.4')
    const refused = [refusal(host.image, '1.0.4', ''), refusal(host.image, '1.0.2', bad)]
    expect((await host.find({}, { refused }))?.to.tag).toBe('1.0.1')
    const elsewhere = refused.map((each) => ({ ...each, image: 'docker.io/other/app' }))
    expect((await host.find({}, { refused: elsewhere }))?.to.tag).toBe('1.0.4')
  })

  test('a refused digest leaves the way free for the tag once it was pushed anew', async () => {
    await using host = await stage()
    const bad = host.push('1.0.1')
    const refused = [refusal(host.image, '1.0.1', bad)]
    expect(await host.find({}, { refused })).toBe(null)
    const good = host.push('1.0.1', { fixed: true })
    expect((await host.find({}, { refused }))?.to).toEqual({ tag: '1.0.1', digest: good })
  })

  test('is one that is built for the platform', async () => {
    await using host = await stage()
    host.push('1.0.1')
    host.push('1.0.2', arm64)
    expect((await host.find())?.to.tag).toBe('1.0.1')
    expect((await host.find({}, { platform: 'linux/arm64' }))?.to.tag).toBe('1.0.2')
  })

  test('keeps to accept and tags, and to the major of a database server', async () => {
    await using host = await stage()
    host.push('1.0.1')
    host.push('1.1.0')
    host.push('2.0.0')
    expect((await host.find(update({ accept: 'patch' })))?.to.tag).toBe('1.0.1')
    expect((await host.find(update({ accept: 'major' })))?.to.tag).toBe('2.0.0')
    expect((await host.find(update({ accept: 'major' }), { isDatabaseServer: true }))?.to.tag).toBe('1.1.0')
    expect((await host.find(update({ tags: '^1\\.0\\.' })))?.to.tag).toBe('1.0.1')
  })

  test('a registry is not asked for every version there ever was', async () => {
    await using host = await stage()
    for (let patch = 1; patch <= 30; patch += 1) host.push(`1.0.${patch}`, { created: daysAgo(0) })
    expect((await host.find(update({ minimumAge: day })))?.to.tag).toBe('1.0.30')
    expect(host.registry.asked.length).toBeLessThan(40)
  })
})

describe('a tag that was pushed anew', () => {
  test('is proposed with the new digest, when the file names the old one', async () => {
    await using host = await stage()
    const old = host.push('1.0.0')
    const digest = host.push('1.0.0', { rebuilt: true })
    const candidate = await host.find({ digest: old })
    expect(candidate).toMatchObject({
      step: 'digest',
      from: { tag: '1.0.0', digest: old },
      to: { tag: '1.0.0', digest },
    })
    expect(await host.find({ digest })).toBe(null)
    expect(await host.find({ digest: null })).toBe(null)
  })

  test('costs one HEAD, which is no pull, as long as nothing changed', async () => {
    await using host = await stage()
    const digest = host.push('1.0.0')
    expect(await host.find({ digest })).toBe(null)
    expect(host.registry.lines()).toEqual([
      'GET /v2/team/app/tags/list?n=1000',
      'HEAD /v2/team/app/manifests/1.0.0',
    ])
  })

  test('is left alone when only another platform was rebuilt', async () => {
    await using host = await stage()
    const here = putImage(host.shelf, { ...amd64, created: daysAgo(9) })
    const index = (there: string) =>
      putIndex(host.shelf, [
        { digest: here, platform: amd64 },
        { digest: there, platform: arm64 },
      ])
    const old = index(putImage(host.shelf, { ...arm64, build: 1 }))
    const rebuilt = index(putImage(host.shelf, { ...arm64, build: 2 }))
    host.shelf.manifests.set('1.0.0', rebuilt)
    expect(await host.find({ digest: old })).toBe(null)
    expect((await host.find({ digest: old }, { platform: 'linux/arm64' }))?.to.digest).toBe(rebuilt)
  })

  test('is proposed when the old image is gone from the registry', async () => {
    await using host = await stage()
    const digest = host.push('1.0.0')
    expect((await host.find({ digest: `sha256:${'c'.repeat(64)}` }))?.to.digest).toBe(digest)
  })

  test('comes after a newer version, and instead of one that has to wait', async () => {
    await using host = await stage()
    const old = host.push('1.0.0')
    host.push('1.0.0', { rebuilt: true })
    host.push('1.0.1', { created: daysAgo(1) })
    expect((await host.find({ digest: old }))?.step).toBe('patch')
    expect((await host.find({ digest: old, ...update({ minimumAge: 3 * day }) }))?.step).toBe('digest')
  })

  test('is all that accept: digest takes, and tags are not even listed for it', async () => {
    await using host = await stage()
    const old = host.push('1.0.0')
    host.push('1.0.0', { rebuilt: true })
    host.push('1.0.1')
    expect((await host.find({ digest: old, ...update({ accept: 'digest' }) }))?.step).toBe('digest')
    expect(host.registry.lines().join()).not.toContain('tags/list')
  })

  test('is not proposed when that digest is refused', async () => {
    await using host = await stage()
    const old = host.push('1.0.0')
    const bad = host.push('1.0.0', { rebuilt: true })
    expect(await host.find({ digest: old }, { refused: [refusal(host.image, '1.0.0', bad)] })).toBe(null)
  })
})
