import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ComposeModel, ComposeService } from '../../reconciler/compose/model.ts'
import { stopGrace } from '../../reconciler/compose/service-facts.ts'
import { findCompose } from '../../reconciler/compose-config.ts'
import { loadCommit } from '../../reconciler/load.ts'
import { standInsFor } from '../../reconciler/secrets/secrets.ts'
import { run } from '../rig/process.ts'

const root = resolve(import.meta.dirname, '../..')
const guide = readFileSync(resolve(root, 'docs/stack.md'), 'utf8')
let model: ComposeModel

beforeAll(async () => {
  const { loaded, findings } = await loadCommit({
    compose: await findCompose(),
    commit: '',
    root,
    directory: 'desired-state',
    values: standInsFor(),
  })
  if (loaded === null) throw new Error(JSON.stringify(findings))
  model = loaded.model
})
const all = () => Object.entries(model.services)
const service = (name: string) => model.services[name] as ComposeService
const mounts = (name: string) =>
  (service(name).volumes ?? []).map(
    ({ source, target, read_only: only }) => `${source}:${target}${only ? ':ro' : ''}`,
  )

test('this repository is a host repository: validate finds nothing', async () => {
  const { exitCode, stdout } = await run(process.execPath, ['reconciler/cli.ts', 'validate', '.'], {
    cwd: root,
    timeoutMs: 60_000,
  })
  expect(stdout).toContain('valid:')
  expect(exitCode).toBe(0)
})

test('80, 443 and 2222 are published, and nothing else', () => {
  const ports = all().flatMap(([name, { ports: published = [] }]) =>
    published.map((port) => `${name} ${port.published}:${port.target} ${port.host_ip ?? 'everywhere'}`),
  )
  expect(ports).toEqual(['gitea 2222:22 everywhere', 'nginx 80:80 everywhere', 'nginx 443:443 everywhere'])
  expect(all().filter(([, { network_mode: mode }]) => mode === 'host')).toEqual([])
})

describe('every service', () => {
  test('has no capability but those the guide gives a reason for, and gains none', () => {
    for (const [name, body] of all()) {
      expect(body.cap_drop, name).toEqual(['ALL'])
      expect(body.security_opt, name).toEqual(['no-new-privileges:true'])
      expect(body.privileged, name).toBeUndefined()
      expect(body.devices ?? body.pid ?? body.ipc ?? body.userns_mode, name).toBeUndefined()
    }
    const reasons = [...guide.matchAll(/^\| `([a-z][a-z\d-]*)` \| ((?:`[A-Z_]+`(?:, )?)+) \|/gm)].map(
      ([, name, list]) => [name, [...(list ?? '').matchAll(/[A-Z_]+/g)].map(String)],
    )
    const given = all().flatMap(([name, { cap_add: added }]) =>
      added === undefined ? [] : [[name, added.toSorted()]],
    )
    expect(Object.fromEntries(reasons)).toEqual(Object.fromEntries(given))
  })

  test('has a log that ends, and a bound on memory and processes', () => {
    for (const [name, body] of all()) {
      expect(body.logging, name).toEqual({
        driver: 'json-file',
        options: { 'max-size': '10m', 'max-file': '5' },
      })
      expect(Number(body.mem_limit), name).toBeGreaterThan(0)
      expect(Number(body.pids_limit), name).toBeGreaterThan(0)
    }
  })

  test('has a root that nobody writes to, except Gitea and the runners', () => {
    const writable = all().flatMap(([name, body]) => (body.read_only === true ? [] : [name]))
    expect(writable).toEqual(['gitea', 'runner-1', 'runner-2'])
  })

  test('gets no Docker socket', () => {
    expect(JSON.stringify(model.services)).not.toMatch(/docker\.sock|\/run\/docker/)
  })

  test('is started again after a reboot, unless it ends by itself', () => {
    const once = all().flatMap(([name, { restart }]) => (restart === 'no' ? [name] : []))
    expect(once).toEqual(['certbot', 'first-certificate', 'runner-compose', 'runner-node'])
    for (const [name, { restart }] of all()) if (!once.includes(name)) expect(restart).toBe('unless-stopped')
  })
})

