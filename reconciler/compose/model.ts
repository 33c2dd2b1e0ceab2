/**
 * The canonical model that `docker compose config --format json` prints, as far as Samovar maps it. Compose writes
 * every `$` as `$$` there; the values in these types are the real ones. Keys that are not named here are refused
 * by refusals.ts, so the types need not know them.
 */
export type ComposeModel = {
  project: string
  /** Version of the Compose that read the files, such as `2.26.1`. */
  composeVersion: string
  /** Checkout root, absolute; paths below it are files of the repository. */
  directory: string
  services: Record<string, ComposeService>
  networks: Record<string, ComposeNetwork>
  volumes: Record<string, ComposeVolume>
  secrets: Record<string, ComposeFile>
  configs: Record<string, ComposeFile>
  /** Everything else that stands at the top level (`name` and `x-` keys). */
  rest: Record<string, unknown>
}

export type ComposeService = {
  annotations?: Record<string, string>
  blkio_config?: BlockIo
  cap_add?: string[]
  cap_drop?: string[]
  cgroup?: string
  cgroup_parent?: string
  command?: string[] | null
  configs?: FileReference[]
  container_name?: string
  cpu_period?: number | string
  cpu_quota?: number | string
  cpu_rt_period?: number | string
  cpu_rt_runtime?: number | string
  cpu_shares?: number | string
  cpus?: number | string
  cpuset?: string
  depends_on?: Record<string, { condition: string; restart?: boolean; required?: boolean }>
  deploy?: Deploy
  device_cgroup_rules?: string[]
  devices?: (string | { source: string; target?: string; permissions?: string })[]
  dns?: string[]
  dns_opt?: string[]
  dns_search?: string[]
  domainname?: string
  entrypoint?: string[] | null
  environment?: Record<string, string | null>
  expose?: (string | number)[]
  extra_hosts?: string[]
  group_add?: (string | number)[]
  healthcheck?: Healthcheck
  hostname?: string
  image?: string
  init?: boolean
  ipc?: string
  labels?: Record<string, string>
  logging?: { driver?: string; options?: Record<string, string> }
  mac_address?: string
  mem_limit?: number | string
  mem_reservation?: number | string
  mem_swappiness?: number | string
  memswap_limit?: number | string
  network_mode?: string
  networks?: Record<string, ServiceNetwork | null>
  oom_kill_disable?: boolean
  oom_score_adj?: number
  pid?: string
  pids_limit?: number | string
  platform?: string
  ports?: Port[]
  privileged?: boolean
  profiles?: string[]
  read_only?: boolean
  restart?: string
  runtime?: string
  secrets?: FileReference[]
  security_opt?: string[]
  shm_size?: number | string
  stdin_open?: boolean
  stop_grace_period?: string
  stop_signal?: string
  storage_opt?: Record<string, string>
  sysctls?: Record<string, string | number>
  tmpfs?: string[]
  tty?: boolean
  ulimits?: Record<string, number | { soft?: number; hard?: number }>
  user?: string
  userns_mode?: string
  uts?: string
  volumes?: ServiceVolume[]
  working_dir?: string
}

export type BlockIo = {
  weight?: number
  weight_device?: { path: string; weight: number }[]
  device_read_bps?: BlockRate[]
  device_read_iops?: BlockRate[]
  device_write_bps?: BlockRate[]
  device_write_iops?: BlockRate[]
}
export type BlockRate = { path: string; rate: number | string }

export type Deploy = {
  mode?: string
  replicas?: number
  resources?: {
    limits?: { cpus?: number | string; memory?: number | string; pids?: number | string }
    reservations?: { memory?: number | string; devices?: DeviceReservation[] }
  }
  restart_policy?: { condition?: string; max_attempts?: number }
}

export type DeviceReservation = {
  capabilities?: string[]
  count?: number | string
  device_ids?: string[]
  driver?: string
  options?: Record<string, string>
}

export type FileReference = {
  source: string
  target?: string
  uid?: string
  gid?: string
  mode?: number | string
}

/** Durations as Go prints them, such as `1m30s`. */
export type Healthcheck = {
  test?: string[]
  interval?: string
  timeout?: string
  retries?: number
  start_period?: string
  start_interval?: string
  disable?: boolean
}

export type Port = {
  mode?: string
  host_ip?: string
  target: number
  published?: string | number
  protocol?: string
}

export type ServiceNetwork = {
  aliases?: string[]
  ipv4_address?: string
  ipv6_address?: string
  link_local_ips?: string[]
  mac_address?: string
  driver_opts?: Record<string, string>
  gw_priority?: number
  priority?: number
}

export type ServiceVolume = {
  type: string
  source?: string
  target: string
  read_only?: boolean
  bind?: { propagation?: string; create_host_path?: boolean; selinux?: string; recursive?: string }
  volume?: { nocopy?: boolean; subpath?: string; labels?: Record<string, string> }
  tmpfs?: { size?: number | string; mode?: number | string }
}

export type ComposeNetwork = {
  name: string
  driver?: string
  driver_opts?: Record<string, string>
  ipam?: {
    driver?: string
    config?: {
      subnet?: string
      ip_range?: string
      gateway?: string
      aux_addresses?: Record<string, string>
    }[]
    options?: Record<string, string>
  }
  internal?: boolean
  attachable?: boolean
  enable_ipv6?: boolean
  external?: boolean
  labels?: Record<string, string>
}

export type ComposeVolume = {
  name: string
  driver?: string
  driver_opts?: Record<string, string>
  external?: boolean
  labels?: Record<string, string>
}

/** A secret or a configuration file: exactly one of file, content, environment. */
export type ComposeFile = { name: string; file?: string; content?: string; environment?: string }

/** Rewrites every text and every key of a JSON value. */
function rewrite(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return value.map((entry) => rewrite(entry, change))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [change(key), rewrite(entry, change)]),
  )
}

/**
 * The model in what Compose printed.
 * @param printed parsed output of `docker compose config --format json`
 * @param about `directory`: checkout root, absolute
 */
export function modelOf(
  printed: Record<string, unknown>,
  about: { project: string; composeVersion: string; directory: string },
): ComposeModel {
  const plain = rewrite(printed, (text) => text.replaceAll('$$', '$')) as Partial<ComposeModel>
  const { services, networks, volumes, secrets, configs, ...rest } = plain
  return {
    ...about,
    services: services ?? {},
    networks: networks ?? {},
    volumes: volumes ?? {},
    secrets: secrets ?? {},
    configs: configs ?? {},
    rest,
  }
}

/** The JSON document for the model that Compose reads back as the same model: `$` is written as `$$`. */
export function documentOf(model: ComposeModel): Record<string, unknown> {
  const { services, networks, volumes, secrets, configs, rest, project } = model
  const parts = { ...rest, name: project, services, networks, volumes, secrets, configs }
  return rewrite(parts, (text) => text.replaceAll('$', '$$$$')) as Record<string, unknown>
}

/** The service of that name; the caller took the name from the model, so a missing one is a mistake in Samovar. */
export function serviceOf(model: ComposeModel, service: string): ComposeService {
  const found = model.services[service]
  if (found === undefined) throw new Error(`the Compose model has no service ${service}`)
  return found
}
