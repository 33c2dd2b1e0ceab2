import { portsOf } from '../../reconciler/compose/container-networks.ts'

type Json = null | string | number | boolean | Json[] | { [key: string]: Json }

const differsAlways = new Set([
  'Id',
  'Created',
  'State',
  'ResolvConfPath',
  'HostnamePath',
  'HostsPath',
  'LogPath',
  'GraphDriver',
  'NetworkID',
  // The Engine fills this in at the start; what is wished is in IPAMConfig. Compose writes the wish into both.
  'IPAddress',
])

/** Lists whose order is random in Compose, since they come from a Go map. */
const unordered = new Set(['Env', 'Binds', 'Mounts', 'Ulimits', 'ExtraHosts'])

function plain(value: Json, key: string, ids: Map<string, string>): Json {
  if (typeof value === 'string') {
    let text = value
    for (const [id, name] of ids) text = text.replaceAll(id, name).replaceAll(id.slice(0, 12), name)
    if (key === 'com.docker.compose.depends_on') return text.split(',').sort().join(',')
    return text.replaceAll(/\b[0-9a-f]{64}\b/g, '<anonymous>')
  }
  if (Array.isArray(value)) {
    const list = value.map((entry) => plain(entry, '', ids))
    return unordered.has(key) ? list.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : list
  }
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).filter(([name]) => !differsAlways.has(name))
  const sorted = entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, entry]) => [name, plain(entry, name, ids)])
  return Object.fromEntries(sorted.filter(([, entry]) => !isEmpty(entry as Json)))
}

function isEmpty(value: Json): boolean {
  return value === null || (typeof value === 'object' && Object.keys(value).length === 0)
}

/**
 * An inspect without what differs between any two containers (ids, times), with lists of random order sorted.
 * Compose 2.26 sends exposed ports as they are written (`7000`, `7001-7003`), later ones as the Engine writes them
 * (`7000/tcp`, each); Samovar does the latter.
 * @param ids container id -> what to call it
 */
export function comparable(inspect: object, ids: Map<string, string>): Json {
  const copy = structuredClone(inspect) as {
    Config: { ExposedPorts?: Record<string, object> | null }
    HostConfig: { RestartPolicy?: { Name?: string } }
  }
  const ports = Object.keys(copy.Config.ExposedPorts ?? {}).flatMap(portsOf)
  copy.Config.ExposedPorts = Object.fromEntries(ports.map((port) => [port, {}]))
  const restart = copy.HostConfig.RestartPolicy
  if (restart && restart.Name === '') restart.Name = 'no'
  return plain(copy as unknown as Json, '', ids)
}
