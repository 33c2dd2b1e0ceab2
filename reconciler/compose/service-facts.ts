import { type ComposeModel, serviceOf } from './model.ts'
import { nanosecondsOf } from './quantities.ts'

export type DependencyCondition = 'service_started' | 'service_healthy' | 'service_completed_successfully'

export type Dependency = {
  service: string
  condition: DependencyCondition
  /** True when this service is to be restarted with the one it depends on. */
  restart: boolean
  /** False when this service may start without it. */
  required: boolean
}

function conditionOf(text: string): DependencyCondition {
  if (text === 'service_healthy' || text === 'service_completed_successfully') return text
  return 'service_started'
}

/** What a service waits for, by name; Compose has added the services whose namespaces it shares. */
export function dependencies(model: ComposeModel, service: string): Dependency[] {
  const named = Object.entries(serviceOf(model, service).depends_on ?? {})
  return named
    .map(([name, { condition, restart, required }]) => ({
      service: name,
      condition: conditionOf(condition),
      restart: restart ?? false,
      required: required ?? true,
    }))
    .sort((a, b) => (a.service < b.service ? -1 : 1))
}

/** Profiles of a service; one without any always runs. */
export function profiles(model: ComposeModel, service: string): string[] {
  return serviceOf(model, service).profiles ?? []
}

/** Keys of the named volumes that a service mounts. */
export function namedVolumes(model: ComposeModel, service: string): string[] {
  const mounts = (serviceOf(model, service).volumes ?? []).filter((mount) => mount.type === 'volume')
  return [...new Set(mounts.map((mount) => mount.source ?? '').filter((source) => source !== ''))]
}

/** The service in `service:NAME`, or null. */
export function sharedService(mode: string | undefined): string | null {
  return mode?.startsWith('service:') ? mode.slice('service:'.length) : null
}

/** The service whose network this one uses (`network_mode: service:NAME`), or null. */
export function networkModeService(model: ComposeModel, service: string): string | null {
  return sharedService(serviceOf(model, service).network_mode)
}

/**
 * Services whose network, processes or memory this one shares. Its container names theirs by id, so it has to be
 * created anew whenever one of them is.
 */
export function sharedServices(model: ComposeModel, service: string): string[] {
  const { network_mode, ipc, pid } = serviceOf(model, service)
  const shared = [network_mode, ipc, pid].map(sharedService).filter((name) => name !== null)
  return [...new Set(shared)].sort()
}

/** The name that Compose gives the container of a service. */
export function containerName(model: ComposeModel, service: string): string {
  return serviceOf(model, service).container_name ?? `${model.project}-${service}-1`
}

/** Seconds between the stop signal and the kill; 10 is the Engine's own when the model is silent. */
export function stopGrace(model: ComposeModel, service: string): number {
  const { stop_grace_period: grace } = serviceOf(model, service)
  return grace === undefined ? 10 : Math.trunc(nanosecondsOf(grace) / 1e9)
}

/** The platform to pull and create for, such as `linux/arm64`, or undefined for the engine's own. */
export function platform(model: ComposeModel, service: string): string | undefined {
  return serviceOf(model, service).platform
}

/** True when another service waits for the completion of this one: it is meant to end by itself. */
export function isWaitedFor(model: ComposeModel, service: string): boolean {
  return Object.keys(model.services).some((other) =>
    dependencies(model, other).some(
      (each) => each.service === service && each.condition === 'service_completed_successfully',
    ),
  )
}
