import type { Document } from 'yaml'
import type { Finding } from '../desired-state.ts'
import {
  type ComposeSource,
  type Entry,
  entriesOf,
  findingAt,
  findingAtOffset,
  isComposite,
  itemsOf,
  textOf,
  valuesOf,
} from './compose-source.ts'
import { interpolate, unknownVariables } from './interpolation.ts'

/** A path that Compose would read or mount, still to be looked at on disk. */
export type PathReference = {
  /** `compose`: another Compose file, read as this one. `file`: must be a file. `mount`: a file or folder. */
  kind: 'compose' | 'file' | 'mount'
  /** As written, variables replaced. */
  path: string
  /** False when the file may be missing (`env_file` with `required: false`). */
  required: boolean
  /** Where to say what is wrong. */
  finding: Finding
  /** Of a `compose` reference: what its own relative paths are relative to, when it is not its folder. */
  base?: string
}

type Examined = { findings: Finding[]; paths: PathReference[] }
type Look = {
  source: ComposeSource
  document: Document
  variables: Record<string, string>
  found: Examined
}

const noBuild = 'Samovar rolls out images; build the image in CI, push it and name it under image'
const refusedServiceKeys: Record<string, string> = {
  build: noBuild,
  develop: 'it is for work on a desk, not for a host',
  provider: 'it would run a program of the host',
  credential_spec: 'it is for Windows only',
}

function refuse(look: Look, node: unknown, key: string, message: string): void {
  look.found.findings.push(findingAt(look.source, node, key, message))
}

function refer(
  look: Look,
  node: unknown,
  key: string,
  more: Pick<PathReference, 'kind'> & Partial<PathReference>,
): void {
  const text = more.path ?? textOf(node)
  if (text === undefined) return
  const path = interpolate(text, look.variables)
  look.found.paths.push({ required: true, ...more, path, finding: findingAt(look.source, node, key, '') })
}

/** The value under a key of a mapping. */
function under(look: Look, node: unknown, key: string): Entry | undefined {
  return entriesOf(look.document, node).find((entry) => entry.key === key)
}

function include(look: Look, node: unknown): void {
  for (const item of itemsOf(look.document, node)) {
    if (!isComposite(item)) {
      refer(look, item, 'include', { kind: 'compose' })
      continue
    }
    const folder = under(look, item, 'project_directory')?.value
    if (folder !== undefined) refer(look, folder, 'include.project_directory', { kind: 'mount' })
    const base = textOf(folder)
    for (const path of itemsOf(look.document, under(look, item, 'path')?.value)) {
      const more = base === undefined ? {} : { base: interpolate(base, look.variables) }
      refer(look, path, 'include.path', { kind: 'compose', ...more })
    }
    for (const path of itemsOf(look.document, under(look, item, 'env_file')?.value)) {
      refer(look, path, 'include.env_file', { kind: 'file' })
    }
  }
}

function files(look: Look, node: unknown, key: string): void {
  for (const item of itemsOf(look.document, node)) {
    const path = isComposite(item) ? under(look, item, 'path')?.value : item
    const required = textOf(under(look, item, 'required')?.value) !== 'false'
    refer(look, path, key, { kind: 'file', required })
  }
}

/** The host path of a volume in the short form, or undefined for a named volume. */
function shortSource(text: string, look: Look): string | undefined {
  const [first = '', second] = interpolate(text, look.variables).split(':')
  if (second === undefined) return undefined
  return /^[./~]/.test(first) ? first : undefined
}

function volumes(look: Look, node: unknown, key: string): void {
  for (const item of itemsOf(look.document, node)) {
    const text = textOf(item)
    if (text !== undefined) {
      const path = shortSource(text, look)
      if (path !== undefined) refer(look, item, key, { kind: 'mount', path })
    } else if (textOf(under(look, item, 'type')?.value) === 'bind') {
      refer(look, under(look, item, 'source')?.value, key, { kind: 'mount' })
    }
  }
}

function service(look: Look, { key: name, value }: Entry): void {
  for (const { key, keyNode, value: part } of entriesOf(look.document, value)) {
    const path = `services.${name}.${key}`
    const reason = refusedServiceKeys[key]
    if (reason !== undefined) refuse(look, keyNode, path, reason)
    if (key === 'env_file' || key === 'label_file') files(look, part, path)
    if (key === 'volumes') volumes(look, part, path)
    const other = key === 'extends' ? under(look, part, 'file') : undefined
    if (other) refer(look, other.value, `${path}.file`, { kind: 'compose' })
  }
}

function secretOrConfig(look: Look, section: string, { key: name, value }: Entry): void {
  for (const { key, value: part } of entriesOf(look.document, value)) {
    const path = `${section}.${name}.${key}`
    if (key === 'file') refer(look, part, path, { kind: 'file' })
    const variable = key === 'environment' ? textOf(part) : undefined
    if (variable === undefined || Object.hasOwn(look.variables, variable)) continue
    refuse(look, part, path, `expected the name of a variable of host.yaml, ${variable} is none`)
  }
}

/** A volume whose driver binds a folder: a relative one would be a folder of the checkout. */
function volumeDevice(look: Look, { key: name, value }: Entry): void {
  const options = under(look, value, 'driver_opts')?.value
  const device = under(look, options, 'device')?.value
  const text = textOf(device)
  const binds = textOf(under(look, options, 'o')?.value)
    ?.split(',')
    .includes('bind')
  if (text === undefined || !binds || interpolate(text, look.variables).startsWith('/')) return
  refuse(
    look,
    device,
    `volumes.${name}.driver_opts.device`,
    'expected an absolute path: data does not live in the checkout',
  )
}

function variablesIn(look: Look): void {
  for (const { key, node, text } of valuesOf(look.document)) {
    for (const name of unknownVariables(text, look.variables)) {
      const [start = 0, end = start] = node.range ?? []
      const within = look.source.text.slice(start, end).search(new RegExp(`\\$\\{?${name}\\b`))
      const message = `the variable ${name} is neither in variables of host.yaml nor has a default, expected one of them`
      look.found.findings.push(findingAtOffset(look.source, start + Math.max(within, 0), key, message))
    }
  }
}

const sections: Record<string, (look: Look, entry: Entry) => void> = {
  services: service,
  volumes: volumeDevice,
  secrets: (look, entry) => secretOrConfig(look, 'secrets', entry),
  configs: (look, entry) => secretOrConfig(look, 'configs', entry),
}

/**
 * What can be said about a Compose file before Compose sees it: refused keys, unknown variables, and every path it
 * leads to. Pure; ../compose-sources.ts looks at the paths.
 * @param variables all that `${...}` may use; their values are never part of a message
 */
export function examine(source: ComposeSource, variables: Record<string, string>): Examined {
  const found: Examined = { findings: [], paths: [] }
  for (const document of source.documents) {
    const look = { source, document, variables, found }
    variablesIn(look)
    for (const { key, keyNode, value } of entriesOf(document, document.contents)) {
      if (key === 'include') include(look, value)
      if (key === 'models') refuse(look, keyNode, 'models', 'Samovar does not run models')
      const section = sections[key]
      if (section) for (const entry of entriesOf(document, value)) section(look, entry)
    }
  }
  return found
}
