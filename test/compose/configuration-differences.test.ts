import { describe, expect, test } from 'vitest'
import {
  configurationDifferences,
  secretFieldsOf,
} from '../../reconciler/compose/configuration-differences.ts'
import { containerBody } from '../../reconciler/compose/container-body.ts'
import type { ComposeService } from '../../reconciler/compose/model.ts'
import type { ContainerBody, ImageDefaults } from '../../reconciler/engine/container-body.ts'
import { context, modelWith } from './model-of.ts'

const open = { secrets: new Set<string>(), secretFields: [] }
const full: ComposeService = {
  command: ['serve', 'it'],
  entrypoint: ['/bin/sh', '-c'],
  environment: { LOG_LEVEL: 'info', API_TOKEN: 'abc' },
  labels: { team: 'a' },
  hostname: 'web',
  domainname: 'example.com',
  user: '1000',
  working_dir: '/srv',
  stop_signal: 'SIGINT',
  stop_grace_period: '30s',
  healthcheck: {
    test: ['CMD', 'true'],
    interval: '5s',
    timeout: '3s',
    retries: 2,
    start_period: '1s',
    start_interval: '1s',
  },
  ports: [{ target: 80, published: '8080', protocol: 'tcp' }],
  expose: ['9000'],
  volumes: [
    { type: 'volume', source: 'data', target: '/data', volume: {} },
    { type: 'bind', source: '/srv', target: '/host', bind: { create_host_path: true } },
  ],
  tmpfs: ['/run'],
  networks: { back: { aliases: ['www'], ipv4_address: '10.0.0.5' }, default: {} },
  restart: 'unless-stopped',
  mem_limit: '1000',
  cpus: 0.5,
  pids_limit: 10,
  cap_add: ['NET_ADMIN'],
  ulimits: { nofile: 10 },
  sysctls: { 'net.core.somaxconn': '1' },
  shm_size: '1024',
  logging: { driver: 'json-file', options: { 'max-size': '1m' } },
  security_opt: ['no-new-privileges:true'],
  read_only: true,
  init: true,
  tty: true,
  privileged: false,
  extra_hosts: ['a=1.2.3.4'],
  dns: ['1.1.1.1'],
  ipc: 'shareable',
  cgroup: 'host',
  runtime: 'runsc',
  devices: ['/dev/null'],
}

const bodyOf = (web: ComposeService) => containerBody(modelWith(web), 'web', context)
const between = (before: ContainerBody, after: ContainerBody, image: ImageDefaults | null = null) =>
  configurationDifferences(after, { configuration: before, imageDefaults: image }, open)

describe('one changed key is one difference with the name it has in the Compose file', () => {
  const { environment, labels, healthcheck, networks, volumes } = full
  const back = networks?.['back']
  const changes: [string, ComposeService][] = [
    ['command', { command: ['serve', 'that'] }],
    ['entrypoint', { entrypoint: ['/bin/sh'] }],
    ['environment.LOG_LEVEL', { environment: { ...environment, LOG_LEVEL: 'debug' } }],
    ['environment.NEW', { environment: { ...environment, NEW: '' } }],
    ['labels.team', { labels: { ...labels, team: 'b' } }],
    ['hostname', { hostname: 'other' }],
    ['domainname', { domainname: 'example.org' }],
    ['user', { user: '0' }],
    ['working_dir', { working_dir: '/' }],
    ['stop_signal', { stop_signal: 'SIGQUIT' }],
    ['stop_grace_period', { stop_grace_period: '1m' }],
    ['healthcheck.test', { healthcheck: { ...healthcheck, test: ['CMD', 'false'] } }],
    ['healthcheck.interval', { healthcheck: { ...healthcheck, interval: '6s' } }],
    ['healthcheck.timeout', { healthcheck: { ...healthcheck, timeout: '6s' } }],
    ['healthcheck.retries', { healthcheck: { ...healthcheck, retries: 3 } }],
    ['healthcheck.start_period', { healthcheck: { ...healthcheck, start_period: '6s' } }],
    ['healthcheck.start_interval', { healthcheck: { ...healthcheck, start_interval: '6s' } }],
    ['ports', { ports: [{ target: 80, published: '8081', protocol: 'tcp' }] }],
    ['expose', { expose: ['9000', '9001'] }],
    [
      'volumes./data',
      { volumes: [{ type: 'volume', source: 'other', target: '/data' }, volumes?.[1] ?? never()] },
    ],
    ['volumes./host', { volumes: [volumes?.[0] ?? never()] }],
    ['tmpfs./run', { tmpfs: ['/run:size=1m'] }],
    ['networks.back.aliases', { networks: { ...networks, back: { ...back, aliases: ['app'] } } }],
    [
      'networks.back.ipv4_address',
      { networks: { ...networks, back: { ...back, ipv4_address: '10.0.0.6' } } },
    ],
    ['networks.default', { networks: { back: back ?? null } }],
    ['restart', { restart: 'on-failure:3' }],
    ['mem_limit', { mem_limit: '2000' }],
    ['memswap_limit', { memswap_limit: '5000' }],
    ['cpus', { cpus: 1 }],
    ['pids_limit', { pids_limit: 0 }],
    ['cap_add', { cap_add: ['NET_ADMIN', 'SYS_TIME'] }],
    ['ulimits.nofile', { ulimits: { nofile: { soft: 10, hard: 20 } } }],
    ['sysctls', { sysctls: {} }],
    ['shm_size', { shm_size: '2048' }],
    ['logging', { logging: { driver: 'json-file' } }],
    ['security_opt', { security_opt: [] }],
    ['read_only', { read_only: false }],
    ['init', { init: false }],
    ['tty', { tty: false }],
    ['stdin_open', { stdin_open: true }],
    ['privileged', { privileged: true }],
    ['extra_hosts', { extra_hosts: ['a=1.2.3.5'] }],
    ['dns', { dns: ['8.8.8.8'] }],
    ['ipc', { ipc: 'private' }],
    ['cgroup', { cgroup: 'private' }],
    ['runtime', { runtime: 'runc' }],
    ['devices', { devices: ['/dev/zero'] }],
    ['oom_score_adj', { oom_score_adj: 7 }],
    ['group_add', { group_add: ['7'] }],
    ['userns_mode', { userns_mode: 'host' }],
    ['storage_opt', { storage_opt: { size: '1G' } }],
    ['annotations', { annotations: { a: 'b' } }],
  ]
  test.each(changes)('%s', (field, change) => {
    const found = between(bodyOf(full), bodyOf({ ...full, ...change }))
    expect(found.map((difference) => difference.field)).toEqual([field])
    expect(found[0]?.before).not.toBe(found[0]?.after)
  })

  test('network_mode in place of networks', () => {
    const { networks: _dropped, ...rest } = full
    const found = between(
      bodyOf({ ...rest, networks: { back: {} } }),
      bodyOf({ ...rest, network_mode: 'host' }),
    )
    expect(found).toContainEqual({ field: 'network_mode', before: '', after: 'host' })
  })
})

