import type { ContainerBody } from '../engine/container-body.ts'
import { mountFields } from './mount-fields.ts'
import { endpointFields, portFields } from './network-fields.ts'
import type { EngineDefaults } from './settled-body.ts'

/** One body in Compose's words: field -> canonical text. Fields that say what the Engine does anyway are absent. */
export type Fields = Map<string, string>

type Value = unknown

/** Absent, null, false, 0, '', [] and {} are one and the same to the Engine. */
export function isNothing(value: Value): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

/** Canonical short text of any value: lists in their order, tables by name. */
export function textOfValue(value: Value): string {
  if (Array.isArray(value)) return value.map(textOfValue).join(', ')
  if (typeof value !== 'object' || value === null) return String(value)
  const entries = Object.entries(value).filter(([, entry]) => !isNothing(entry))
  return entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, entry]) => `${key}=${textOfValue(entry)}`)
    .join(' ')
}

/** Compose key -> key of HostConfig, where the value is the same in both. */
const plainHostFields: Record<string, string> = {
  annotations: 'Annotations',
  'blkio_config.weight': 'BlkioWeight',
  'blkio_config.weight_device': 'BlkioWeightDevice',
  'blkio_config.device_read_bps': 'BlkioDeviceReadBps',
  'blkio_config.device_read_iops': 'BlkioDeviceReadIOps',
  'blkio_config.device_write_bps': 'BlkioDeviceWriteBps',
  'blkio_config.device_write_iops': 'BlkioDeviceWriteIOps',
  cap_add: 'CapAdd',
  cap_drop: 'CapDrop',
  cgroup_parent: 'CgroupParent',
  cpu_period: 'CpuPeriod',
  cpu_quota: 'CpuQuota',
  cpu_rt_period: 'CpuRealtimePeriod',
  cpu_rt_runtime: 'CpuRealtimeRuntime',
  cpu_shares: 'CpuShares',
  cpus: 'NanoCpus',
  cpuset: 'CpusetCpus',
  device_cgroup_rules: 'DeviceCgroupRules',
  devices: 'Devices',
  'deploy.resources.reservations.devices': 'DeviceRequests',
  dns: 'Dns',
  dns_opt: 'DnsOptions',
  dns_search: 'DnsSearch',
  extra_hosts: 'ExtraHosts',
  group_add: 'GroupAdd',
  init: 'Init',
  mem_limit: 'Memory',
  mem_reservation: 'MemoryReservation',
  oom_kill_disable: 'OomKillDisable',
  oom_score_adj: 'OomScoreAdj',
  pid: 'PidMode',
  privileged: 'Privileged',
  read_only: 'ReadonlyRootfs',
  sysctls: 'Sysctls',
  storage_opt: 'StorageOpt',
  userns_mode: 'UsernsMode',
  uts: 'UTSMode',
  links: 'Links',
  volumes_from: 'VolumesFrom',
}

const unorderedFields = new Set(['cap_add', 'cap_drop', 'extra_hosts', 'group_add', 'devices'])

/** Cases of one word that both engines and people write in two ways. */
function capability(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '')
}

function hostValue(field: string, value: Value): Value {
  if (field === 'init') return value === null || value === undefined ? undefined : String(value)
  if (!Array.isArray(value) || !unorderedFields.has(field)) return value
  const texts = value.map((entry) =>
    field.startsWith('cap_') ? capability(String(entry)) : textOfValue(entry),
  )
  return texts.sort()
}

function restart(policy: ContainerBody['HostConfig']['RestartPolicy']): string {
  const name = policy?.Name || 'no'
  return name === 'on-failure' && policy?.MaximumRetryCount ? `${name}:${policy.MaximumRetryCount}` : name
}

function ulimits(value: Value): [string, string][] {
  const list = (value ?? []) as { Name: string; Soft: number; Hard: number }[]
  return list.map(({ Name, Soft, Hard }) => [`ulimits.${Name}`, `${Soft}:${Hard}`])
}

/** A log driver without options of its own, beside the options of the daemon. */
function logging(value: Value, defaults: EngineDefaults): string {
  const given = value as { Type?: string; Config?: Record<string, string> } | undefined
  const { Type, Config } = given?.Type ? given : defaults.logging
  return textOfValue({ driver: Type, ...Config })
}

