import type { ContainerBody, HealthcheckBody } from '../engine/container-body.ts'
import { SamovarError } from '../errors.ts'
import { mountsOf } from './container-mounts.ts'
import { endpoints, exposedPorts, portBindings, primaryNetwork } from './container-networks.ts'
import { resources, restartPolicy, securityOptions } from './container-resources.ts'
import { engineRefusals } from './judgement.ts'
import { type ComposeModel, type ComposeService, serviceOf } from './model.ts'
import { isAtLeast, nanosecondsOf, numberOf } from './quantities.ts'
import { dependencies, sharedService, stopGrace } from './service-facts.ts'

/** What a container needs beside the model. */
export type ContainerContext = {
  /** `name:tag@sha256:...`, the same text that the rendered model has. */
  image: string
  /** Id of that image in the local engine; Compose compares it to see whether a container is up to date. */
  imageId: string
  /** From configHashes() over the rendered model. */
  configHash: string
  /** Absolute path of the rendered model, as `docker compose -f` would be given it. */
  renderedFile: string
  /** Container ids of the services whose namespaces this one shares. */
  containers: Record<string, string>
  /** As the Engine says it, such as `1.41`. */
  apiVersion: string
}

/** Compose's own labels on a container, as version 2.26 to 5 writes them. */
export function composeLabels(
  model: ComposeModel,
  service: string,
  context: Pick<ContainerContext, 'imageId' | 'configHash' | 'renderedFile'>,
): Record<string, string> {
  const waitsFor = dependencies(model, service).map((one) => `${one.service}:${one.condition}:${one.restart}`)
  const labels = {
    'config-hash': context.configHash,
    'container-number': '1',
    depends_on: waitsFor.join(','),
    image: context.imageId,
    oneoff: 'False',
    project: model.project,
    'project.config_files': context.renderedFile,
    'project.working_dir': context.renderedFile.replace(/\/[^/]*$/, '') || '/',
    service,
    version: model.composeVersion,
  }
  return Object.fromEntries(Object.entries(labels).map(([key, text]) => [`com.docker.compose.${key}`, text]))
}

function healthcheckOf({ healthcheck }: ComposeService): HealthcheckBody | undefined {
  if (healthcheck === undefined) return undefined
  const { test, interval, timeout, retries, start_period, start_interval, disable } = healthcheck
  const body: HealthcheckBody = {}
  if (disable) body.Test = ['NONE']
  else if (test !== undefined) body.Test = test
  if (interval !== undefined) body.Interval = nanosecondsOf(interval)
  if (timeout !== undefined) body.Timeout = nanosecondsOf(timeout)
  if (retries !== undefined) body.Retries = retries
  if (start_period !== undefined) body.StartPeriod = nanosecondsOf(start_period)
  if (start_interval !== undefined) body.StartInterval = nanosecondsOf(start_interval)
  return body
}

/** A variable without a value hides the one of the image, so it stays in the list without `=`. */
function environmentOf({ environment }: ComposeService): string[] {
  return Object.entries(environment ?? {}).map(([name, value]) =>
    value === null ? name : `${name}=${value}`,
  )
}

/** `service:NAME` as the Engine wants it: the container of that service. */
function sharedNamespace(mode: string | undefined, containers: Record<string, string>): string | undefined {
  const shared = sharedService(mode)
  if (shared === null) return mode
  const container = containers[shared]
  if (container === undefined) {
    throw new SamovarError('not-found', `there is no container of ${shared} whose namespace can be shared`)
  }
  return `container:${container}`
}

