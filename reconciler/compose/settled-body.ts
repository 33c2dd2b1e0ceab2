import type { ContainerBody, HealthcheckBody, ImageDefaults } from '../engine/container-body.ts'

/** What an engine adds where a body is silent; `daemon.json` may change these. */
export type EngineDefaults = {
  shmSize: number
  /** `json-file` and no options unless the daemon says otherwise. */
  logging: { Type: string; Config: Record<string, string> }
  runtime: string
  ipc: string
  /** `private` with cgroup v2, `host` with v1; null accepts both. */
  cgroup: string | null
}

export const usualDefaults: EngineDefaults = {
  shmSize: 64 * 1024 * 1024,
  logging: { Type: 'json-file', Config: {} },
  runtime: 'runc',
  ipc: 'private',
  cgroup: null,
}

const healthcheckKeys = ['Interval', 'Timeout', 'Retries', 'StartPeriod', 'StartInterval'] as const

function mergedHealthcheck(
  own: HealthcheckBody | undefined,
  image: HealthcheckBody | null | undefined,
): HealthcheckBody | undefined {
  if (!image) return own
  if (!own) return image
  const merged: HealthcheckBody = { ...own }
  if (!own.Test || own.Test.length === 0) merged.Test = image.Test ?? []
  for (const key of healthcheckKeys) {
    const inherited = image[key]
    if (!merged[key] && inherited) merged[key] = inherited
  }
  return merged
}

function nameOf(variable: string): string {
  return variable.split('=', 1)[0] ?? variable
}

function mergedEnvironment(own: string[] = [], image: string[] | null = []): string[] {
  const named = new Set(own.map(nameOf))
  return [...own, ...(image ?? []).filter((variable) => !named.has(nameOf(variable)))]
}

/**
 * The body as the Engine settles it at creation with an image: moby merges variables, ports, volumes and labels by
 * name, the health check field by field, and takes the command only when neither command nor entry point is given.
 */
export function settledBody(body: ContainerBody, image: ImageDefaults | null): ContainerBody {
  if (image === null) return body
  const settled: ContainerBody = {
    ...body,
    Env: mergedEnvironment(body.Env, image.Env),
    Labels: { ...image.Labels, ...body.Labels },
    ExposedPorts: { ...image.ExposedPorts, ...body.ExposedPorts },
    Volumes: { ...image.Volumes, ...body.Volumes },
    WorkingDir: body.WorkingDir || image.WorkingDir || '',
    User: body.User || image.User || '',
    StopSignal: body.StopSignal || image.StopSignal || '',
  }
  if (!body.Entrypoint || body.Entrypoint.length === 0) {
    if (!body.Cmd || body.Cmd.length === 0) settled.Cmd = image.Cmd ?? []
    if (body.Entrypoint === undefined) settled.Entrypoint = image.Entrypoint ?? []
  }
  const healthcheck = mergedHealthcheck(body.Healthcheck, image.Healthcheck)
  if (healthcheck) settled.Healthcheck = healthcheck
  return settled
}
