import type { ComposeModel, ComposeService, ServiceVolume } from './model.ts'
import { isAtLeast } from './quantities.ts'
import { type Refusal, unknownKeys } from './refusals.ts'

const mountTypes = ['bind', 'volume', 'tmpfs']
const conditions = ['service_started', 'service_healthy', 'service_completed_successfully']

function volumeRefusals(service: string, volumes: ServiceVolume[]): Refusal[] {
  return volumes.flatMap((volume, index) =>
    mountTypes.includes(volume.type)
      ? []
      : [
          {
            path: ['services', service, 'volumes', String(index), 'type'],
            reason: `a mount of type ${volume.type} is not supported; use bind, volume or tmpfs`,
          },
        ],
  )
}

function deployRefusals(service: string, body: ComposeService): Refusal[] {
  const found: Refusal[] = []
  const { mode, replicas } = body.deploy ?? {}
  if (mode !== undefined && mode !== 'replicated') {
    found.push({ path: ['services', service, 'deploy', 'mode'], reason: `mode ${mode} is for Swarm only` })
  }
  if (replicas !== undefined && replicas !== 1) {
    const reason = `Samovar runs one container of each service, not ${replicas}`
    found.push({ path: ['services', service, 'deploy', 'replicas'], reason })
  }
  return found
}

/** A profile is a file that Compose reads at the moment of creation: it would escape the content-addressed folder. */
function securityRefusals(service: string, options: string[]): Refusal[] {
  return options.flatMap((option, index) => {
    const path = ['services', service, 'security_opt', String(index)]
    const [name, value] = option.split(/[=:](.*)/s)
    if (name !== 'no-new-privileges' && value === undefined) return [{ path, reason: 'expected NAME=VALUE' }]
    if (name !== 'seccomp' || value === 'unconfined' || value === 'builtin') return []
    return [
      { path, reason: 'a seccomp profile from a file is not supported; use unconfined, or the default' },
    ]
  })
}

function serviceRefusals(service: string, body: ComposeService): Refusal[] {
  const found = [
    ...volumeRefusals(service, body.volumes ?? []),
    ...deployRefusals(service, body),
    ...securityRefusals(service, body.security_opt ?? []),
  ]
  if (!body.image) {
    found.push({ path: ['services', service, 'image'], reason: 'every service needs an image' })
  }
  for (const [name, { condition }] of Object.entries(body.depends_on ?? {})) {
    if (conditions.includes(condition)) continue
    const path = ['services', service, 'depends_on', name, 'condition']
    found.push({ path, reason: `expected one of ${conditions.join(', ')}` })
  }
  return found
}

/** Everything about the model that Samovar cannot express, whatever the engine is. */
export function refusals(model: ComposeModel): Refusal[] {
  const judged = Object.entries(model.services).flatMap(([name, body]) => serviceRefusals(name, body))
  return [...unknownKeys(model), ...judged]
}

/**
 * What this engine is too old for. Compose would refuse some of these and let the Engine drop the others.
 * @param apiVersion as the Engine says it, such as `1.41`
 */
export function engineRefusals(model: ComposeModel, service: string, apiVersion: string): Refusal[] {
  const body = model.services[service] ?? {}
  const networks = Object.entries(body.networks ?? {})
  const volumes = body.volumes ?? []
  const found: Refusal[] = []
  const need = (used: boolean, version: string, ...path: string[]): void => {
    if (!used || isAtLeast(apiVersion, version)) return
    const reason = `it needs Engine API ${version} or later, this engine has ${apiVersion}`
    found.push({ path: ['services', service, ...path], reason })
  }
  need(body.healthcheck?.start_interval !== undefined, '1.44', 'healthcheck', 'start_interval')
  need(Object.keys(body.annotations ?? {}).length > 0, '1.43', 'annotations')
  need(
    volumes.some((volume) => volume.volume?.subpath),
    '1.45',
    'volumes',
  )
  need(
    volumes.some((volume) => volume.bind?.recursive),
    '1.44',
    'volumes',
  )
  need(
    networks.some(([, entry]) => entry?.gw_priority),
    '1.48',
    'networks',
  )
  need(networks.filter(([, entry]) => entry?.mac_address).length > 1, '1.44', 'networks')
  return found
}
