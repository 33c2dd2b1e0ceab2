import type { ComposeModel } from './model.ts'

/** A key of the model that Samovar does not express, and why. `path` leads to it from the top of the file. */
export type Refusal = { path: string[]; reason: string }

/** `true`: mapped as a whole. A table: only these keys below it. A text: refused, and this is why. */
type Known = true | string | { [key: string]: Known } | { each: Known }

const file: Known = {
  name: true,
  file: true,
  content: true,
  environment: true,
  external:
    'Compose cannot give an external file to a container outside of Swarm; name a file of the repository',
  driver: 'only Swarm has drivers for this',
  template_driver: 'only Swarm has templates for this',
}

const network: Known = {
  name: true,
  driver: true,
  driver_opts: true,
  ipam: {
    driver: true,
    options: true,
    config: { each: { subnet: true, ip_range: true, gateway: true, aux_addresses: true } },
  },
  internal: true,
  attachable: true,
  enable_ipv6: true,
  external: true,
  labels: true,
}

const serviceNetwork: Known = {
  aliases: true,
  ipv4_address: true,
  ipv6_address: true,
  link_local_ips: true,
  mac_address: true,
  driver_opts: true,
  gw_priority: true,
  priority: true,
}

const deploy: Known = {
  mode: true,
  replicas: true,
  placement: {},
  resources: {
    limits: { cpus: true, memory: true, pids: true },
    reservations: {
      memory: true,
      cpus: 'the Engine cannot reserve processors; use deploy.resources.limits.cpus or cpu_shares',
      devices: { each: { capabilities: true, count: true, device_ids: true, driver: true, options: true } },
    },
  },
  restart_policy: {
    condition: true,
    max_attempts: true,
    delay: 'the Engine restarts with its own growing pauses',
    window: 'the Engine has no window for restarts',
  },
}

const volume: Known = {
  type: true,
  source: true,
  target: true,
  read_only: true,
  consistency: 'it means nothing on Linux; remove it',
  bind: { propagation: true, create_host_path: true, selinux: true, recursive: true },
  volume: { nocopy: true, subpath: true, labels: true },
  tmpfs: { size: true, mode: true },
}

const mappedAsTheyAre = `annotations blkio_config cap_add cap_drop cgroup cgroup_parent command container_name
  cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset device_cgroup_rules devices dns dns_opt
  dns_search domainname entrypoint environment expose extra_hosts group_add hostname image init ipc labels
  mac_address mem_limit mem_reservation mem_swappiness memswap_limit network_mode oom_kill_disable oom_score_adj pid
  pids_limit platform privileged profiles read_only restart runtime security_opt shm_size stdin_open
  stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts working_dir`

const fileReference: Known = { source: true, target: true, uid: true, gid: true, mode: true }

const service: Known = {
  ...Object.fromEntries(mappedAsTheyAre.split(/\s+/).map((key): [string, Known] => [key, true])),
  depends_on: { each: { condition: true, restart: true, required: true } },
  deploy,
  configs: { each: fileReference },
  secrets: { each: fileReference },
  healthcheck: {
    test: true,
    interval: true,
    timeout: true,
    retries: true,
    start_period: true,
    start_interval: true,
    disable: true,
  },
  logging: { driver: true, options: true },
  networks: { each: serviceNetwork },
  ports: {
    each: {
      mode: true,
      host_ip: true,
      target: true,
      published: true,
      protocol: true,
      name: true,
      app_protocol: true,
    },
  },
  volumes: { each: volume },
  build: 'Samovar rolls out images; build the image in CI, push it and name it under image',
  develop: 'it is for work on a desk, not for a host',
  pull_policy: 'Samovar pulls by digest when the desired state changes; remove it',
  scale: 'Samovar runs one container of each service; remove it',
  links: 'it is superseded by networks and their aliases',
  external_links: 'it is superseded by networks and their aliases',
  volumes_from: 'name the volumes under volumes',
  post_start: 'Samovar does not run hooks',
  pre_start: 'Samovar does not run hooks',
  pre_stop: 'Samovar does not run hooks',
}

const top: Known = {
  name: true,
  version: true,
  services: { each: service },
  networks: { each: network },
  volumes: { each: { name: true, driver: true, driver_opts: true, external: true, labels: true } },
  secrets: { each: file },
  configs: { each: file },
}

const notMapped = 'Samovar does not express this key, so it is refused rather than dropped'

/** Empty values say nothing, so their keys may stand there. */
function saysNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

function check(value: unknown, known: Known | undefined, path: string[]): Refusal[] {
  if (known === true || (path.at(-1) ?? '').startsWith('x-') || saysNothing(value)) return []
  if (known === undefined || typeof known === 'string') return [{ path, reason: known ?? notMapped }]
  if (typeof value !== 'object' || value === null) return []
  const below = (key: string): Known | undefined => ('each' in known ? known['each'] : known[key])
  return Object.entries(value).flatMap(([key, entry]) => check(entry, below(key), [...path, key]))
}

/**
 * Every key of the model that cannot be expressed, by name: nothing is dropped silently. `x-` keys are ignored.
 * Values that the keys may not have are judged by judgement.ts.
 */
export function unknownKeys(model: ComposeModel): Refusal[] {
  const { services, networks, volumes, secrets, configs, rest } = model
  return check({ ...rest, services, networks, volumes, secrets, configs }, top, [])
}
