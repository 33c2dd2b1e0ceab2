import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js'
import { SamovarError } from '../errors.ts'
import {
  compactTime,
  isPartName,
  keyOf,
  keyOfBackup,
  manifestName,
  parseKey,
  parseVerdictName,
} from './backup-id.ts'
import type { Manifest, Verification } from './manifest.ts'
import type { Store } from './store.ts'

/** Row counts of a hundred thousand tables fit; whatever is larger was not written by us. */
const longest = 16 * 1024 * 1024

/** Of this format; a manifest of a later one is for a later Samovar. */
const ownSchema = 1

type Validators = { manifest: ValidateFunction<Manifest>; verification: ValidateFunction<Verification> }

let compiled: Promise<Validators> | null = null

/**
 * Reads the manifest of one backup from one store.
 *
 * @param key `v1/<host>/<class>/<id>`
 * @throws SamovarError `not-found`, `store-failed`; `backup-damaged` when what lies there is not its manifest
 */
export async function readManifest(store: Store, key: string): Promise<Manifest> {
  const manifestKey = `${key}/${manifestName}`
  return parseManifest(await readText(store, manifestKey), manifestKey)
}

/** Reads one verification that lies beside a manifest; throws as `readManifest` does. */
export async function readVerification(store: Store, key: string): Promise<Verification> {
  return parseVerification(await readText(store, key), key)
}

/**
 * A small object as text, whoever wrote it.
 * @throws SamovarError `not-found`, `store-failed`, `backup-damaged` when it is longer than 16 MiB
 */
export async function readText(store: Store, key: string): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of (await store.get(key)) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    // Leaving the loop destroys the stream.
    if (bytes > longest) throw damaged(key, 'is longer than 16 MiB')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/**
 * Judges the text of a manifest. A store is not trusted: whoever can write to it could otherwise name a part
 * `../../etc/passwd`, or pass one host's data off as another's.
 *
 * @param key where it lay: `v1/<host>/<class>/<id>/manifest.json`
 * @throws SamovarError `backup-damaged`
 */
export async function parseManifest(text: string, key: string): Promise<Manifest> {
  const document = parsed(text, key)
  const { manifest: validate } = await validators()
  if (!validate(document)) throw damaged(key, faultOf(validate.errors))
  if (`${keyOfBackup(document)}/${manifestName}` !== key)
    throw damaged(key, `is the manifest of ${keyOfBackup(document)}`)
  const names = document.parts.map((part) => part.name)
  const twice = names.find((name, index) => names.indexOf(name) < index)
  if (twice !== undefined) throw damaged(key, `names the part ${twice} twice`)
  return document
}

/** Judges the text of a verification against where it lay. Throws as `parseManifest` does. */
export async function parseVerification(text: string, key: string): Promise<Verification> {
  const document = parsed(text, key)
  const { verification: validate } = await validators()
  if (!validate(document)) throw damaged(key, faultOf(validate.errors))
  const place = parseKey(key)
  const name = place === null ? null : parseVerdictName(place.name)
  const isOfKey =
    document.backup === place?.id &&
    document.level === name?.level &&
    compactTime(Date.parse(document.at)) === name.at
  if (place === null || !isOfKey) throw damaged(key, `is about another look, or another backup`)
  return document
}

/** The key that a verification of a manifest lies under. */
export const keyOfVerification = (manifest: Manifest, { at, level }: Verification): string =>
  keyOf(manifest, `verified-${compactTime(Date.parse(at))}-${level}.json`)

function parsed(text: string, key: string): object {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    throw damaged(key, 'is no JSON')
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw damaged(key, 'is no JSON document of ours')
  const schema = 'schema' in document ? document.schema : undefined
  if (typeof schema === 'number' && schema > ownSchema)
    throw new SamovarError(
      'backup-damaged',
      `${key} has format ${schema}, and this Samovar reads ${ownSchema}`,
      {
        next: 'A later version of Samovar made this backup: use that one, or a later one.',
      },
    )
  return document
}

/** Compiled at the first use: some tens of milliseconds that most verbs need not spend. */
function validators(): Promise<Validators> {
  compiled ??= compile()
  return compiled
}

async function compile(): Promise<Validators> {
  const [{ Ajv2020 }, manifest, verification] = await Promise.all([
    import('ajv/dist/2020.js'),
    import('../../schemas/manifest.schema.json', { with: { type: 'json' } }),
    import('../../schemas/verification.schema.json', { with: { type: 'json' } }),
  ])
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false })
  ajv.addFormat('utc-time', isTime)
  ajv.addFormat('part-name', isPartName)
  return {
    manifest: ajv.compile<Manifest>(manifest.default),
    verification: ajv.compile<Verification>(verification.default),
  }
}

const isTime = (text: string): boolean =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/.test(text) && !Number.isNaN(Date.parse(text))

/** Values are not shown: they are whatever a stranger wrote. */
function faultOf(errors: ErrorObject[] | null | undefined): string {
  const [error] = errors ?? []
  if (error === undefined) return 'is not as it should be'
  const place = error.instancePath.slice(1).replaceAll('/', '.').slice(0, 100)
  return `${place === '' ? 'it' : JSON.stringify(place)} ${error.message ?? 'is wrong'}`
}

const damaged = (key: string, what: string): SamovarError =>
  new SamovarError('backup-damaged', `${key}: ${what}`, {
    next: 'Use another store or another backup: `samovar backups` lists them.',
  })
