import { targetOf } from './container-mounts.ts'
import type { ComposeFile, ComposeModel, ComposeService, FileReference, ServiceVolume } from './model.ts'
import { fileReferences, insideCheckout, keyOfFile, keyOfPath } from './mounted-sources.ts'
import { sharedService } from './service-facts.ts'

function written(mounted: Record<string, string>, key: string): string {
  const path = mounted[key]
  if (path === undefined) throw new Error(`nothing was written for ${key}`)
  return path
}

/**
 * A folder of the repository is mounted read-only whatever the file says, and never made up when it is missing;
 * only the way that makes it up can label it for SELinux.
 */
function renderedVolume(
  model: ComposeModel,
  volume: ServiceVolume,
  mounted: Record<string, string>,
): ServiceVolume {
  const path = volume.type === 'bind' ? insideCheckout(model, volume.source ?? '') : null
  if (path === null) return volume
  const bind = { ...volume.bind, create_host_path: volume.bind?.selinux !== undefined }
  return { ...volume, source: written(mounted, keyOfPath(path)), read_only: true, bind }
}

type Files = { references: FileReference[]; files: Record<string, ComposeFile> }

function renderedFiles(
  model: ComposeModel,
  kind: 'secret' | 'config',
  references: FileReference[],
  mounted: Record<string, string>,
): Files {
  const rendered: Files = { references: [], files: {} }
  for (const reference of references) {
    const key = keyOfFile(kind, reference)
    const source = key.slice(kind.length + 1).replaceAll(' ', '.')
    rendered.files[source] = { name: `${model.project}_${source}`, file: written(mounted, key) }
    rendered.references.push({
      source,
      target: targetOf(reference, kind === 'secret' ? '/run/secrets/' : '/'),
    })
  }
  return rendered
}

/**
 * The model as it is rolled out: images pinned, and every file of the repository at its content-addressed path.
 * Written by documentOf() it is what `docker compose -f STATE_DIR/compose.json up` finds nothing to do for.
 * @param pins by service: `name:tag@sha256:...`; a service without a pin keeps the image of its file
 * @param mounted by the key of a MountedSource: where it was written
 */
export function renderedModel(
  model: ComposeModel,
  pins: Record<string, { image: string }>,
  mounted: Record<string, string>,
): ComposeModel {
  const rendered: ComposeModel = { ...model, services: {}, secrets: {}, configs: {}, rest: {} }
  for (const [name, body] of Object.entries(model.services)) {
    const secrets = renderedFiles(model, 'secret', fileReferences(model, body, 'secret'), mounted)
    const configs = renderedFiles(model, 'config', fileReferences(model, body, 'config'), mounted)
    Object.assign(rendered.secrets, secrets.files)
    Object.assign(rendered.configs, configs.files)
    const service: ComposeService = { ...body }
    const pin = pins[name]
    if (pin) service.image = pin.image
    if (body.volumes) service.volumes = body.volumes.map((volume) => renderedVolume(model, volume, mounted))
    if (body.secrets) service.secrets = secrets.references
    if (body.configs) service.configs = configs.references
    rendered.services[name] = service
  }
  return rendered
}

/**
 * The model with `service:NAME` replaced by the container, where one is named: what Compose computes its hash of
 * such a service over.
 * @param containers by service: the id of its container
 */
export function withContainers(model: ComposeModel, containers: Record<string, string>): ComposeModel {
  const resolve = (mode: string | undefined): string | undefined => {
    const container = containers[sharedService(mode) ?? '']
    return container === undefined ? mode : `container:${container}`
  }
  const services = Object.entries(model.services).map(([name, body]): [string, ComposeService] => {
    const resolved = { ...body }
    for (const key of ['network_mode', 'ipc', 'pid'] as const) {
      const mode = resolve(body[key])
      if (mode !== undefined) resolved[key] = mode
    }
    return [name, resolved]
  })
  return { ...model, services: Object.fromEntries(services) }
}
