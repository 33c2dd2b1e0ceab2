import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import hostSchema from '../../schemas/host.schema.json' with { type: 'json' }
import serviceSchema from '../../schemas/service.schema.json' with { type: 'json' }
import type { Finding } from '../desired-state.ts'
import { formats } from './formats.ts'
import { type Schema, type Violation, violationOf } from './schema-sentences.ts'
import { keyPath } from './wording.ts'
import type { YamlFile } from './yaml-file.ts'

/** Longer texts are refused before any expression looks at them. */
const longestText = 4_096

/** Finding the place of a key takes time; nobody reads further than this. */
const mostLocated = 200

type Kind = 'host' | 'service'

let compiled: Record<Kind, ValidateFunction> | null = null

/** Compiles both schemas at the first use: some tens of milliseconds. */
function validators(): Record<Kind, ValidateFunction> {
  if (compiled !== null) return compiled
  const ajv = new Ajv2020({
    allErrors: true,
    verbose: true,
    strict: true,
    strictRequired: false,
    allowUnionTypes: true,
  })
  ajv.addVocabulary(['expected'])
  for (const [name, judge] of Object.entries(formats)) {
    ajv.addFormat(name, (text: string) => text.length <= longestText && judge(text) === null)
  }
  compiled = { host: ajv.compile(hostSchema), service: ajv.compile(serviceSchema) }
  return compiled
}

/**
 * Checks one file against its schema.
 * @returns the findings, and the top-level keys that have one (`''` for the file as a whole): what later rules must
 *   not draw conclusions from
 */
export function checkSchema(kind: Kind, yaml: YamlFile): { findings: Finding[]; faulty: Set<string> } {
  const validate = validators()[kind]
  if (validate(yaml.value)) return { findings: [], faulty: new Set() }
  const schema: Schema = kind === 'host' ? hostSchema : serviceSchema
  const violations = settled((validate.errors ?? []).map((error) => violationOf(error, schema, yaml)))
  const findings = violations
    .slice(0, mostLocated)
    .map(({ path, at, message }) => yaml.findingAt(path, at, message))
  return { findings, faulty: new Set(violations.map(({ path }) => String(path[0] ?? ''))) }
}

/**
 * One sentence for each place. A mapping with an unknown key is often misspelt, so what it then seems to lack is not
 * said as well, and a mapping of no known kind lacks nothing else; of several sentences about one value the first
 * is kept.
 */
function settled(all: (Violation | null)[]): Violation[] {
  const violations = all.filter((violation) => violation !== null)
  const parents = (...reasons: Violation['reason'][]) =>
    new Set(violations.filter(({ reason }) => reasons.includes(reason)).map(({ parent }) => keyPath(parent)))
  const misspelt = parents('unknown')
  const unclear = parents('unknown', 'kind')
  const kept = new Map<string, Violation>()
  for (const violation of violations) {
    if (violation.reason === 'kind' && misspelt.has(keyPath(violation.parent))) continue
    if (violation.reason === 'lacks' && unclear.has(keyPath(violation.parent))) continue
    const place = keyPath(violation.path)
    if (!kept.has(place)) kept.set(place, violation)
  }
  return [...kept.values()]
}
