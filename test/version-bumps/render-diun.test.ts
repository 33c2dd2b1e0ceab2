import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { hostOf, type ServiceFile, serviceOf } from '../../reconciler/desired-state/policies.ts'
import type { DesiredState } from '../../reconciler/desired-state.ts'
import { chooseVersions } from '../../reconciler/version-bumps/choose.ts'
import {
  renderDiunConfiguration,
  renderDiunImages,
  tagFilter,
} from '../../reconciler/version-bumps/render-diun.ts'
import { checkout } from '../desired-state/checkout.ts'
import { run } from '../rig/process.ts'
import { tagList } from './tag-lists.ts'

const stateOf = (services: Record<string, ServiceFile>): DesiredState => ({
  host: hostOf({ name: 'git.example.com', project: 'gitea', compose: [] }),
  services: Object.fromEntries(
    Object.entries(services).map(([name, file]) => [name, serviceOf(name, `${name}.yaml`, file, new Set())]),
  ),
})
type Item = { name: string; include_tags: string[]; max_tags: number } & Record<string, unknown>
const itemsOf = (services: Record<string, ServiceFile>): Item[] =>
  parse(renderDiunImages(stateOf(services))) as Item[]
const filterOf = (image: string, tag: string, accept: 'patch' | 'minor' | 'major' | 'digest'): string =>
  tagFilter(serviceOf('app', '', { image, tag, update: { accept } }, new Set()), false)

/** Every key of an item that Diun 4.33 knows; one more and it drops the whole file. */
const itemKeys = new Set([
  'name',
  'regopt',
  'watch_repo',
  'notify_on',
  'sort_tags',
  'max_tags',
  'include_tags',
  'exclude_tags',
  'hub_link',
  'platform',
  'metadata',
])

