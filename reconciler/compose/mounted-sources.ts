import type { ComposeFile, ComposeModel, ComposeService, FileReference } from './model.ts'
import { modeOf } from './quantities.ts'

/**
 * A file or folder of the repository, or a text of the model, that containers mount. It is written once into a
 * content-addressed folder, so that a change of it is a change of the model: files by ../mounted-files.ts, texts, which
 * may hold secrets, by ../secrets/secret-files.ts.
 */
export type MountedSource = {
  /** Names the source within one model; renderedModel() finds the written path by it. */
  key: string
  /** What it is called in its folder. */
  name: string
  /** Relative to the checkout, or the text itself. */
  from: { path: string } | { content: string }
  /** Of secrets and configs that say so; others keep what the repository says, without write permission. */
  mode?: number
  uid?: number
  gid?: number
}

/** The path below the checkout, or null for a path of the host. */
export function insideCheckout(model: ComposeModel, path: string): string | null {
  if (path === model.directory) return '.'
  return path.startsWith(`${model.directory}/`) ? path.slice(model.directory.length + 1) : null
}

export function keyOfPath(path: string): string {
  return `path ${path}`
}

/** Compose ignores owner and mode of file secrets; here each wish gets a file of its own. */
export function keyOfFile(kind: 'secret' | 'config', reference: FileReference): string {
  const wish = [modeOf(reference.mode)?.toString(8), reference.uid, reference.gid]
  return [
    kind,
    reference.source,
    ...(wish.some((part) => part !== undefined) ? wish.map((part) => part ?? '') : []),
  ].join(' ')
}

/**
 * What a service mounts of one kind. A secret that is a text belongs to the numeric user of the service when it does not
 * say whose it is: nobody else may read it.
 */
export function fileReferences(
  model: ComposeModel,
  body: ComposeService,
  kind: 'secret' | 'config',
): FileReference[] {
  const references = body[`${kind}s`] ?? []
  const [, uid, gid = '0'] = /^(\d+)(?::(\d+))?$/.exec(body.user ?? '') ?? []
  if (kind === 'config' || uid === undefined) return references
  return references.map((reference) => {
    const isText = model.secrets[reference.source]?.file === undefined
    const isOwned = reference.uid !== undefined || reference.gid !== undefined
    return isText && !isOwned ? { ...reference, uid, gid } : reference
  })
}

/** Readable for its owner alone, where Compose would have everybody read it. */
const secretMode = 0o600

function lastName(path: string): string {
  return path === '.' ? 'repository' : path.slice(path.lastIndexOf('/') + 1)
}

function fileSource(
  model: ComposeModel,
  kind: 'secret' | 'config',
  reference: FileReference,
  file: ComposeFile,
): MountedSource {
  const path = file.file === undefined ? null : insideCheckout(model, file.file)
  const mode = modeOf(reference.mode) ?? (kind === 'secret' && path === null ? secretMode : undefined)
  return {
    key: keyOfFile(kind, reference),
    name: path === null ? reference.source : lastName(path),
    from: path === null ? { content: file.content ?? '' } : { path },
    ...(mode !== undefined && { mode }),
    ...(reference.uid && { uid: Number(reference.uid) }),
    ...(reference.gid && { gid: Number(reference.gid) }),
  }
}

/** Everything of the repository and of the model that one service mounts, each once, in a stable order. */
export function mountedSources(model: ComposeModel, service: string): MountedSource[] {
  const body = model.services[service] ?? {}
  const binds = (body.volumes ?? [])
    .filter((volume) => volume.type === 'bind')
    .map((volume) => insideCheckout(model, volume.source ?? ''))
    .filter((path) => path !== null)
    .map((path): MountedSource => ({ key: keyOfPath(path), name: lastName(path), from: { path } }))
  const files = (['secret', 'config'] as const).flatMap((kind) =>
    fileReferences(model, body, kind).map((reference) =>
      fileSource(model, kind, reference, model[`${kind}s`][reference.source] ?? { name: '' }),
    ),
  )
  const each = new Map([...binds, ...files].map((source) => [source.key, source]))
  return [...each.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
}

/** The mounted sources of every service of the model, each once. */
export function allMountedSources(model: ComposeModel): MountedSource[] {
  const all = Object.keys(model.services).flatMap((service) => mountedSources(model, service))
  return [...new Map(all.map((source) => [source.key, source])).values()]
}