test('before and after are short texts in the order of time', () => {
  const [difference] = between(bodyOf({ mem_limit: '1000' }), bodyOf({ mem_limit: '2000' }))
  expect(difference).toEqual({ field: 'mem_limit', before: '1000', after: '2000' })
})

test('what the image and the Engine add is no difference', () => {
  const image: ImageDefaults = {
    Env: ['PATH=/bin', 'LOG_LEVEL=warn'],
    Cmd: ['run'],
    WorkingDir: '/image',
    User: '5',
    Labels: { made: 'by image' },
    ExposedPorts: { '80/tcp': {} },
    Volumes: { '/image-data': {} },
    Healthcheck: { Test: ['CMD', 'ok'], Interval: 5e9, Retries: 3 },
  }
  const desired = bodyOf({ environment: { LOG_LEVEL: 'info' }, healthcheck: { retries: 9 }, mem_limit: '10' })
  const asTheEngineSays: ContainerBody = {
    ...desired,
    Image: 'another',
    Hostname: '0123456789ab',
    Env: ['LOG_LEVEL=info', 'PATH=/bin'],
    Cmd: ['run'],
    WorkingDir: '/image',
    User: '5',
    Labels: {
      ...desired.Labels,
      made: 'by image',
      'samovar.operation': 'x',
      'com.docker.compose.image': 'y',
    },
    ExposedPorts: { '80/tcp': {} },
    Volumes: { '/image-data': {} },
    Healthcheck: { Test: ['CMD', 'ok'], Interval: 5e9, Retries: 9 },
    HostConfig: {
      ...desired.HostConfig,
      MemorySwap: 20,
      ShmSize: 67108864,
      LogConfig: { Type: 'json-file', Config: {} },
      IpcMode: 'private',
      CgroupnsMode: 'private',
      Runtime: 'runc',
      CapAdd: null,
      PortBindings: {},
      MaskedPaths: ['/proc/kcore'],
      ReadonlyPaths: ['/proc/sys'],
      ConsoleSize: [0, 0],
      OomKillDisable: false,
      PidsLimit: null,
    },
  }
  const endpoint = asTheEngineSays.NetworkingConfig?.EndpointsConfig['shop_default']
  const withShortId = { ...endpoint, Aliases: ['0123456789ab', ...(endpoint?.Aliases ?? [])] }
  asTheEngineSays.NetworkingConfig = { EndpointsConfig: { shop_default: withShortId } }
  expect(between(asTheEngineSays, desired, image)).toEqual([])
})

describe('nothing secret is shown', () => {
  const was = bodyOf({ environment: { API_TOKEN: 'old', URL: 'http://u:old-secret@h', PLAIN: 'a' } })
  const is = bodyOf({
    environment: { API_TOKEN: 'new', URL: 'http://u:new-secret@h', PLAIN: 'has new-secret in it' },
  })
  const compare = (secrets: string[], secretFields: string[]) =>
    configurationDifferences(
      is,
      { configuration: was, imageDefaults: null },
      { secrets: new Set(secrets), secretFields },
    )

  test('a telling name hides both sides, a known value hides the text around it, a recorded field is hidden', () => {
    expect(compare(['new-secret'], ['environment.URL'])).toEqual([
      { field: 'environment.API_TOKEN', before: '***', after: '***' },
      { field: 'environment.PLAIN', before: 'a', after: '***' },
      { field: 'environment.URL', before: '***', after: '***' },
    ])
  })

  test('a password in an address is hidden even when nobody said that it is one', () => {
    expect(JSON.stringify(compare([], []).find(({ field }) => field === 'environment.URL'))).not.toMatch(
      /-secret/,
    )
  })

  test('fields that hold a secret are named, to be recorded on the container', () => {
    expect(secretFieldsOf(is, new Set(['new-secret', '']))).toEqual(['environment.URL', 'environment.PLAIN'])
  })
})

function never(): never {
  throw new Error('the fixture has two volumes')
}
