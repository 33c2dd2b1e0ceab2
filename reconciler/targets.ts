import { createHmac } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { secretFieldsOf } from './compose/configuration-differences.ts'
import { containerBody } from './compose/container-body.ts'
import { type ComposeModel, documentOf } from './compose/model.ts'
import { allMountedSources, type MountedSource, mountedSources } from './compose/mounted-sources.ts'
import { renderedModel } from './compose/rendered-model.ts'
import {
  containerName,
  dependencies,
  isWaitedFor,
  profiles,
  sharedServices,
} from './compose/service-facts.ts'
import { type ComposeCommand, configHashes } from './compose-config.ts'
import { composeFilePath } from './compose-file.ts'
import { dataProblem } from './data-of.ts'
import type { MissingSecret } from './desired-state/variables.ts'
import type { ServicePolicy } from './desired-state.ts'
import type { ContainerBody } from './engine/container-body.ts'
import { type Engine, samovarLabels } from './engine/engine.ts'
import { sentenceOf } from './errors.ts'
import { hostKey } from './host-key.ts'
import type { Journal } from './journal.ts'
import type { Loaded } from './load.ts'
import { addressed, materialise } from './mounted-files.ts'
import { type Pinned, pinnedImages, referenceOf } from './pinned-images.ts'
import type { Target } from './plan/target.ts'
import { secretsIn } from './secrets/changed.ts'
import { lacksSecret, missingFor, missingSecretProblem } from './secrets/missing.ts'
import { writeSecret } from './secrets/secret-files.ts'

/** The services of one commit on this engine, and the making of their containers. */
export type Targets = {
  list: Target[]
  policies: Record<string, ServicePolicy>
  model: ComposeModel
  /** Secrets that host.yaml names and this host does not have; the services that use them have a problem. */
  missing: readonly MissingSecret[]
  /** Services that cannot be made since a secret is missing. */
  lacking: ReadonlySet<string>
  /** Writes what containers find their secrets in where it is not there any more. */
  writeSecrets(): Promise<void>
  /** The container that a service would be made with now. */
  body(service: string, imageId: string, containers: Record<string, string>): Promise<ContainerBody>
}

type TargetParts = {
  engine: Engine
  compose: ComposeCommand
  journal: Journal
  stateDir: string
  secretsDir: string
  now: () => number
}

/**
 * Pins every image by digest, writes the files that containers mount and the rendered Compose model, and computes
 * what each service is to be. A tag that cannot be resolved makes a problem of that service, never of the others.
 *
 * @param onPaper the images of a commit that is only looked at: no registry is asked and nothing is written, and no
 *   container can be made, since the bodies lack Compose's own hash
 */