/** Privileged containers and ones in the host's namespaces get `label=disable` from the Engine itself. */
function securityOptions(host: ContainerBody['HostConfig']): string[] {
  const options = (host['SecurityOpt'] ?? []) as string[]
  const isOpen = host['Privileged'] || host['PidMode'] === 'host' || host['IpcMode'] === 'host'
  const own = options.filter((option) => !(isOpen && option === 'label=disable'))
  const hidden = host['MaskedPaths'] as string[] | null | undefined
  const unconfined = !host['Privileged'] && Array.isArray(hidden) && hidden.length === 0
  return [
    ...own.map((option) => option.replace(':', '=').replace(/=true$/, '')),
    ...(unconfined ? ['systempaths=unconfined'] : []),
  ].sort()
}

/** The Engine gives as much swap again as there is memory. */
function swap(host: ContainerBody['HostConfig']): Value {
  const memory = Number(host['Memory'] ?? 0)
  return host['MemorySwap'] || (memory > 0 ? memory * 2 : 0)
}

function pids(value: Value): Value {
  return Number(value ?? 0) > 0 ? value : 0
}

function hostFields(host: ContainerBody['HostConfig'], defaults: EngineDefaults): [string, Value][] {
  const plain = Object.entries(plainHostFields).map(([field, key]): [string, Value] => [
    field,
    hostValue(field, host[key]),
  ])
  const swappiness = host['MemorySwappiness']
  return [
    ...plain,
    ...ulimits(host['Ulimits']),
    ['cgroup', host['CgroupnsMode'] || (defaults.cgroup ?? 'default')],
    ['ipc', host['IpcMode'] || defaults.ipc],
    ['logging', logging(host['LogConfig'], defaults)],
    ['mem_swappiness', swappiness === -1 ? undefined : swappiness],
    ['memswap_limit', swap(host)],
    ['pids_limit', pids(host['PidsLimit'])],
    ['restart', restart(host.RestartPolicy)],
    ['runtime', host['Runtime'] || defaults.runtime],
    ['security_opt', securityOptions(host)],
    ['shm_size', host['ShmSize'] || defaults.shmSize],
  ]
}

function environment(variables: string[] | undefined): [string, Value][] {
  return (variables ?? []).map((variable) => {
    const [name = '', value] = variable.split(/=(.*)/s)
    return [`environment.${name}`, value === undefined ? '(hidden)' : value === '' ? '""' : value]
  })
}

const managedLabels = /^(samovar|com\.docker\.compose)\./

function labels(all: Record<string, string>): [string, Value][] {
  const own = Object.entries(all).filter(([name]) => !managedLabels.test(name))
  return own.map(([name, value]) => [`labels.${name}`, value === '' ? '""' : value])
}

function seconds(nanoseconds: number | undefined): string | undefined {
  return nanoseconds ? `${nanoseconds / 1e9}s` : undefined
}

function healthcheck({ Healthcheck: check }: ContainerBody): [string, Value][] {
  if (!check) return []
  return [
    ['healthcheck.test', check.Test],
    ['healthcheck.interval', seconds(check.Interval)],
    ['healthcheck.timeout', seconds(check.Timeout)],
    ['healthcheck.retries', check.Retries],
    ['healthcheck.start_period', seconds(check.StartPeriod)],
    ['healthcheck.start_interval', seconds(check.StartInterval)],
  ]
}

const signalNumbers: Record<string, string> = {
  '1': 'HUP',
  '2': 'INT',
  '3': 'QUIT',
  '9': 'KILL',
  '15': 'TERM',
}

function signal(name: string | undefined): string {
  const plain = (name ?? '').toUpperCase().replace(/^SIG/, '') || 'TERM'
  return `SIG${signalNumbers[plain] ?? plain}`
}

function quoted(words: string[] | undefined): string[] | undefined {
  return words?.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word)))
}

/** Every field of a settled body, in Compose's words. */
export function fieldsOf(body: ContainerBody, defaults: EngineDefaults): Fields {
  const all: [string, Value][] = [
    ['command', quoted(body.Cmd)?.join(' ')],
    ['entrypoint', quoted(body.Entrypoint)?.join(' ')],
    ['hostname', body.Hostname],
    ['domainname', body.Domainname],
    ['user', body.User],
    ['working_dir', body.WorkingDir],
    ['tty', body.Tty],
    ['stdin_open', body.OpenStdin],
    ['stop_signal', signal(body.StopSignal)],
    ['stop_grace_period', `${body.StopTimeout ?? 10}s`],
    ['mac_address', body.MacAddress],
    ...environment(body.Env),
    ...labels(body.Labels),
    ...healthcheck(body),
    ...hostFields(body.HostConfig, defaults),
    ...mountFields(body),
    ...portFields(body),
    ...endpointFields(body),
  ]
  return new Map(
    all
      .filter(([, value]) => !isNothing(value))
      .map(([field, value]) => [field, textOfValue(value)] as const),
  )
}
