import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import hostSchema from '../../schemas/host.schema.json' with { type: 'json' }
import serviceSchema from '../../schemas/service.schema.json' with { type: 'json' }
import { readingOf } from './checkout.ts'

type Schema = {
  [key: string]: unknown
  properties?: Record<string, Schema>
  description?: string
  default?: unknown
}

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
const schemas = { host: hostSchema as Schema, service: serviceSchema as Schema }

/** Every property of a schema, wherever it stands: its name and its own schema. */
function properties(schema: unknown): [string, Schema][] {
  if (schema === null || typeof schema !== 'object') return []
  const own = Object.entries((schema as Schema).properties ?? {})
  return [...own, ...Object.values(schema).flatMap(properties)]
}

/** Every key of a value, wherever it stands. */
function keys(value: unknown): string[] {
  if (value === null || typeof value !== 'object') return []
  const own = Array.isArray(value) ? [] : Object.keys(value)
  return [...own, ...Object.values(value).flatMap(keys)]
}

async function examples() {
  return readingOf({
    'desired-state/host.yaml': await read('schemas/examples/host.yaml'),
    'desired-state/services/gitea.yaml': await read('schemas/examples/service.yaml'),
    'compose/override.yaml': 'services: {}\n',
    'compose/own-ca.pem': 'a certificate\n',
  })
}

describe('the annotated examples', () => {
  test('have no findings', async () => {
    expect((await examples()).findings).toEqual([])
  })

  test('use every key of the schemas', async () => {
    const { files } = await examples()
    const used = { host: files.host?.yaml.value, service: files.services.get('gitea')?.yaml.value }
    for (const kind of ['host', 'service'] as const) {
      const known = new Set(keys(used[kind]))
      const missing = properties(schemas[kind]).filter(([name]) => !known.has(name))
      expect(
        missing.map(([name]) => name),
        kind,
      ).toEqual([])
    }
  })

  test('name their schema for editors, as the starter stack does', async () => {
    const modelines: Record<string, string> = {
      'schemas/examples/host.yaml': '../host.schema.json',
      'schemas/examples/service.yaml': '../service.schema.json',
      'desired-state/host.yaml': '../schemas/host.schema.json',
      'desired-state/services/gitea.yaml': '../../schemas/service.schema.json',
      'desired-state/services/nginx.yaml': '../../schemas/service.schema.json',
      'desired-state/services/postgres.yaml': '../../schemas/service.schema.json',
    }
    for (const [path, schema] of Object.entries(modelines)) {
      expect(await read(path), path).toMatch(`# yaml-language-server: $schema=${schema}\n`)
      const place = new URL(schema, new URL(`../../${path}`, import.meta.url))
      expect(JSON.parse(await readFile(place, 'utf8')), path).toHaveProperty('title')
    }
  })
})

describe('the manual and the schemas', () => {
  test('every key of the schemas stands in docs/desired-state.md', async () => {
    const manual = await read('docs/desired-state.md')
    for (const kind of ['host', 'service'] as const) {
      const missing = properties(schemas[kind]).filter(([name]) => !manual.includes(`\`${name}\``))
      expect(
        missing.map(([name]) => name),
        kind,
      ).toEqual([])
    }
  })

  test('every key has a description that editors show', () => {
    for (const [name, schema] of [...properties(schemas.host), ...properties(schemas.service)]) {
      const described = schema.description ?? (schema['$ref'] as string | undefined)
      expect(described, name).toBeTruthy()
    }
  })

  test('a default in a description, in `default` and in what applies are the same', async () => {
    const { state } = await readingOf({})
    if (state === null) expect.fail('the smallest desired state has findings')
    const { host, services } = state
    const { update, health, revert, backup } = services['gitea'] ?? expect.fail('the service is not there')
    const applied = {
      timezone: host.timezone,
      poll: '3m',
      prune: host.prune,
      keep: host.images.keep,
      policy: update.policy,
      accept: update.accept,
      minimumAge: `${update.minimumAge / 1000}s`,
      within: `${health.within / 60_000}m`,
      steady: `${health.steady / 1000}s`,
      soak: `${health.soak / 60_000}m`,
      repository: revert.repository,
      failed: revert.failed,
      while: backup.while,
    }
    const stated = [...properties(schemas.host), ...properties(schemas.service)].filter(
      ([, schema]) => 'default' in schema,
    )
    const defaults = Object.fromEntries(stated.map(([name, schema]) => [name, schema.default]))
    expect(defaults).toMatchObject(applied)
    for (const [name, schema] of stated)
      expect(schema.description, name).toContain(`Default: ${String(schema.default)}`)
  })
})