describe('secrets', () => {
  test('stand in no environment, command, label or content of a config', () => {
    const values = Object.values(model.secrets).map(({ content }) => content ?? '')
    expect(values).toHaveLength(8)
    for (const value of values) {
      expect(value).toMatch(/^secret-/)
      expect(JSON.stringify([model.services, model.configs, model.networks])).not.toContain(value)
    }
    for (const [name, { environment = {} }] of all())
      for (const [key, value] of Object.entries(environment))
        if (/PASSWORD|PASSWD|SECRET|TOKEN|KEY/.test(key))
          expect(value, `${name} ${key}`).toMatch(/^\/run\/secrets\//)
  })

  test('are read by root alone', () => {
    for (const [name, { secrets = [] }] of all())
      for (const secret of secrets) {
        expect(
          typeof secret.mode === 'number' ? secret.mode : Number.parseInt(secret.mode ?? '', 8),
          name,
        ).toBe(0o400)
        expect(secret.uid, name).toBe(undefined)
      }
  })

  test('are where the settings of Gitea look for them', () => {
    const files = Object.entries(service('gitea').environment ?? {}).filter(([key]) => key.endsWith('__FILE'))
    const given = (service('gitea').secrets ?? []).map(
      ({ target, source }) => target ?? `/run/secrets/${source}`,
    )
    expect(new Set(files.map(([, file]) => file))).toEqual(new Set(given))
  })
})

describe('Gitea', () => {
  test('is set up without a person, behind this proxy and for this name', () => {
    expect(service('gitea').environment).toMatchObject({
      GITEA__security__INSTALL_LOCK: 'true',
      GITEA__security__SECRET_KEY__FILE: '/run/secrets/gitea-secret-key',
      GITEA__security__INTERNAL_TOKEN__FILE: '/run/secrets/gitea-internal-token',
      GITEA__oauth2__JWT_SECRET__FILE: '/run/secrets/gitea-oauth2-jwt-secret',
      GITEA__server__LFS_JWT_SECRET__FILE: '/run/secrets/gitea-lfs-jwt-secret',
      GITEA__server__ROOT_URL: 'https://git.example.com/',
      GITEA__server__SSH_DOMAIN: 'git.example.com',
      GITEA__server__SSH_PORT: '2222',
      GITEA__server__PUBLIC_URL_DETECTION: 'never',
      GITEA__service__DISABLE_REGISTRATION: 'true',
      GITEA__metrics__ENABLED: 'true',
      GITEA__metrics__TOKEN__FILE: '/run/secrets/gitea-metrics-token',
    })
  })

  test('may call Samovar, and public addresses as before, and no other private one', () => {
    for (const section of ['webhook', 'security'])
      expect(service('gitea').environment?.[`GITEA__${section}__ALLOWED_HOST_LIST`]).toBe('external,samovar')
    expect(service('gitea').extra_hosts).toEqual(['samovar=host-gateway'])
    expect(service('diun').extra_hosts).toEqual(['samovar=host-gateway'])
  })

  test('believes nginx about addresses, since nobody else is in that network', () => {
    const subnet = model.networks['door']?.ipam?.config?.[0]?.subnet
    expect(service('gitea').environment?.['GITEA__security__REVERSE_PROXY_TRUSTED_PROXIES']).toBe(subnet)
    const there = all().flatMap(([name, { networks = {} }]) => ('door' in networks ? [name] : []))
    expect(there).toEqual(['gitea', 'nginx'])
  })
})

test('the database is reached by Gitea alone, and reaches nobody', () => {
  const there = all().flatMap(([name, { networks = {} }]) => ('data' in networks ? [name] : []))
  expect(there).toEqual(['gitea', 'postgres'])
  expect(Object.keys(service('postgres').networks ?? {})).toEqual(['data'])
  expect(model.networks['data']?.internal).toBe(true)
  expect(mounts('postgres')).toEqual(['postgres-data:/var/lib/postgresql'])
  expect(service('postgres').healthcheck?.test).toEqual(expect.arrayContaining(['-h', '127.0.0.1']))
})

test('nobody is killed while writing: 90 s for Gitea, two minutes for PostgreSQL, a job of a runner to its end', () => {
  const graces = Object.fromEntries(all().map(([name]) => [name, stopGrace(model, name)]))
  expect(graces).toMatchObject({ gitea: 90, postgres: 120, 'runner-1': 300, 'runner-2': 300, nginx: 15 })
})

describe('the door', () => {
  test('opens with nothing but a certificate, which there always is', () => {
    expect(service('nginx').depends_on).toEqual({
      'first-certificate': { condition: 'service_completed_successfully', required: true },
    })
  })

  test('has its configuration as a folder, the certificates, the challenges and the flag, and writes none of them', () => {
    expect(mounts('nginx')).toEqual([
      `${root}/compose/nginx:/etc/nginx/samovar:ro`,
      'certificates:/etc/letsencrypt:ro',
      'acme-challenges:/var/www/acme:ro',
      '/var/lib/samovar/hold:/run/samovar/hold:ro',
    ])
    const configuration = readFileSync(resolve(root, 'compose/nginx/nginx.conf'), 'utf8')
    for (const path of [
      '/etc/nginx/samovar/',
      '/etc/letsencrypt/live/gitea/',
      '/var/www/acme',
      '127.0.0.1:8090',
    ])
      expect(configuration).toContain(path)
  })

  test('is found by the runners under the name of the host', () => {
    const aliases = service('nginx').networks?.['outside']?.aliases
    expect(aliases).toEqual(['git.example.com'])
    expect(service('runner-1').environment?.['GITEA_INSTANCE_URL']).toBe('https://git.example.com')
  })
})

test('certbot runs only as a job, and writes where nginx reads', () => {
  expect(service('certbot').profiles).toEqual(['jobs'])
  expect(mounts('certbot')).toEqual(
    expect.arrayContaining(['certificates:/etc/letsencrypt', 'acme-challenges:/var/www/acme']),
  )
  expect(service('certbot').environment?.['ACME_SERVER']).toBe(
    'https://acme-v02.api.letsencrypt.org/directory',
  )
})

test('the two runners differ in name and data alone', () => {
  const text = (name: string) => JSON.stringify(service(name)).replaceAll(name, 'runner')
  expect(text('runner-1')).toBe(text('runner-2'))
  expect(text('runner-1')).toContain('samovar:host')
})

test('Diun listens to nobody but itself, and reads what Samovar renders', () => {
  expect(service('diun').environment?.['GRPC_AUTHORITY']).toBe('127.0.0.1:42286')
  expect(mounts('diun')).toContain('/var/lib/samovar/diun:/run/samovar/diun:ro')
  expect(readFileSync(resolve(root, 'compose/diun/diun.yml'), 'utf8')).toContain(
    '/run/samovar/diun/images.yml',
  )
})

test('the guide names every service, volume and variable', () => {
  const variables = [...readFileSync(resolve(root, 'compose/compose.yaml'), 'utf8').matchAll(/\$\{(\w+)/g)]
  const names = [
    ...Object.keys(model.services),
    ...Object.keys(model.volumes),
    ...variables.map(([, name]) => name ?? ''),
  ]
  expect(names.filter((name) => !guide.includes(`\`${name}\``))).toEqual([])
})
