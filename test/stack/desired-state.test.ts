import { resolve } from 'node:path'
import { CronExpressionParser } from 'cron-parser'
import { expect, test } from 'vitest'
import { readDesiredState } from '../../reconciler/desired-state/read.ts'
import type { DesiredState } from '../../reconciler/desired-state.ts'
import { windowAt } from '../../reconciler/plan/windows.ts'
import { chooseVersion, chooseVersions } from '../../reconciler/version-bumps/choose.ts'
import { tagFilter } from '../../reconciler/version-bumps/render-diun.ts'

const root = resolve(import.meta.dirname, '../..')

async function desiredState(): Promise<DesiredState> {
  const { state, findings } = await readDesiredState({ root, directory: 'desired-state' })
  if (state === null) throw new Error(JSON.stringify(findings))
  return state
}
const { host, services } = await desiredState()
const policyOf = (service: string) => services[service] as (typeof services)[string]

type Listed = { current: string; tags: string; next: string }

/** What the registry of each image lists: a version, its neighbours, and what must not be taken for one. */
const listed: Record<string, Listed> = {
  nginx: {
    current: '1.30.4-alpine',
    tags: `latest 1 alpine mainline mainline-alpine stable stable-alpine 1.30 1.30-alpine 1.30.4 1.30.4-alpine
      1.30.5 1.30.5-alpine 1.30.5-alpine3.24 1.30.5-alpine-slim 1.30.5-alpine-perl 1.30.5-alpine-otel 1.30.5-perl
      1.30.5-trixie 1.31.0-alpine 1.31.4-alpine 1.31.9-alpine`,
    next: '1.30.5-alpine',
  },
  gitea: {
    current: '1.27.1',
    tags: `latest 1 1.27 1.27.1 1.27.1-rootless 1.27.2 1.27.2-rootless 1.27.2-linux-amd64 1.28.0-rc0 nightly
      1.27-nightly 1.28-nightly 1.27.10-rc1 nightly-rootless`,
    next: '1.27.2',
  },
  postgres: {
    current: '18.6',
    tags: `latest 18 18.6 18.10 18.9 18.10-alpine 18.10-alpine3.24 18.10-trixie 18.10-bookworm 19beta3 19.1 19 17.11
      alpine bookworm`,
    next: '18.10',
  },
  certbot: {
    current: 'v5.8.0',
    tags: `latest nightly v5.8.0 v5.9.1 5.9.2 v5.10.0 amd64-v5.10.0 arm64v8-v5.10.0 v5.10.0-amd64 v5.11 v6.0.0
      amd64-latest v0.0.1`,
    next: 'v5.10.0',
  },
  diun: {
    current: '4.33.0',
    tags: 'latest edge 4 4.33 4.33.0 4.34.0 4.34.1 v4.35.0 5.0.0 4.34.1-rc.1',
    next: '4.34.1',
  },
  'runner-1': {
    current: '3.3.0',
    tags: `latest nightly 3 3.3 3.3.0 3.4.0 3.4.0-dind 3.4.0-dind-rootless 4.0.0 3.5.0-dind v3.9.0 nightly-dind
      0.6.1`,
    next: '3.4.0',
  },
  'runner-node': {
    current: '24.21.0-alpine',
    tags: `latest lts current 24 24-alpine 24.21.0-alpine 24.22.0 24.22.0-alpine 24.22.1-alpine3.24 24.23.0-slim
      25.1.0-alpine 26.0.0-alpine lts-alpine krypton-alpine`,
    next: '24.22.0-alpine',
  },
  'runner-compose': {
    current: '29.7.2-cli',
    tags: `latest cli dind 29 29-cli 29.7-cli 29.7.2-cli 29.8.0 29.8.0-cli 29.8.0-dind 29.8.0-dind-rootless
      29.8.1-cli-alpine3.24 30.0.0-cli 30.0.0-rc.1-cli`,
    next: '29.8.0-cli',
  },
}
const likeAnother: Record<string, string> = { 'runner-2': 'runner-1', 'first-certificate': 'certbot' }

const listOf = (service: string) => listed[likeAnother[service] ?? service] as Listed
const choosing = (service: string) => {
  const { image, update } = policyOf(service)
  const { current, tags } = listOf(service)
  return {
    image,
    current,
    tags: tags.trim().split(/\s+/),
    accept: update.accept,
    pattern: update.tags,
    isDatabaseServer: service === 'postgres',
    refused: new Set<string>(),
  }
}

test.each(Object.keys(services))(
  'of %s the next version of its own line is proposed, and no trap',
  (service) => {
    const next = listed[likeAnother[service] ?? service]?.next ?? null
    expect(next).not.toBeNull()
    expect(chooseVersion(choosing(service))?.tag).toBe(next)
    for (const { tag } of chooseVersions(choosing(service))) expect(choosing(service).tags).toContain(tag)
  },
)