function hostConfigOf(
  model: ComposeModel,
  service: string,
  context: ContainerContext,
): ContainerBody['HostConfig'] {
  const body = serviceOf(model, service)
  const security = securityOptions(body)
  const all: Record<string, unknown> = {
    ...mountsOf(model, body),
    ...resources(body),
    Annotations: body.annotations,
    CapAdd: body.cap_add,
    CapDrop: body.cap_drop,
    CgroupnsMode: body.cgroup,
    Dns: body.dns,
    DnsOptions: body.dns_opt,
    DnsSearch: body.dns_search,
    ExtraHosts: body.extra_hosts?.map((entry) => entry.replace(/[=:]/, ':')),
    GroupAdd: body.group_add?.map(String),
    Init: body.init,
    IpcMode: sharedNamespace(body.ipc, context.containers),
    LogConfig: body.logging && { Type: body.logging.driver ?? '', Config: body.logging.options ?? {} },
    NetworkMode: sharedNamespace(body.network_mode, context.containers) ?? primaryNetwork(model, body),
    OomScoreAdj: body.oom_score_adj,
    PidMode: sharedNamespace(body.pid, context.containers),
    PortBindings: portBindings(body),
    Privileged: body.privileged,
    ReadonlyRootfs: body.read_only,
    RestartPolicy: restartPolicy(body),
    Runtime: body.runtime,
    SecurityOpt: security.options,
    MaskedPaths: security.unconfined ? [] : undefined,
    ReadonlyPaths: security.unconfined ? [] : undefined,
    ShmSize: body.shm_size === undefined ? undefined : numberOf(body.shm_size),
    StorageOpt: body.storage_opt,
    Sysctls:
      body.sysctls && Object.fromEntries(Object.entries(body.sysctls).map(([key, to]) => [key, String(to)])),
    UsernsMode: body.userns_mode,
    UTSMode: body.uts,
  }
  return given(all)
}

/** Leaves out what is undefined, so that a body can be compared and printed. */
function given<Shape extends object>(shape: Shape): Shape {
  return Object.fromEntries(Object.entries(shape).filter(([, value]) => value !== undefined)) as Shape
}

/** Before API 1.44 the address of the network card belongs to the container, later to its endpoint. */
function oldMacAddress(body: ComposeService, apiVersion: string): string | undefined {
  if (isAtLeast(apiVersion, '1.44')) return undefined
  const ofNetworks = Object.values(body.networks ?? {}).map((network) => network?.mac_address)
  return body.mac_address ?? ofNetworks.find((address) => address !== undefined)
}

/**
 * The body of `POST /containers/create` for a service: the container that `docker compose create` would make of the
 * rendered model. Samovar's own labels are the caller's. Throws `compose-refused` for what this engine is too old
 * for and `not-found` when a container whose namespace is shared is not named in the context.
 */
export function containerBody(
  model: ComposeModel,
  service: string,
  context: ContainerContext,
): ContainerBody {
  const [refusal] = engineRefusals(model, service, context.apiVersion)
  if (refusal) throw new SamovarError('compose-refused', `${refusal.path.join('.')}: ${refusal.reason}`)
  const body = serviceOf(model, service)
  const endpointsConfig = endpoints(model, service, context.apiVersion)
  const all = {
    Image: context.image,
    Hostname: body.hostname,
    Domainname: body.domainname,
    User: body.user,
    Env: environmentOf(body),
    Cmd: body.command ?? undefined,
    Entrypoint: body.entrypoint ?? undefined,
    WorkingDir: body.working_dir,
    Labels: { ...body.labels, ...composeLabels(model, service, context) },
    ExposedPorts: exposedPorts(body),
    Tty: body.tty,
    OpenStdin: body.stdin_open,
    AttachStdout: true,
    AttachStderr: true,
    StopSignal: body.stop_signal,
    StopTimeout: body.stop_grace_period === undefined ? undefined : stopGrace(model, service),
    Healthcheck: healthcheckOf(body),
    MacAddress: oldMacAddress(body, context.apiVersion),
    NetworkingConfig: endpointsConfig && { EndpointsConfig: endpointsConfig },
    HostConfig: hostConfigOf(model, service, context),
  }
  return given(all) as ContainerBody
}