describe('the file of images for Diun', () => {
  test('has one item for each repository, with its tag and without its digest', () => {
    const items = itemsOf({
      web: { image: 'nginx', tag: '1.30.4-alpine', digest: `sha256:${'a'.repeat(64)}` },
      database: { image: 'docker.io/library/postgres', tag: '18.6' },
      old: { image: 'postgres', tag: '17.5-alpine' },
    })
    expect(items).toEqual([
      {
        name: 'docker.io/library/postgres:18.6',
        watch_repo: true,
        sort_tags: 'semver',
        max_tags: 10,
        include_tags: ['^18\\.\\d+$', '^17\\.\\d+-alpine$'],
      },
      {
        name: 'docker.io/library/nginx:1.30.4-alpine',
        watch_repo: true,
        sort_tags: 'semver',
        max_tags: 5,
        include_tags: ['^1\\.\\d*[02468]\\.\\d+-alpine$'],
      },
    ])
    for (const item of items) for (const key of Object.keys(item)) expect(itemKeys).toContain(key)
  })

  test('leaves out what crashes Diun, and says so', () => {
    const text = renderDiunImages(stateOf({ app: { image: 'ghcr.io/app', tag: '1.0.0' } }))
    expect(parse(text)).toEqual([])
    expect(text).toContain('# ghcr.io/app is left out')
  })

  test('does not change with the order of the services', () => {
    const a = { image: 'a/a', tag: '1.0.0' }
    const b = { image: 'b/b', tag: '2.0.0' }
    expect(renderDiunImages(stateOf({ a, b }))).toBe(renderDiunImages(stateOf({ b, a })))
  })

  test.each<[string, string, 'patch' | 'minor' | 'major' | 'digest', string]>([
    ['a/app', '1.22.6', 'patch', '^1\\.22\\.\\d+$'],
    ['a/app', '1.22.6', 'minor', '^1\\.\\d+\\.\\d+$'],
    ['a/app', '1.22.6', 'major', '^\\d+\\.\\d+\\.\\d+$'],
    ['a/app', 'v1.2-alpine3.24', 'minor', '^v1\\.\\d+-alpine3\\.24$'],
    ['a/app', '1.22.6', 'digest', '^1\\.22\\.6$'],
    ['a/app', 'bookworm', 'major', '^bookworm$'],
    ['a/app', '2026.04.1', 'patch', '^0*2026\\.0*4\\.\\d+$'],
    ['postgres', '18.6', 'patch', '^18\\.\\d+$'],
    ['postgres', '18.6', 'major', '^18\\.\\d+$'],
    ['nginx', '1.31.4', 'minor', '^1\\.\\d*[13579]\\.\\d+$'],
    ['nginx', '1.30.4', 'patch', '^1\\.30\\.\\d+$'],
  ])('%s:%s with accept: %s is watched by %s', (image, tag, accept, filter) => {
    expect(filterOf(image, tag, accept)).toBe(filter)
  })

  test('a filter has the tag itself and all that may follow, is anchored, and has only what RE2 reads', () => {
    const accepts = fc.constantFrom<('patch' | 'minor' | 'major' | 'digest')[]>(
      'patch',
      'minor',
      'major',
      'digest',
    )
    fc.assert(
      fc.property(tagList, accepts, (list, accept) => {
        const filter = filterOf(list.image, list.current, accept)
        expect(filter).toMatch(/^\^(?:[\w-]|0\*|\\\.|\\d[+*]|\[0?2?4?6?8?\]|\[13579\])+\$$/)
        const expression = new RegExp(filter)
        expect(expression.test(list.current)).toBe(true)
        const choosing = {
          ...list,
          accept,
          pattern: null,
          isDatabaseServer: false,
          refused: new Set<string>(),
        }
        for (const { tag } of chooseVersions(choosing))
          expect(expression.test(tag), `${filter} ${tag}`).toBe(true)
        expect(expression.test(`${list.current}-rc1`)).toBe(false)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe("Diun's own configuration", () => {
  const state = stateOf({
    app: { image: '127.0.0.1:5000/app', tag: '1.0.0' },
    web: { image: 'nginx', tag: '1.30.4' },
  })
  const endpoint = { url: 'https://samovar.example.com/hooks/diun', remark: null }
  const text = renderDiunConfiguration(state, endpoint)
  const value = parse(text) as Record<string, Record<string, unknown>>

  test('posts to Samovar, on a schedule, from the file of images', () => {
    expect(value['notif']).toEqual({
      webhook: { endpoint: 'https://samovar.example.com/hooks/diun', method: 'POST', timeout: '10s' },
    })
    expect(value['watch']).toEqual({
      schedule: '0 */6 * * *',
      jitter: '30s',
      workers: 5,
      firstCheckNotif: false,
      runOnStartup: true,
    })
    expect(value['providers']).toEqual({ file: { filename: '/etc/diun/images.yml' } })
    expect(Object.keys(value).toSorted()).toEqual(['notif', 'providers', 'regopts', 'watch'])
  })

  test('has both headers in the environment, and no token', () => {
    expect(text).toContain('DIUN_NOTIF_WEBHOOK_HEADERS_CONTENT-TYPE: application/json')
    expect(text).toContain('DIUN_NOTIF_WEBHOOK_HEADERS_AUTHORIZATION: Bearer $SAMOVAR_DIUN_TOKEN')
  })

  test('has a Compose service in its comment that runs as it stands', () => {
    const lines = text.split('\n').flatMap((line) => (/^# {3}/.test(line) ? [line.slice(4)] : []))
    const compose = parse(lines.join('\n')) as { services: { diun: { volumes: string[] } } }
    expect(compose).toMatchObject({ volumes: { diun: null } })
    expect(compose.services.diun.volumes).toEqual(['diun:/data', './diun:/etc/diun:ro'])
    expect(text).toMatch(/openssl rand -hex 32[^]*SAMOVAR_DIUN_TOKEN_FILE/)
  })

  test('lets Diun speak plain HTTP with a registry of this machine, and with no other', () => {
    expect(value['regopts']).toEqual([{ name: '127.0.0.1:5000', selector: 'image', insecureTLS: true }])
    const without = stateOf({ web: { image: 'nginx', tag: '1.30.4' } })
    expect(parse(renderDiunConfiguration(without, endpoint))).not.toHaveProperty('regopts')
  })
})

describe('samovar render diun', () => {
  const samovar = (args: string[], environment: Record<string, string> = {}) =>
    run(process.execPath, ['reconciler/cli.ts', 'render', ...args], {
      env: { PATH: process.env['PATH'] ?? '', ...environment },
      timeoutMs: 20_000,
    })

  test('prints nothing but the file', async () => {
    await using place = await checkout()
    const { exitCode, stdout, stderr } = await samovar(['diun', place.root])
    expect([exitCode, stderr]).toEqual([0, ''])
    expect((parse(stdout) as Item[]).map(({ name }) => name)).toEqual(['docker.io/gitea/gitea:1.22.6'])
  })

  test('--config names the address under which Samovar is reached', async () => {
    await using place = await checkout()
    const environment = { SAMOVAR_PUBLIC_URL: 'https://samovar.example.com/', SAMOVAR_DIUN_TOKEN: 'secret-1' }
    const { exitCode, stdout } = await samovar(['diun', place.root, '--config'], environment)
    expect(exitCode).toBe(0)
    expect(stdout).toContain('endpoint: https://samovar.example.com/hooks/diun\n')
    expect(stdout).not.toContain('secret-1')
  })

  test.each([
    ['127.0.0.1:9797', 'http://SAMOVAR-AS-DIUN-REACHES-IT:9797/hooks/diun', true],
    ['0.0.0.0:80', 'http://SAMOVAR-AS-DIUN-REACHES-IT:80/hooks/diun', true],
    ['[::]:9797', 'http://SAMOVAR-AS-DIUN-REACHES-IT:9797/hooks/diun', true],
    ['172.17.0.1:9797', 'http://172.17.0.1:9797/hooks/diun', false],
    ['[fd00::1]:9797', 'http://[fd00::1]:9797/hooks/diun', false],
  ])('--config without a public address, listening at %s, names %s', async (listen, endpoint, isOpen) => {
    await using place = await checkout()
    const { stdout } = await samovar(['diun', place.root, '--config'], { SAMOVAR_LISTEN: listen })
    expect(parse(stdout)).toMatchObject({ notif: { webhook: { endpoint } } })
    expect(stdout.includes(`${endpoint} # set SAMOVAR_PUBLIC_URL, or name`)).toBe(isOpen)
  })

  test('prints no file for a desired state with findings', async () => {
    await using place = await checkout({ 'desired-state/services/gitea.yaml': 'image: gitea\ntag: 1.2\n' })
    const { exitCode, stdout, stderr } = await samovar(['diun', place.root])
    expect([exitCode, stdout]).toEqual([1, ''])
    expect(stderr).toContain('desired-state/services/gitea.yaml:2:6: tag')
  })

  test('knows nothing else to render', async () => {
    const { exitCode, stderr } = await samovar(['compose'])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('next: `samovar render diun`')
  })
})
