import { describe, expect, test } from 'vitest'
import { containerBody } from '../../reconciler/compose/container-body.ts'
import type { ComposeService } from '../../reconciler/compose/model.ts'
import { nanoCpusOf, nanosecondsOf } from '../../reconciler/compose/quantities.ts'
import { context, modelWith } from './model-of.ts'

const bodyOf = (web: ComposeService, apiVersion = '1.48') =>
  containerBody(modelWith(web), 'web', { ...context, apiVersion })

describe('a newer engine gets what an older one cannot do', () => {
  test('all networks at creation, the one of the highest priority first, each with its own card and gateway', () => {
    const networks = { back: { gw_priority: 2, mac_address: '02:00:00:00:00:01' }, default: { priority: 5 } }
    const body = bodyOf({ networks, mac_address: '02:00:00:00:00:02' })
    expect(body.HostConfig.NetworkMode).toBe('shop_default')
    expect(body.MacAddress).toBeUndefined()
    expect(body.NetworkingConfig?.EndpointsConfig).toEqual({
      shop_default: { Aliases: ['shop-web-1', 'web'], IPAMConfig: {}, MacAddress: '02:00:00:00:00:02' },
      shop_back: {
        Aliases: ['shop-web-1', 'web'],
        IPAMConfig: {},
        MacAddress: '02:00:00:00:00:01',
        GwPriority: 2,
      },
    })
  })

  test('a start interval, annotations, a part of a volume and binds that are not recursive', () => {
    const body = bodyOf({
      healthcheck: { test: ['CMD', 'true'], start_period: '1m', start_interval: '500ms' },
      annotations: { owner: 'me' },
      volumes: [
        { type: 'volume', source: 'data', target: '/data', volume: { subpath: 'part' } },
        {
          type: 'bind',
          source: '/srv',
          target: '/srv',
          bind: { recursive: 'disabled', create_host_path: true },
        },
      ],
    })
    expect(body.Healthcheck).toMatchObject({ StartPeriod: 60e9, StartInterval: 5e8 })
    expect(body.HostConfig['Annotations']).toEqual({ owner: 'me' })
    expect(body.HostConfig.Mounts).toEqual([
      { Type: 'volume', Source: 'data', Target: '/data', VolumeOptions: { Subpath: 'part' } },
      {
        Type: 'bind',
        Source: '/srv',
        Target: '/srv',
        BindOptions: { NonRecursive: true, CreateMountpoint: true },
      },
    ])
  })
})

describe('an older engine refuses by name, with the version it would take', () => {
  const tooNew: [string, ComposeService][] = [
    ['healthcheck.start_interval', { healthcheck: { start_interval: '1s' } }],
    ['annotations', { annotations: { a: 'b' } }],
    ['volumes', { volumes: [{ type: 'volume', source: 'd', target: '/d', volume: { subpath: 'x' } }] }],
    ['volumes', { volumes: [{ type: 'bind', source: '/d', target: '/d', bind: { recursive: 'disabled' } }] }],
    ['networks', { networks: { back: { gw_priority: 1 } } }],
    ['networks', { networks: { back: { mac_address: 'x' }, default: { mac_address: 'y' } } }],
  ]
  test.each(tooNew)('%s', (key, web) => {
    expect(() => bodyOf(web, '1.41')).toThrow(
      new RegExp(`services\\.web\\.${key}: it needs Engine API 1\\.4\\d`),
    )
  })
})

test('keys that need special kernels or drivers reach the Engine as they are', () => {
  const { HostConfig } = bodyOf({
    storage_opt: { size: '10G' },
    cpu_rt_period: '400000',
    cpu_rt_runtime: 200000,
    blkio_config: { weight: 300, device_read_bps: [{ path: '/dev/sda', rate: '1048576' }] },
    deploy: {
      resources: { reservations: { devices: [{ capabilities: ['gpu'], count: 'all', driver: 'nvidia' }] } },
    },
  })
  expect(HostConfig).toMatchObject({
    StorageOpt: { size: '10G' },
    CpuRealtimePeriod: 400000,
    CpuRealtimeRuntime: 200000,
    BlkioWeight: 300,
    BlkioDeviceReadBps: [{ Path: '/dev/sda', Rate: 1048576 }],
    DeviceRequests: [{ Driver: 'nvidia', Count: -1, Capabilities: [['gpu']] }],
  })
})

test('a shared namespace names the container, and without one it says whose is missing', () => {
  const model = modelWith({ network_mode: 'service:db', pid: 'service:db', ipc: 'service:db' })
  const { HostConfig } = containerBody(model, 'web', { ...context, containers: { db: 'abc' } })
  expect(HostConfig).toMatchObject({
    NetworkMode: 'container:abc',
    PidMode: 'container:abc',
    IpcMode: 'container:abc',
  })
  expect(() => containerBody(model, 'web', context)).toThrow('there is no container of db')
})

test('durations and processors come out as Compose computes them', () => {
  expect(nanosecondsOf('1h2m3.5s')).toBe(3723.5e9)
  expect(nanosecondsOf('500ms')).toBe(5e8)
  expect(nanoCpusOf('0.3')).toBe(300000000)
  // Seen on containers that Compose created: it keeps the number in 32 bits.
  expect(nanoCpusOf('0.13')).toBe(129999992)
  expect(nanoCpusOf(1.05)).toBe(1049999936)
})
