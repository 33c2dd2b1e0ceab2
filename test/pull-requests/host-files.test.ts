import { expect, test } from 'vitest'
import type { ComposeModel } from '../../reconciler/compose/model.ts'
import { hostOf } from '../../reconciler/desired-state/policies.ts'
import { isOfHost } from '../../reconciler/pull-requests/host-files.ts'
import { readSettings } from '../../reconciler/settings.ts'
import { policyOf } from '../desired-state/policy.ts'

/** One service that mounts a folder and a configuration from beside the folder of Compose. */
const model = {
  directory: '/checkout',
  services: {
    web: {
      volumes: [
        { type: 'bind', source: '/checkout/nginx/site', target: '/site' },
        { type: 'bind', source: '/var/lib/web', target: '/data' },
      ],
      configs: [{ source: 'web', target: '/web.conf' }],
    },
  },
  secrets: {},
  configs: { web: { name: 'web', file: '/checkout/settings/web.conf' } },
} as unknown as ComposeModel

function judge(about: { compose?: string[]; directory?: string } = {}): (path: string) => boolean {
  const { compose = ['compose/compose.yaml'], directory = '' } = about
  const settings = readSettings({ repository: false }, { SAMOVAR_DIRECTORY: directory })
  const ca = { checks: [{ http: 'https://git.example.com', ca: './certificates/own.pem' }] }
  const state = {
    host: hostOf({ name: 'git.example.com', project: 'site', compose }),
    services: { web: policyOf({ health: ca }) },
  }
  return isOfHost({ settings }, { state, model })
}

test.each([
  ['desired-state/host.yaml', true],
  ['desired-state/services/web.yaml', true],
  ['compose/compose.yaml', true],
  ['compose/nginx/nginx.conf', true],
  ['nginx/site/index.html', true],
  ['settings/web.conf', true],
  ['certificates/own.pem', true],
  ['settings/other.conf', false],
  ['nginx/other.conf', false],
  ['desired-state.md', false],
  ['compose-old/compose.yaml', false],
  ['docs/desired-state/host.yaml', false],
  ['src/app.ts', false],
  ['.gitea/workflows/check.yaml', false],
])('%s can change the host: %s', (path, expected) => {
  expect(judge()(path)).toBe(expected)
})

test('a Compose file in the root of the repository does not make a part of the host of everything', () => {
  const of = judge({ compose: ['./compose.yaml'] })
  expect([of('compose.yaml'), of('other.yaml'), of('src/app.ts')]).toEqual([true, false, false])
})

test.each(['host', './host', 'host/'])(
  'the desired state lies where SAMOVAR_DIRECTORY says: %s',
  (directory) => {
    const of = judge({ directory })
    expect([of('host/host.yaml'), of('desired-state/host.yaml')]).toEqual([true, false])
  },
)

test('a desired state in the root itself is its two places, not the whole repository', () => {
  const of = judge({ directory: '.' })
  expect([of('host.yaml'), of('services/web.yaml'), of('src/app.ts')]).toEqual([true, true, false])
})
