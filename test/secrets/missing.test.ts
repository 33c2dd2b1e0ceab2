import { describe, expect, test } from 'vitest'
import { modelOf } from '../../reconciler/compose/model.ts'
import { exposedSecrets, hintLine } from '../../reconciler/secrets/exposed.ts'
import { type ComposeDocument, withFormer } from '../../reconciler/secrets/former-services.ts'
import { lacksSecret, missingFor, missingSecretProblem } from '../../reconciler/secrets/missing.ts'

const modelWith = (printed: Record<string, unknown>) =>
  modelOf(printed, { project: 'shop', composeVersion: '2.26.1', directory: '/checkout' })

const missing = ['A', 'AB'].map((name) => ({
  name,
  standIn: `missing-${name}-0123456789abcdef`,
  why: `/etc/${name} does not exist`,
  next: 'create it',
}))
const [a, ab] = missing.map(({ standIn }) => standIn) as [string, string]

const model = modelWith({
  services: {
    environment: { image: 'x', environment: { P: `x${a}y` } },
    command: { image: 'x', command: ['run', ab] },
    network: { image: 'x', networks: { back: null } },
    volume: { image: 'x', volumes: [{ type: 'volume', source: 'data', target: '/data' }] },
    secret: { image: 'x', secrets: [{ source: 's' }] },
    config: { image: 'x', configs: [{ source: 'c' }] },
    fine: { image: 'x', networks: { front: null }, secrets: [{ source: 'other' }] },
  },
  networks: { back: { name: `n-${a}` }, front: { name: 'front' } },
  volumes: { data: { name: `v-${a}` } },
  secrets: { s: { name: 's', content: a }, other: { name: 'other', content: 'fine' } },
  configs: { c: { name: 'c', content: `key=${ab}\n` } },
})
const where = { model, resolved: { missing } }
const namesFor = (service: string) => missingFor(where, service).map(({ name }) => name)

describe('a missing secret', () => {
  test('is found wherever a container would meet it, and nowhere else', () => {
    const found = Object.fromEntries(
      Object.keys(model.services).map((service) => [service, namesFor(service)]),
    )
    expect(found).toEqual({
      environment: ['A'],
      command: ['AB'],
      network: ['A'],
      volume: ['A'],
      secret: ['A'],
      config: ['AB'],
      fine: [],
    })
    expect(lacksSecret(model.networks['front'], missing)).toBe(false)
    expect(lacksSecret(model.networks['back'], missing)).toBe(true)
  })

  test('that names the whole project holds everything', () => {
    const named = { model: { ...model, project: `p-${a}` }, resolved: { missing } }
    expect(missingSecretProblem(named, 'fine')).toMatch(/^the secret A is missing/)
  })

  test('is told with the next step, several with the first one', () => {
    expect(missingSecretProblem(where, 'secret')).toBe(
      'the secret A is missing: /etc/A does not exist; next: create it',
    )
    expect(missingSecretProblem(where, 'fine')).toBeNull()
    const both = modelWith({ services: { web: { image: 'x', command: [a, ab] } } })
    expect(missingSecretProblem({ model: both, resolved: { missing } }, 'web')).toBe(
      'the secrets A, AB are missing, first of all A: /etc/A does not exist; next: create it',
    )
  })
})

describe('the Compose file for operators', () => {
  const document = (services: object, rest: object = {}): ComposeDocument =>
    ({ services, networks: {}, volumes: {}, secrets: {}, configs: {}, ...rest }) as ComposeDocument

  test('keeps a service without its secret as it was, with the image that runs', () => {
    const former = document(
      { web: { image: 'web:1', environment: { P: 'real' }, secrets: [{ source: 's' }] } },
      { secrets: { s: { file: '/secrets/1/s' } }, volumes: { data: { name: 'v-real' } } },
    )
    const now = document(
      { web: { image: 'web:0', environment: { P: a }, secrets: [{ source: 's' }] }, other: { image: 'o' } },
      { secrets: { s: { file: '/secrets/2/s' } }, volumes: { data: { name: `v-${a}` } } },
    )
    expect(withFormer(now, former, { missing, lacking: new Set(['web']) })).toEqual(
      document(
        {
          other: { image: 'o' },
          web: { image: 'web:0', environment: { P: 'real' }, secrets: [{ source: 's' }] },
        },
        { secrets: { s: { file: '/secrets/1/s' } }, volumes: { data: { name: 'v-real' } } },
      ),
    )
  })

  test('leaves out one that never had it, and what cannot be without it', () => {
    const now = document(
      {
        db: { image: 'd', environment: { P: a } },
        web: { image: 'w', depends_on: { db: {}, cache: {} } },
        cache: { image: 'c' },
        beside: { image: 'b', network_mode: 'service:db' },
        further: { image: 'f', pid: 'service:beside' },
      },
      { volumes: { data: { name: `v-${a}` } } },
    )
    expect(withFormer(now, null, { missing, lacking: new Set(['db']) })).toEqual(
      document({ web: { image: 'w', depends_on: { cache: {} } }, cache: { image: 'c' } }),
    )
  })
})

test('a secret that is not taken as a file is hinted at, with the field that docker inspect shows', () => {
  const loaded = {
    model: modelWith({
      services: {
        web: {
          image: 'x',
          environment: { P: 'secret-TOKEN', Q: 'secret-TOKENS', R: null },
          command: ['run', 'x-secret-KEY'],
          secrets: [{ source: 's' }],
        },
        files: { image: 'x', secrets: [{ source: 'secret-KEY' }] },
      },
    }),
    state: {
      host: { variables: { TOKEN: { secret: 'env:T' }, KEY: { secret: 'env:K' }, PLAIN: 'secret-TOKEN' } },
    },
  } as unknown as Parameters<typeof exposedSecrets>[0]
  const found = exposedSecrets(loaded)
  expect(found).toEqual([
    { service: 'web', secret: 'TOKEN', fields: ['environment.P'] },
    { service: 'web', secret: 'KEY', fields: ['command'] },
  ])
  expect(found.map(hintLine)[0]).toMatch(
    /^web takes the secret TOKEN through environment\.P, where docker inspect shows it; next: mount it as a file/,
  )
})
