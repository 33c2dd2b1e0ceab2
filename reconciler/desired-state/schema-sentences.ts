import type { ErrorObject } from 'ajv/dist/2020.js'
import { formats } from './formats.ts'
import { nearest, oneOf, quoted } from './wording.ts'
import type { YamlFile } from './yaml-file.ts'
import type { Path } from './yaml-positions.ts'

/** As much of a JSON Schema as the sentences need. */
export type Schema = {
  $ref?: string
  $defs?: Record<string, object>
  properties?: Record<string, object>
  required?: string[]
  expected?: string
  format?: string
  pattern?: string
  writeOnly?: boolean
}

/** What one error of ajv means: where, and a sentence about it. */
export type Violation = {
  path: Path
  at: 'key' | 'value'
  message: string
  /**
   * `unknown`: a key that is not known. `kind`: the mapping is none of the possible kinds, or several. `lacks`: it
   * does not have a key it needs. `wrong`: a bad value.
   */
  reason: 'unknown' | 'kind' | 'lacks' | 'wrong'
  /** The mapping that is meant, for all but `wrong`. */
  parent: Path
}

/** Puts an error of ajv into words; null for errors that only repeat another one. */
export function violationOf(error: ErrorObject, root: Schema, yaml: YamlFile): Violation | null {
  const path = pathOf(error.instancePath, yaml.value)
  const schema = error.parentSchema as Schema
  if (error.propertyName !== undefined) return wrongName(error, path)
  switch (error.keyword) {
    case 'propertyNames':
      return null
    case 'additionalProperties':
      return unknownKey(path, String(error.params['additionalProperty']), schema)
    case 'required':
      // Inside oneOf it only says which alternative does not fit; the oneOf itself is put into words.
      return error.schemaPath.includes('/oneOf/') ? null : missingKey(path, error, root)
    case 'oneOf':
      // What is no mapping at all has its own sentence.
      return isMapping(error.data) ? wrongKind(path, error, schema) : null
    case 'dependentRequired':
      return lonelyKey(path, error, schema)
    default:
      return { path, at: 'value', reason: 'wrong', parent: path, message: wrongValue(error, path, yaml) }
  }
}

function isMapping(data: unknown): boolean {
  return typeof data === 'object' && data !== null && !Array.isArray(data)
}

function unknownKey(parent: Path, key: string, schema: Schema): Violation {
  const known = Object.keys(schema.properties ?? {})
  const meant = nearest(key, known)
  const expected =
    meant === null ? `expected one of ${known.join(', ')} (or x-...)` : `did you mean ${quoted(meant)}?`
  return {
    path: [...parent, key],
    at: 'key',
    reason: 'unknown',
    parent,
    message: `is not a known key, ${expected}`,
  }
}

function missingKey(parent: Path, error: ErrorObject, root: Schema): Violation {
  const key = String(error.params['missingProperty'])
  const expected = resolved((error.parentSchema as Schema).properties?.[key], root).expected ?? 'a value'
  const message = `is missing, expected ${expected}`
  return { path: [...parent, key], at: 'key', reason: 'lacks', parent, message }
}

/** A mapping that must have exactly one of several keys has none, or several. */
function wrongKind(path: Path, error: ErrorObject, schema: Schema): Violation {
  const kinds = (error.schema as Schema[]).map((alternative) => alternative.required?.[0] ?? '')
  const named = kinds.filter((kind) => Object.hasOwn(error.data as object, kind))
  const wrong =
    named.length === 0 ? `has none of the keys ${oneOf(kinds)}` : `has ${named.join(' and ')} at once`
  const message = `${wrong}, expected ${schema.expected ?? `one of ${oneOf(kinds)}`}`
  return { path, at: 'value', reason: 'kind', parent: path, message }
}

