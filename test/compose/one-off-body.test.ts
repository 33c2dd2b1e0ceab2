import { expect, test } from 'vitest'
import { containerBody } from '../../reconciler/compose/container-body.ts'
import type { ComposeService } from '../../reconciler/compose/model.ts'
import { oneOffBody } from '../../reconciler/compose/one-off-body.ts'
import { context, modelWith } from './model-of.ts'

const oneOff = (web: ComposeService, command: string[] | null = null) =>
  oneOffBody(containerBody(modelWith(web), 'web', context), {
    image: 'web:1@sha256:cc',
    command,
    slug: 'op',
  })

test('nobody reaches the one-off container by the name or the ports of the service, and it is never restarted', () => {
  const body = oneOff({
    restart: 'unless-stopped',
    stdin_open: true,
    ports: [{ target: 80, published: '8080' }],
    networks: { back: { aliases: ['www'] }, default: null },
  })
  expect(body.OpenStdin).toBe(false)
  expect(body.HostConfig).toMatchObject({ RestartPolicy: { Name: 'no' } })
  expect(body.HostConfig.PortBindings).toBeUndefined()
  const endpoints = Object.values(body.NetworkingConfig?.EndpointsConfig ?? {})
  expect(endpoints.map((each) => each.Aliases)).toEqual([[], []])
  expect(body.Labels).toMatchObject({
    'com.docker.compose.oneoff': 'True',
    'com.docker.compose.slug': 'op',
    'com.docker.compose.service': 'web',
  })
})

test('its command is that of the job, else that of the Compose file; the rest is the service`s own', () => {
  const web: ComposeService = {
    command: ['serve'],
    entrypoint: ['/bin/run'],
    environment: { A: '1' },
    volumes: [{ type: 'volume', source: 'data', target: '/data' }],
  }
  expect(oneOff(web).Cmd).toEqual(['serve'])
  const body = oneOff(web, ['renew'])
  expect(body).toMatchObject({
    Image: 'web:1@sha256:cc',
    Cmd: ['renew'],
    Entrypoint: ['/bin/run'],
    Env: ['A=1'],
  })
  expect(body.HostConfig.Mounts ?? body.HostConfig.Binds).toHaveLength(1)
})