export async function targetsOf(
  parts: TargetParts,
  loaded: Loaded,
  onPaper?: { images: Map<string, Pinned> },
): Promise<Targets> {
  const { engine, journal, stateDir, secretsDir } = parts
  const { missing, values } = loaded.resolved
  const images = onPaper?.images ?? (await pinnedImages(parts, loaded))
  const key = hostKey(stateDir)
  const place = { directory: loaded.root, stateDir, secretsDir, key }
  const sources = allMountedSources(loaded.model)
  // What waits for a secret is not written with something else in place of it.
  const isWritten = (each: MountedSource): boolean => onPaper === undefined && !lacksSecret(each, missing)
  const written = sources.filter(isWritten)
  const others = sources.filter((each) => !isWritten(each))
  const mounted = {
    ...(await addressed(others, place)),
    ...(onPaper === undefined ? await materialise(written, place) : {}),
  }
  const pins = Object.fromEntries(
    [...images].map(([service, { image }]) => [service, { image: referenceOf(image) }]),
  )
  const model = renderedModel(loaded.model, pins, mounted)
  const renderedFile = composeFilePath(stateDir)
  const { apiVersion } = await engine.capabilities()
  const local = new Map(journal.images().map((image) => [image.digest, image.id]))
  const bodyWith = (
    service: string,
    about: { imageId: string; configHash: string; containers: Record<string, string> },
  ) =>
    containerBody(model, service, { ...about, image: pins[service]?.image ?? '', renderedFile, apiVersion })

  const list = Object.keys(loaded.state.services).map((service): Target => {
    const found = images.get(service)
    const policy = loaded.state.services[service] as ServicePolicy
    const shares = sharedServices(model, service)
    const placeholders = Object.fromEntries(shares.map((name) => [name, `service:${name}`]))
    let problem = missingSecretProblem(loaded, service) ?? found?.problem ?? dataProblem(loaded, service)
    let configuration = ''
    try {
      const body = bodyWith(service, { imageId: '', configHash: '', containers: placeholders })
      configuration = configurationOf(body, key)
    } catch (error) {
      problem ??= sentenceOf(error)
    }
    return {
      service,
      containerName: containerName(model, service),
      image: found?.image ?? { name: policy.image, tag: policy.tag, digest: '' },
      imageId: local.get(found?.image.digest ?? '') ?? null,
      configuration,
      dependsOn: dependencies(model, service),
      shares,
      endsByItself: isWaitedFor(model, service),
      onDemand: profiles(model, service).length > 0,
      window: policy.update.window,
      problem,
    }
  })
  const configurations = new Map(list.map((target) => [target.service, target.configuration]))
  const hashOf = onPaper === undefined ? hashesOf(parts.compose, model, stateDir) : async () => ''
  return {
    list,
    policies: loaded.state.services,
    model,
    missing,
    lacking: new Set(
      Object.keys(loaded.model.services).filter((service) => missingFor(loaded, service).length > 0),
    ),
    async writeSecrets() {
      for (const source of written) if ('content' in source.from) await writeSecret(source, place)
    },
    async body(service, imageId, all) {
      const shares = sharedServices(model, service)
      const containers = Object.fromEntries(Object.entries(all).filter(([name]) => shares.includes(name)))
      const configHash = await hashOf(service, containers)
      const body = bodyWith(service, { imageId, configHash, containers })
      body.Labels[samovarLabels.configuration] = configurations.get(service) ?? ''
      const secretFields = secretFieldsOf(body, loaded.secrets)
      if (secretFields.length > 0) body.Labels[samovarLabels.secretFields] = secretFields.join(',')
      const secrets = secretsIn([body, mountedSources(loaded.model, service)], { values, key })
      if (secrets !== '') body.Labels[samovarLabels.secrets] = secrets
      body.Labels[samovarLabels.image] = pins[service]?.image ?? ''
      return body
    },
  }
}

/** Without image and Compose's own labels: those change with every version and are judged for themselves. */
function configurationOf(body: ContainerBody, key: string): string {
  const labels = Object.entries(body.Labels).filter(([name]) => !name.startsWith('com.docker.compose.'))
  const plain = {
    ...body,
    Image: '',
    Labels: Object.fromEntries(labels.sort(([a], [b]) => (a < b ? -1 : 1))),
  }
  return createHmac('sha256', key).update(JSON.stringify(plain)).digest('hex').slice(0, 32)
}

/**
 * Compose's hash of every service, so that `docker compose up` finds nothing to do. Asked of Compose itself, once for
 * the same model and the same shared containers, and only when a container is really made. The file it reads is its
 * own: a look at a newer commit must not change it meanwhile.
 */
function hashesOf(compose: ComposeCommand, model: ComposeModel, stateDir: string) {
  const known = new Map<string, Promise<Record<string, string>>>()
  const ask = async (containers: Record<string, string>): Promise<Record<string, string>> => {
    const folder = await mkdtemp(join(stateDir, 'hashes-'))
    try {
      const file = join(folder, 'compose.json')
      await writeFile(file, JSON.stringify(documentOf(model)), { mode: 0o600 })
      return await configHashes(compose, file, { model, containers })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  return async (service: string, containers: Record<string, string>): Promise<string> => {
    const name = JSON.stringify(containers)
    const answer = known.get(name) ?? ask(containers)
    known.set(name, answer)
    return (await answer)[service] ?? ''
  }
}
