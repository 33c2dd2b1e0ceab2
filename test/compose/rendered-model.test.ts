import { expect, test } from 'vitest'
import { containerBody } from '../../reconciler/compose/container-body.ts'
import { documentOf, modelOf } from '../../reconciler/compose/model.ts'
import { allMountedSources } from '../../reconciler/compose/mounted-sources.ts'
import { projectNetworks, projectVolumes } from '../../reconciler/compose/project-objects.ts'
import { renderedModel } from '../../reconciler/compose/rendered-model.ts'
import {
  dependencies,
  networkModeService,
  sharedServices,
  stopGrace,
} from '../../reconciler/compose/service-facts.ts'
import { context, modelWith } from './model-of.ts'

const files = {
  volumes: [
    { type: 'bind', source: '/checkout/site', target: '/site', bind: { create_host_path: true } },
    { type: 'bind', source: '/srv/data', target: '/data', bind: { create_host_path: true } },
  ],
  secrets: [{ source: 'token' }, { source: 'token', target: '/etc/t', mode: '0400', uid: '7' }],
  configs: [{ source: 'site', target: '/etc/site.conf' }],
}
const model = modelWith(files, {
  secrets: { token: { name: 'shop_token', content: 'sesame' } },
  configs: { site: { name: 'shop_site', file: '/checkout/site/nginx.conf' } },
})
const mounted = Object.fromEntries(
  allMountedSources(model).map(({ key }, index) => [key, `/state/files/${index}`]),
)
const rendered = renderedModel(model, { web: { image: 'web:1@sha256:aa' } }, mounted)

test('every file of the repository is mounted read-only from its content-addressed folder, host data as it was', () => {
  const { HostConfig } = containerBody(rendered, 'web', context)
  expect(HostConfig.Binds).toEqual(['/srv/data:/data:rw'])
  expect(HostConfig.Mounts).toEqual([
    { Type: 'bind', Source: mounted['path site'], Target: '/site', ReadOnly: true, BindOptions: {} },
    { Type: 'bind', Source: mounted['secret token'], Target: '/run/secrets/token', ReadOnly: true },
    { Type: 'bind', Source: mounted['secret token 400 7 '], Target: '/etc/t', ReadOnly: true },
    { Type: 'bind', Source: mounted['config site'], Target: '/etc/site.conf', ReadOnly: true },
  ])
})

test('the rendered model holds the pin and no text of a secret, and reads back as the same model', () => {
  const document = documentOf(rendered)
  const text = JSON.stringify(document)
  expect(text).toContain('web:1@sha256:aa')
  expect(text).not.toContain('sesame')
  const about = { project: 'shop', composeVersion: '2.26.1', directory: '/checkout' }
  const { rest, ...again } = modelOf(JSON.parse(text) as Record<string, unknown>, about)
  expect(again).toEqual({ ...rendered, rest: undefined })
  expect(rest).toEqual({ name: 'shop' })
})

test('dollar signs survive the way to Compose and back', () => {
  const priced = modelWith({ environment: { PRICE: '$$5 and $$$$' } })
  expect(documentOf(priced)).toMatchObject({ services: { web: { environment: { PRICE: '$$5 and $$$$' } } } })
})

test('a missing written file is an error, never a silent bind of something else', () => {
  expect(() => renderedModel(model, {}, {})).toThrow('nothing was written for')
})

test('the facts of a service are its dependencies, its grace and whose namespaces it shares', () => {
  const side = modelWith({
    network_mode: 'service:db',
    pid: 'service:init',
    stop_grace_period: '1m30s',
    depends_on: {
      init: { condition: 'service_completed_successfully', required: false },
      db: { condition: 'x' },
    },
  })
  expect(dependencies(side, 'web')).toEqual([
    { service: 'db', condition: 'service_started', restart: false, required: true },
    { service: 'init', condition: 'service_completed_successfully', restart: false, required: false },
  ])
  expect(stopGrace(side, 'web')).toBe(90)
  expect(networkModeService(side, 'web')).toBe('db')
  expect(sharedServices(side, 'web')).toEqual(['db', 'init'])
})

test('external networks and volumes are only looked for', () => {
  const outside = modelWith(
    {},
    { networks: { n: { name: 'n', external: true } }, volumes: { v: { name: 'v', external: true } } },
  )
  expect(projectNetworks(outside)).toEqual([{ name: 'n', external: true, labels: {} }])
  expect(projectVolumes(outside)).toEqual([{ name: 'v', external: true, labels: {} }])
})