test.each(Object.keys(services))(
  'the pattern of %s alone lets no trap through, whatever is accepted',
  (service) => {
    const pattern = new RegExp(policyOf(service).update.tags ?? '')
    const traps =
      /latest|nightly|edge|rc|beta|dind|rootless|slim|perl|otel|3\.24|amd64|arm|trixie|bookworm|mainline|lts/
    for (const tag of choosing(service).tags) if (traps.test(tag)) expect(tag).not.toMatch(pattern)
    expect(policyOf(service).tag).toMatch(pattern)
  },
)

test('of PostgreSQL no other major is even looked at', () => {
  const pattern = new RegExp(policyOf('postgres').update.tags ?? '')
  for (const tag of ['17.11', '19.1', '118.6', '18']) expect(tag).not.toMatch(pattern)
})

test('Diun looks for the same versions', () => {
  for (const [service, policy] of Object.entries(services)) {
    const { current, tags, next } = listOf(service)
    const filter = new RegExp(tagFilter({ ...policy, tag: current }, service === 'postgres'))
    expect(next).toMatch(filter)
    expect(current).toMatch(filter)
    if (service === 'nginx') expect(tags.split(/\s+/).filter((tag) => filter.test(tag))).toHaveLength(2)
  }
})

test('two services of one image follow the same versions', () => {
  for (const [one, other] of Object.entries(likeAnother)) {
    const { image, update } = policyOf(other)
    expect(policyOf(one)).toMatchObject({ image, update })
  }
})

test('what holds data is updated by a person, everything else by itself and only on Sunday from 3:15 for two hours', () => {
  const manual = Object.keys(services).filter((service) => policyOf(service).update.policy === 'manual')
  expect(manual).toEqual(['gitea', 'postgres'])
  for (const service of manual) expect(policyOf(service).data).not.toEqual([])
  const rule = host.windows['weekly']
  if (rule === undefined) throw new Error('no window weekly')
  for (const service of Object.keys(services))
    if (!manual.includes(service)) expect(policyOf(service).update.window).toBe('weekly')
  expect(host.timezone).toBe('Europe/Berlin')
  const open = (moment: string) => windowAt(rule, host.timezone, Date.parse(moment)).open
  // Winter and summer, by the clock on the wall.
  for (const day of ['2026-01-04T', '2026-07-05T']) {
    const zone = day.startsWith('2026-01') ? '+01:00' : '+02:00'
    expect(
      [`03:14${zone}`, `03:15${zone}`, `05:14${zone}`, `05:15${zone}`].map((time) => open(day + time)),
    ).toEqual([false, true, true, false])
  }
  expect(open('2026-01-05T03:30+01:00')).toBe(false)
})

test('backups are taken daily at 2:00, and certificates renewed on Sunday at 3:30 with nginx reloaded only after a change', () => {
  const next = (cron: string | null | undefined) =>
    CronExpressionParser.parse(cron ?? '', { tz: host.timezone, currentDate: '2026-01-01T12:00:00+01:00' })
      .next()
      .toDate()
      .toISOString()
  expect(next(host.backup?.schedule)).toBe('2026-01-02T01:00:00.000Z')
  expect(next(host.jobs['renew-certificates']?.schedule)).toBe('2026-01-04T02:30:00.000Z')
  expect(host.jobs['renew-certificates']).toMatchObject({
    service: 'certbot',
    command: ['renew'],
    afterwards: { reload: ['nginx'], restart: [], ifChanged: { volume: 'certificates', path: 'live' } },
  })
})

test('Gitea is judged through the door that people use, by its own version, and requests wait during its swap', () => {
  const { health, hold } = policyOf('gitea')
  expect(hold).toBe(20_000)
  const urls = health.checks.flatMap((check) => (check.kind === 'http' ? [check] : []))
  expect(urls.map(({ url }) => url)).toEqual([
    `https://${String(host.variables['DOMAIN'])}/api/healthz`,
    `https://${String(host.variables['DOMAIN'])}/api/v1/version`,
  ])
  expect(urls[1]?.json).toEqual({ version: '{tag}' })
})

test('every secret is named by a file on the host, and none has a value in the repository', () => {
  const secrets = Object.entries(host.variables).filter(([name]) => /PASSWORD|SECRET|TOKEN|KEY/.test(name))
  expect(secrets).toHaveLength(8)
  for (const [, value] of secrets)
    expect(value).toEqual({
      secret: expect.stringMatching(/^file:\/etc\/samovar\/secrets\/[a-z0-9-]+$/) as string,
    })
})