/** A key that needs another one which is not there. */
function lonelyKey(parent: Path, error: ErrorObject, schema: Schema): Violation {
  const key = String(error.params['property'])
  const needed = String(error.params['missingProperty'])
  const message = `stands without ${needed}, expected ${schema.expected ?? needed}`
  return { path: [...parent, key], at: 'key', reason: 'lacks', parent, message }
}

function wrongName(error: ErrorObject, parent: Path): Violation {
  const name = String(error.propertyName)
  const schema = error.parentSchema as Schema
  const judgement = error.keyword === 'format' ? formats[String(error.params['format'])]?.(name) : null
  const message = `${judgement ?? 'is not a name that can be used here'}, expected ${schema.expected ?? 'a name'}`
  return { path: [...parent, name], at: 'key', reason: 'wrong', parent, message }
}

function wrongValue(error: ErrorObject, path: Path, yaml: YamlFile): string {
  const schema = error.parentSchema as Schema
  const secret = schema.writeOnly === true
  const expected = schema.expected ?? 'another value'
  if (error.data === null || error.data === '') return `is empty, expected ${expected}`
  if (error.keyword === 'type') return wrongType(error, expected, secret ? undefined : yaml.writtenAs(path))
  if (error.keyword === 'uniqueItems') return `names the same thing twice, expected each once`
  if (error.keyword === 'minItems' || error.keyword === 'minProperties')
    return `is empty, expected ${expected}`
  const shown = secret ? '' : shownValue(error.data)
  return `${shown}${judged(error)}, expected ${expected}${suggestion(error)}`
}

function wrongType(error: ErrorObject, expected: string, writtenAs: string | undefined): string {
  const { data } = error
  if (Array.isArray(data)) return `is a list, expected ${expected}`
  if (typeof data === 'object') return `is a mapping, expected ${expected}`
  const kind = typeof data === 'string' ? 'text' : typeof data === 'number' ? 'a number' : 'a boolean'
  if (typeof data === 'string') return `is text, expected ${expected}`
  const textWanted = [error.params['type']].flat().includes('string')
  if (writtenAs === undefined) return `is ${kind}${textWanted ? ' without quotes' : ''}, expected ${expected}`
  const advice =
    textWanted && fits(writtenAs, error.parentSchema as Schema) ? `: write "${writtenAs}" in quotes` : ''
  return `${quoted(writtenAs)} is ${kind}, expected ${expected}${advice}`
}

/** Whether the same characters would be right as text: only then quotes are the cure. */
function fits(text: string, schema: Schema): boolean {
  const judgement = schema.format === undefined ? null : formats[schema.format]?.(text)
  return judgement === null && (schema.pattern === undefined || new RegExp(schema.pattern).test(text))
}

/** The value in front of the sentence, unless it is a whole mapping or an address that may hold a password. */
function shownValue(data: unknown): string {
  return typeof data === 'object' || String(data).includes('@') ? '' : `${quoted(String(data))} `
}

function judged(error: ErrorObject): string {
  if (error.keyword !== 'format') return 'is not allowed here'
  const text = String(error.data)
  if (text.length > 4_096) return 'is far too long'
  return formats[String(error.params['format'])]?.(text) ?? 'is not allowed here'
}

function suggestion(error: ErrorObject): string {
  const allowed = error.params['allowedValues'] as string[] | undefined
  const meant = allowed === undefined || typeof error.data !== 'string' ? null : nearest(error.data, allowed)
  return meant === null ? '' : ` (did you mean ${meant}?)`
}

function resolved(schema: Schema | undefined, root: Schema): Schema {
  const name = schema?.$ref?.replace('#/$defs/', '')
  return { ...(name === undefined ? {} : root.$defs?.[name]), ...schema }
}

/** ajv's JSON pointer as a path; list positions become numbers. */
function pathOf(pointer: string, value: unknown): Path {
  const path: (string | number)[] = []
  let here: unknown = value
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
    path.push(Array.isArray(here) ? Number(key) : key)
    here = (here as Record<string, unknown> | null)?.[key]
  }
  return path
}
