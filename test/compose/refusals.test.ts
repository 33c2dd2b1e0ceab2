import { describe, expect, test } from 'vitest'
import { refusals } from '../../reconciler/compose/judgement.ts'
import type { ComposeService } from '../../reconciler/compose/model.ts'
import { modelWith } from './model-of.ts'

const refused = (web: Record<string, unknown>, rest?: Record<string, unknown>) =>
  refusals(modelWith(web as ComposeService, rest)).map(({ path }) => path.join('.'))

describe('what cannot be expressed is refused by name, never dropped', () => {
  const keys: [string, unknown][] = [
    ['build', { context: '.' }],
    ['develop', { watch: [{}] }],
    ['pull_policy', 'always'],
    ['scale', 2],
    ['links', ['db']],
    ['external_links', ['db']],
    ['volumes_from', ['db']],
    ['post_start', [{ command: 'true' }]],
    ['gpus', [{ count: 1 }]],
    ['use_api_socket', true],
    ['a_key_of_tomorrow', 'x'],
  ]
  test.each(keys)('services.web.%s', (key, value) => {
    expect(refused({ [key]: value })).toEqual([`services.web.${key}`])
  })

  const deeper: [string, Record<string, unknown>][] = [
    ['deploy.placement.constraints', { deploy: { placement: { constraints: ['a'] } } }],
    ['deploy.update_config', { deploy: { update_config: { order: 'start-first' } } }],
    ['deploy.labels', { deploy: { labels: { a: 'b' } } }],
    ['deploy.mode', { deploy: { mode: 'global' } }],
    ['deploy.replicas', { deploy: { replicas: 3 } }],
    ['deploy.resources.reservations.cpus', { deploy: { resources: { reservations: { cpus: 1 } } } }],
    ['deploy.restart_policy.window', { deploy: { restart_policy: { window: '1s' } } }],
    [
      'volumes.0.consistency',
      { volumes: [{ type: 'bind', source: '/a', target: '/a', consistency: 'cached' }] },
    ],
    ['volumes.0.type', { volumes: [{ type: 'npipe', source: 'a', target: '/a' }] }],
    ['security_opt.0', { security_opt: ['seccomp=profile.json'] }],
    ['networks.back.interface_name', { networks: { back: { interface_name: 'eth7' } } }],
    ['depends_on.db.condition', { depends_on: { db: { condition: 'service_lucky' } } }],
    ['image', { image: '' }],
  ]
  test.each(deeper)('services.web.%s', (path, web) => {
    expect(refused(web)).toEqual([`services.web.${path}`])
  })

  test('keys of networks, volumes, secrets and configs, and unknown ones at the top', () => {
    const rest = {
      models: { m: { model: 'x' } },
      networks: { back: { name: 'b', enable_ipv4: true } },
      secrets: { s: { name: 's', external: true }, t: { name: 't', driver: 'vault' } },
    }
    expect(refused({}, rest)).toEqual([
      'models',
      'networks.back.enable_ipv4',
      'secrets.s.external',
      'secrets.t.driver',
    ])
  })
})

test('extension keys and keys that say nothing are fine', () => {
  expect(refused({ 'x-own': { a: 1 }, build: null, deploy: { placement: {} } }, { 'x-top': 1 })).toEqual([])
})
